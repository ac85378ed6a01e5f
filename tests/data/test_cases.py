"""Cases of datasets by their records: several images and a label map each, slices, classes, and what is recognised."""

import csv

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from tests.data.test_studies import patient, series
from tools.data import cases
from tools.data.cases import case_datalist, find_cases, recognise
from tools.data.chaos import find_ct, find_mr
from tools.data.phantoms.luna16 import write_luna16_phantoms
from tools.datasets.chaos import CHAOS
from tools.datasets.record import Dataset, Images, Labels
from tools.io.readers import VolumeError

SAYS = {"source": "", "files": "", "reference": "", "terms": ""}

TUMOURS = Dataset(
    "tumours",
    "Tumour_001/Tumour_001_flair.nii.gz and so on",
    {m: Images(rf"(?P<id>Tumour_\d+)/\1_{m}", "MR") for m in ("flair", "t1Gd")},
    ids=r"Tumour_\d+$",
    one_in=2,
    labels=Labels(r"(?P<id>Tumour_\d+)/\1_seg", {"necrosis": 1, "enhancing tumour": 4}),
    **SAYS,
)
"""Several contrasts of a case and its label map in one folder, as BraTS has them."""

ORGANS = Dataset(
    "organs",
    "imagesTr/liver_01_0000.nii.gz and labelsTr/liver_01.nii.gz",
    {"ct": Images(r"imagesTr/(?P<id>\w+_\d+)_0000", "CT")},
    ids=r"\w+_\d+$",
    labels=Labels(r"labelsTr/(?P<id>\w+_\d+)", {"liver": 1}),
    **SAYS,
)
"""Images and label maps in folders of their own, as nnU-Net and the Medical Segmentation Decathlon have them."""


def subjects_and_classes(folder):
    with open(folder / "bleedings.csv", newline="") as file:
        return {row["slice"]: {"subject": row["patient"], "class": row["kind"]} for row in csv.DictReader(file)}


BLEEDINGS = Dataset(
    "bleedings",
    "slices/ID_0001.png and bleedings.csv",
    {"ct": Images(r"slices/(?P<id>ID_\d+)", "CT")},
    ids=r"ID_\d+$",
    one_in=2,
    unit="slice",
    classes=("none", "subdural"),
    table=subjects_and_classes,
    **SAYS,
)
"""Single slices, of which a table says the patient and the class, as the RSNA challenge on bleedings has them."""


