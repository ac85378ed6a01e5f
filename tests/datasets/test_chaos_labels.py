"""CHAOS's organs: which pictures belong to which image, and what their grey values say."""

import json
import shutil

import numpy as np
import pydicom
import pytest
from PIL import Image

from tools.data.cases import case_datalist, find_cases, recognise
from tools.data.phantoms.chaos import write_chaos_phantoms
from tools.data.sample_store import SampleStore
from tools.datasets.chaos import CHAOS, ORGANS
from tools.inspect_data.command import inspect_data
from tools.transforms.channels import UNKNOWN, Channels
from tools.transforms.samples import sample_slices

ABDOMEN = Channels({"image": 99.5}, ORGANS)
RANGES = {"liver": (55, 70), "right kidney": (110, 135), "left kidney": (175, 200), "spleen": (240, 255)}


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    root = tmp_path_factory.mktemp("chaos") / "p"
    write_chaos_phantoms(root, 4, 1, (16, 32, 32), progress=False)
    for study in ("MR", "CT/3"):
        shutil.rmtree(root / "Test_Sets" / study)
    return root


def test_grey_values_are_the_ranges_of_its_authors():
    assert {name: (min(values), max(values)) for name, values in ORGANS.items()} == RANGES
    assert [values[0] for values in ORGANS.values()] == [63, 126, 189, 252]
    assert all(sorted(values) == [*range(min(values), max(values) + 1)] for values in ORGANS.values())
    assert {name: values[0] for name, values in CHAOS.classes_of_labels.items()} == dict(
        zip(RANGES, (63, 126, 189, 252), strict=True)
    )


def test_every_image_has_the_labels_beside_it(phantoms):
    assert recognise(phantoms) is CHAOS
    cases = {case.id: case for case in find_cases(CHAOS, phantoms)}
    mr = cases["MR/1"].own_labels
    assert mr["in_phase"] == mr["out_phase"] == str(phantoms / "Train_Sets/MR/1/T1DUAL/Ground")
    assert mr["t2"] == str(phantoms / "Train_Sets/MR/1/T2SPIR/Ground")
    assert cases["CT/1"].own_labels == {"ct": str(phantoms / "Train_Sets/CT/1/Ground")}


@pytest.mark.parametrize(("modality", "place"), [("out_phase", "T1DUAL"), ("t2", "T2SPIR"), ("ct", "")])
@pytest.mark.filterwarnings("ignore:.*is for validation")
def test_organs_of_a_slice_are_those_of_its_picture(phantoms, modality, place):
    kind = "CT" if modality == "ct" else "MR"
    item = next(i for i in case_datalist(CHAOS, phantoms, "training", [modality], labelled=True) if i["id"][-1] == "1")
    assert item["known"] == (["liver"] if kind == "CT" else [*ORGANS])
    (folder,) = item["image"]
    files = sorted(p.name for p in (phantoms / "Train_Sets" / kind / "1" / place).rglob("*.dcm") if folder in str(p))
    pictures = sorted((phantoms / "Train_Sets" / kind / "1" / place / "Ground").iterdir())
    position = [float(pydicom.dcmread(f"{folder}/{name}").ImagePositionPatient[2]) for name in files]
    made = sample_slices(ABDOMEN, 32 if kind == "MR" else 43)(item)
    found = made["label"][0].numpy()
    for row, number in enumerate(np.argsort(position)):
        grey = np.asarray(Image.open(pictures[number]))
        expected = np.zeros(grey.shape, np.uint8)
        if kind == "CT":
            expected[grey == 255] = 1
        else:
            for index, (low, high) in enumerate(RANGES.values(), start=1):
                expected[(grey >= low) & (grey <= high)] = index
        assert np.array_equal(found[row][: len(grey)], expected)
    assert set(np.unique(found)) == ({0, 1} if kind == "CT" else {0, 1, 2, 3, 4})
    assert made["known"].tolist() == [True] + [kind == "MR"] * 3
    assert UNKNOWN not in found


@pytest.mark.filterwarnings("ignore:.*is for validation")
def test_ct_and_mr_in_one_store(phantoms, tmp_path):
    items = [
        item | {"id": f"{item['id']} {modality}"}
        for modality in ("t2", "ct")
        for item in case_datalist(CHAOS, phantoms, "training", [modality], labelled=True)
    ]
    for _ in range(2):  # the second from files
        store = SampleStore(items, sample_slices(ABDOMEN, 32), ABDOMEN, tmp_path)
        of_ct = np.array([store.ids[volume].endswith("ct") for volume in store.volume_of])
        assert (store.pixels(["liver"])[of_ct] > 0).any()
        assert (store.pixels(["spleen"])[~of_ct] > 0).any()
        assert not store.pixels(["spleen"])[of_ct].any()  # 255 is the liver there


def test_it_is_seen_before_training(phantoms, tmp_path):
    inspect_data(str(phantoms), str(tmp_path / "out"))
    facts = json.loads((tmp_path / "out" / "data.json").read_text())
    assert (facts["recognised_as"].split(":")[0], facts["cases"], facts["labelled"]) == ("chaos", 3, 3)
    counts = {name: said["cases_labelled"] for name, said in facts["labels_ml"].items()}
    assert counts == {"liver": 3, "right kidney": 1, "left kidney": 1, "spleen": 1}  # CT says nothing of others
    ground = sorted((phantoms / "Train_Sets" / "MR" / "1" / "T1DUAL" / "Ground").iterdir())
    pixels = sum(int((np.asarray(Image.open(file)) == 252).sum()) for file in ground)
    header = pydicom.dcmread(next((phantoms / "Train_Sets/MR/1/T1DUAL/DICOM_anon/InPhase").iterdir()))
    voxel = float(np.prod(header.PixelSpacing)) * float(header.SpacingBetweenSlices)
    assert facts["labels_ml"]["spleen"]["median"] == pytest.approx(pixels * voxel / 1000, rel=1e-3)


@pytest.mark.filterwarnings("ignore:.*is for validation")
def test_a_case_without_a_picture_for_each_slice_is_left_out_by_name(phantoms, tmp_path):
    root = tmp_path / "p"
    shutil.copytree(phantoms, root)
    ground = root / "Train_Sets" / "CT" / "1" / "Ground"
    (ground / "liver_GT_007.png").unlink()
    with pytest.warns(UserWarning, match=r"CT/1.*Ground: it has 39 pictures, .* 40 slices"):
        left = case_datalist(CHAOS, root, "training", ["ct"], labelled=True)
    assert left
    assert "CT/1" not in [item["id"] for item in left]
