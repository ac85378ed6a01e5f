"""Records of datasets: on which side of the split each subject lies, what is recognised, and that they are text."""

import subprocess
import sys

import pytest

from tests.tiny import REPOSITORY
from tools.datasets.chaos import CHAOS
from tools.datasets.gsp import GSP
from tools.datasets.luna16 import LUNA16
from tools.datasets.published import DATASETS, dataset_of_ids, known_dataset
from tools.datasets.record import Dataset, Images, Labels
from tools.datasets.splitting import split

# the numbers of CHAOS's published training sets, and those of them that have been held out since the first weights
CHAOS_MR = [1, 2, 3, 5, 8, 10, 13, 15, 19, 20, 21, 22, 31, 32, 33, 34, 36, 37, 38, 39]
CHAOS_CT = [1, 2, 5, 6, 8, 10, 14, 16, 18, 19, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30]
HELD_OUT = {"MR": [8, 21, 33, 34], "CT": [24, 25], "GSP": [5, 14, 15, 17, 19, 30, 34, 48, 61, 63, 81, 87, 96]}


def test_the_held_out_subjects_stay_the_same():
    for kind, numbers in (("MR", CHAOS_MR), ("CT", CHAOS_CT)):
        assert [n for n in numbers if CHAOS.holds_out(f"{kind}/{n}")] == HELD_OUT[kind]
    subjects = [GSP.subject(f"Sub{n:04d}_Ses1_Scan_01_ANAT1") for n in range(1, 101)]
    assert [n for n, name in enumerate(subjects, start=1) if GSP.holds_out(name)] == HELD_OUT["GSP"]
    uid = "1.3.6.1.4.1.14519.5.2.1.6279.6001.105756658031515062000744821260"
    assert [n for n in range(10) if LUNA16.holds_out(uid, ("LUNA16", f"subset{n}"))] == [9]
    assert [n for n in range(10) if LUNA16.holds_out(uid, (f"subset{n}",), [0, 3])] == [0, 3]
    assert LUNA16.holds_out("scan-7") == LUNA16.holds_out("scan-7", ("mine", "subset", "subset9b"))


@pytest.mark.parametrize(
    ("held", "training", "validation"),
    [("", "abcd", "abcd"), ("b", "acd", "abcd"), ("bc", "ad", "bc"), ("abcd", "abcd", "abcd")],
)
@pytest.mark.filterwarnings("ignore:here")
def test_what_is_held_out_is_not_trained_on(held, training, validation):
    found = [
        "".join(split("abcd", section, lambda i: i in held, "here", "volumes", "b is"))
        for section in ("training", "validation")
    ]
    assert found == [training, validation]
    few = "".join(split("abcd", "training", lambda i: i in held, "here", "volumes", "b is", share_few=True))
    assert few == ("abcd" if len(held) == 1 else training)


def test_a_split_that_says_little_is_said():
    with pytest.warns(UserWarning, match="here: 1 of the 4 volumes is for validation, which needs 2.*; b is") as caught:
        split("abcd", "validation", lambda i: i == "b", "here", "volumes", "b is")
    assert caught[0].filename == __file__
    with pytest.raises(ValueError, match="section is 'test', expected 'training' or 'validation'"):
        split("abcd", "test", lambda i: False, "here", "volumes", "")


def test_ids_are_recognised():
    ids = {
        "luna16": "1.3.6.1.4.1.14519.5.2.1.6279.6001.1",
        "gsp": "Sub0001_Ses1_Scan_01_ANAT1",
        "chaos": "MR/3/in_phase",
    }
    assert {name: dataset_of_ids([one]).name for name, one in ids.items()} == dict(zip(ids, ids, strict=True))
    assert dataset_of_ids(ids.values()) is None


def test_records_are_text():
    """Every module of them, without torch, MONAI and NumPy."""
    code = (
        "import sys; import tools.datasets.published; "
        "print(*sorted({'torch', 'monai', 'numpy', 'pydicom', 'nibabel'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_what_a_record_cannot_say_is_refused():
    assert all(name == dataset.name for name, dataset in DATASETS.items())
    with pytest.raises(ValueError, match=r"no dataset 'luna', expected one of .*Did you mean luna16\?"):
        known_dataset("luna")
    with pytest.raises(ValueError, match="no group"):
        Images(r"MR/\d+", "MR")
    with pytest.raises(ValueError, match="no group"):
        Labels(r"MR/\d+", {"liver": 1})
    with pytest.raises(ValueError, match="voxels is 'HU', expected one of CT, MR"):
        Images(r"(?P<id>\d+)", "HU")
    with pytest.raises(ValueError, match="unit is 'patch'"):
        Dataset("a", "", {}, "", "", "", "", "", unit="patch")
    with pytest.raises(ValueError, match="chaos has the modalities in_phase, out_phase, t2, ct; name one"):
        _ = CHAOS.modality