def volume(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(sitk.Image(4, 4, 4, sitk.sitkInt16), str(path))
    return str(path)


@pytest.fixture
def tumours(tmp_path):
    for number in range(1, 9):
        name = f"Tumour_{number:03}"
        for ending in ("flair", "seg", "t1Gd", "t2"):
            volume(tmp_path / name / f"{name}_{ending}.nii.gz")
    return tmp_path


def test_several_images_and_a_label_map_of_a_case(tumours):
    found = find_cases(TUMOURS, tumours)
    assert [case.id for case in found] == [f"Tumour_{n:03}" for n in range(1, 9)]
    sections = [
        case_datalist(TUMOURS, tumours, s, ["t1Gd", "flair"], labelled=True) for s in ("training", "validation")
    ]
    assert sorted(item["id"] for items in sections for item in items) == [case.id for case in found]
    item = sections[0][0]
    folder = tumours / item["id"]
    assert item["image"] == [str(folder / f"{item['id']}_{m}.nii.gz") for m in ("t1Gd", "flair")]
    assert item["label"] == str(folder / f"{item['id']}_seg.nii.gz")
    assert item["known"] == ["necrosis", "enhancing tumour"]
    assert "label" not in case_datalist(TUMOURS, tumours, "training")[0]
    with pytest.raises(ValueError, match=r"has \['t2'\], expected some of those of tumours: \['flair', 't1Gd'\]"):
        case_datalist(TUMOURS, tumours, "training", ["t2"])


def test_cases_that_lack_something_are_named(tumours):
    ids = [item["id"] for item in case_datalist(TUMOURS, tumours, "training")]
    (tumours / ids[0] / f"{ids[0]}_seg.nii.gz").unlink()
    (tumours / ids[1] / f"{ids[1]}_flair.nii.gz").unlink()
    with pytest.warns(UserWarning, match=rf"{ids[0]}: lacks a label map\n *{ids[1]}: lacks flair") as caught:
        kept = case_datalist(TUMOURS, tumours, "training", labelled=True)
    assert [item["id"] for item in kept] == ids[2:]
    assert f"2 of {len(ids)} cases are left out" in str(caught[0].message)
    damaged = tumours / ids[2] / f"{ids[2]}_seg.nii.gz"
    damaged.write_bytes(damaged.read_bytes()[:40])
    with pytest.warns(UserWarning, match=rf"{ids[2]}: .*{ids[2]}_seg.nii.gz: "):
        assert [item["id"] for item in case_datalist(TUMOURS, tumours, "training", labelled=True)] == ids[3:]
    with pytest.raises(VolumeError, match="lacks a class"):
        case_datalist(TUMOURS, tumours, "training", classified=True)
    volume(tumours / ids[3] / f"{ids[3]}_flair.mha")
    with pytest.raises(VolumeError, match=f"two files are flair of '{ids[3]}'"):
        find_cases(TUMOURS, tumours)


def test_label_maps_in_a_folder_of_their_own(tmp_path):
    for number in (1, 2):
        volume(tmp_path / "imagesTr" / f"liver_0{number}_0000.nii.gz")
    label = volume(tmp_path / "labelsTr" / "liver_02.nii.gz")
    assert [(case.id, case.label) for case in find_cases(ORGANS, tmp_path)] == [("liver_01", None), ("liver_02", label)]


def test_slices_with_the_patients_and_classes_of_a_table(tmp_path):
    rows = [f"ID_{n:04},patient{n % 6},{'none' if n % 3 else 'subdural'}" for n in range(30)]
    (tmp_path / "bleedings.csv").write_text("\n".join(["slice,patient,kind", *rows]))
    (tmp_path / "slices").mkdir()
    for n in range(30):
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "slices" / f"ID_{n:04}.png")
    training, validation = (case_datalist(BLEEDINGS, tmp_path, s, classified=True) for s in ("training", "validation"))
    assert {item["id"]: item["class"] for item in training + validation} == {
        f"ID_{n:04}": int(n % 3 == 0) for n in range(30)
    }
    patients = [{item["subject"] for item in part} for part in (training, validation)]
    assert patients[0] | patients[1] == {f"patient{n}" for n in range(6)}
    assert not patients[0] & patients[1]
    assert training[0]["image"] == [str(tmp_path / "slices" / f"{training[0]['id']}.png")]


@pytest.fixture
def chaos(tmp_path):
    for part, numbers in (("Train_Sets", (1, 2, 8)), ("Test_Sets", (4,))):
        for number in numbers:
            patient(tmp_path / part / "MR" / str(number))
            series(tmp_path / part / "CT" / str(number) / "DICOM_anon", "CT")
    series(tmp_path / "Train_Sets" / "MR" / "1" / "T2SPIR" / "Ground")
    return tmp_path


def test_the_record_of_chaos_finds_what_its_own_way_of_finding_does(chaos):
    own = find_mr(chaos) | find_ct(chaos)
    assert {case.id: case.images for case in find_cases(CHAOS, chaos)} == own
    assert len(own) == 8


def test_folders_are_recognised(chaos, heads, tmp_path_factory, monkeypatch):
    root = tmp_path_factory.mktemp("others")
    chests = write_luna16_phantoms(root / "chests", 2, shape=(24, 28, 28), progress=False)
    volume(root / "notes" / "t1.nii")
    assert [recognise(folder).name for folder in (chests, heads, chaos / "Test_Sets")] == ["luna16", "gsp", "chaos"]
    assert recognise(root / "notes") is None
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        recognise(root / "nowhere")
    monkeypatch.setattr(cases, "DATASETS", cases.DATASETS | {"tumours": TUMOURS})
    volume(root / "more" / "Tumour_001" / "Tumour_001_flair.nii.gz")
    assert recognise(root / "more") is TUMOURS
