"""GSP and other folders of T1 volumes: what is found, what is left out, and on which side of the split it lies."""

import numpy as np
import pytest
import SimpleITK as sitk

from tests.real import REAL, needs_real
from tools.data.volumes import find_volumes, section_datalist
from tools.datasets.gsp import GSP, subject
from tools.io.readers import VolumeError


def write(path, dimension=3):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(np.zeros((2,) * dimension, np.int16))
    sitk.WriteImage(image, str(path), path.name.endswith("gz"))


def scan(root, number, session=1, name="Scan_01_ANAT1"):
    folder = f"Sub{number:04d}_Ses{session}"
    write(root / folder / f"{folder}_{name}.nii.gz", 4 if "BOLD" in name else 3)


def ids(folder, section):
    return [item["id"] for item in section_datalist("gsp", folder, section)]


@pytest.fixture(scope="module")
def gsp(tmp_path_factory):
    """As published: T1 and functional scans of 200 subjects, some of whom came twice, and tables beside them."""
    root = tmp_path_factory.mktemp("GSP")
    for number in range(1, 201):
        scan(root, number)
        scan(root, number, name="Scan_02_BOLD1")
        if number % 3 == 0:
            scan(root, number, session=2)
    (root / "GSP_list.csv").write_text("Subject_ID,Age_Bin\n")
    return root


@pytest.mark.filterwarnings("error")
def test_t1_volumes_are_split_nine_to_one(gsp):
    training, validation = section_datalist("gsp", gsp, "training"), section_datalist("gsp", str(gsp), "validation")
    assert len(training) + len(validation) == 200 + 66
    assert 14 <= len(validation) <= 40
    name = "Sub0001_Ses1_Scan_01_ANAT1"
    assert training[0] == {"image": str(gsp / "Sub0001_Ses1" / f"{name}.nii.gz"), "id": name}
    assert [t["id"] for t in training] == sorted(t["id"] for t in training)
    assert all("ANAT" in item["id"] for item in training + validation)


def test_a_subject_is_on_one_side(gsp):
    training, validation = ({subject(i) for i in ids(gsp, s)} for s in ("training", "validation"))
    assert not training & validation
    assert len(training) + len(validation) == 200


def test_more_volumes_move_none(tmp_path):
    for number in range(1, 41):
        scan(tmp_path, number)
    training, validation = ids(tmp_path, "training"), ids(tmp_path, "validation")
    for number in range(41, 61):
        scan(tmp_path, number)
    scan(tmp_path, int(validation[0][3:7]), session=2)
    assert set(training) <= set(ids(tmp_path, "training"))
    assert {*validation, validation[0].replace("Ses1", "Ses2")} <= set(ids(tmp_path, "validation"))


@pytest.mark.parametrize(
    ("identifier", "expected"),
    [
        ("Sub0012_Ses2_Scan_01_ANAT1", "Sub0012"),
        ("sub-07_ses-b_T1w", "sub-07"),
        ("sub-07_T1w", "sub-07"),
        ("IXI002-Guys-0828-T1", "IXI002-Guys-0828-T1"),
    ],
)
def test_subjects(identifier, expected):
    assert subject(identifier) == expected


def test_own_folders(tmp_path):
    for name in ("a.mha", "deep/er/b.1.nii", "c.nii.gz", "d.mhd", "sub-1_ses-1_T1w.nii.gz", "sub-1_ses-1_T2w.nii.gz"):
        write(tmp_path / name)
    assert [v.id for v in find_volumes(tmp_path, GSP)] == ["a", "b.1", "c", "d", "sub-1_ses-1_T1w"]


def test_too_few_to_hold_out(tmp_path):
    for number in (1, 2, 3):
        scan(tmp_path, number)
    with pytest.warns(UserWarning, match=r"uses the training volumes.*one subject in 10"):
        assert ids(tmp_path, "validation") == ids(tmp_path, "training")


def test_missing_and_empty(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere.*Sub0001_Ses1_Scan_01_ANAT1"):
        section_datalist("gsp", tmp_path / "nowhere", "training")
    scan(tmp_path, 1, name="Scan_02_BOLD1")
    with pytest.raises(FileNotFoundError, match=r"no volume in .*ANAT1\.nii\.gz and so on as GSP is published"):
        section_datalist("gsp", tmp_path, "training")
    with pytest.raises(ValueError, match="expected 'training' or 'validation'"):
        section_datalist("gsp", tmp_path, "test")


def test_bad_volumes(tmp_path):
    scan(tmp_path, 1)
    write(tmp_path / "series.nii.gz", 4)
    with pytest.warns(UserWarning, match=r"1 of 2 volumes are left out:\n.*series\.nii\.gz: expected a 3D volume"):
        assert ids(tmp_path, "training") == ["Sub0001_Ses1_Scan_01_ANAT1"]
    write(tmp_path / "copy" / "Sub0001_Ses1_Scan_01_ANAT1.nii")
    with pytest.raises(VolumeError, match="two volumes have the id 'Sub0001_Ses1_Scan_01_ANAT1'"):
        section_datalist("gsp", tmp_path, "training")


@needs_real
def test_real_volumes():
    with pytest.warns(UserWarning, match="of the 2 volumes is for validation"):
        assert ids(REAL / "brain_t1", "validation") == ["icbm152_t1", "seg3d_mr"]
    assert ids(REAL / "brain_t1", "training") == ["icbm152_t1"]
