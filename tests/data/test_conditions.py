"""Conditions of volumes from a table, volumes that are asked for another, and stacks of slices with their condition."""

import csv

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from tools.data.conditions import ConditionedStacks, asked_volumes, with_conditions, with_others_conditions
from tools.data.phantoms.brain import Brain, brain_labels
from tools.data.phantoms.gsp import phantom_volume, ventricles, write_gsp_phantoms
from tools.data.volumes import section_datalist
from tools.transforms.condition import AskForConditiond
from tools.transforms.slices import mr_slices

ITEMS = [
    {"image": f"/d/{name}.nii.gz", "id": name} for name in ("Sub0001_Ses1_Scan_01_ANAT1", "Sub0002_Ses1_Scan_01_ANAT1")
]


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    return write_gsp_phantoms(tmp_path_factory.mktemp("gsp") / "phantoms", 4, 0, (18, 32, 32), progress=False)


def table(folder, text):
    path = folder / "table.csv"
    path.write_text(text)
    return path


def test_numbers_of_volumes_and_of_subjects_are_found(tmp_path):
    path = table(tmp_path, "name;sex;age\nSub0001;F;20\nSub0002_Ses1_Scan_01_ANAT1;M;65\nSub0003;F;99\n")
    made = with_conditions(ITEMS, path, "age", [20, 80])
    assert [item["condition"] for item in made] == [0.0, 0.75]
    assert [item["image"] for item in made] == [[item["image"]] for item in ITEMS]
    assert [item["asked"] for item in with_others_conditions(made)] == [0.75, 0.0]


def test_what_the_table_lacks_is_said(tmp_path):
    with pytest.warns(UserWarning, match="Sub0002"):
        assert len(with_conditions(ITEMS, table(tmp_path, "id,age\nSub0001,30\nSub0002,\n"), "age", [20, 80])) == 1
    for text, message in (
        ("id,age\nSub0001,30\n", r"columns \['id', 'age'\], expected ids in the first and another 'sex'"),
        ("id,sex\nSub0009,1\n", "no number in the column 'sex' for any of 2 volumes"),
        ("id,sex\nSub0001,3\nSub0001,4\n", "two numbers in the column 'sex' for Sub0001"),
        ("id,sex\nSub0001,90\n", r"sex of Sub0001_.* is 90, and --condition_range is \[20, 80\]; .* \[90, 90\]"),
    ):
        with pytest.raises(ValueError, match=message):
            with_conditions(ITEMS, table(tmp_path, text), "sex", [20, 80])
    with pytest.raises(FileNotFoundError, match="Give it with --table"):
        with_conditions(ITEMS, tmp_path / "none.csv", "age", [20, 80])


def test_each_volume_is_asked_for_each_condition():
    made = asked_volumes(ITEMS[:1], [30, 80], "age", [20, 80])
    assert [(item["id"], item["asked"]) for item in made] == [
        ("Sub0001_Ses1_Scan_01_ANAT1_age30", pytest.approx(1 / 6)),
        ("Sub0001_Ses1_Scan_01_ANAT1_age80", 1.0),
    ]
    assert [item["asked"] for item in asked_volumes(ITEMS[:1], None, "age", [20, 80])] == [0.0, 0.5, 1.0]
    with pytest.raises(ValueError, match=r"conditions are \[10\], expected numbers from 20 to 80"):
        asked_volumes(ITEMS, [10], "age", [20, 80])


def test_phantoms_say_how_wide_their_ventricles_are(phantoms):
    """By a table whose numbers are those of the anatomy: the wider, the more voxels of them."""
    with (phantoms / "participants.csv").open(newline="") as file:
        said = {row["id"]: float(row["ventricles"]) for row in csv.DictReader(file)}
    assert said.keys() == {
        item["id"] for section in ("training", "validation") for item in section_datalist("gsp", phantoms, section)
    }
    assert len(set(said.values())) == 4
    numbers = range(1, 9)
    widths = [ventricles(0, number) for number in numbers]
    assert all(0.5 <= width <= 1.6 for width in widths)
    seen = [int((brain_labels([0, number], (52, 62, 48)) == Brain.VENTRICLE).sum()) for number in numbers]
    assert np.corrcoef(widths, seen)[0, 1] > 0.8
    assert phantom_volume(0, 1, (18, 32, 32), False).t1.shape == (18, 32, 32)


def test_stacks_are_consecutive_slices_with_their_volumes_condition(phantoms):
    items = with_conditions(
        section_datalist("gsp", phantoms, "training"), phantoms / "participants.csv", "ventricles", [0.5, 1.6]
    )
    transform = mr_slices(32)
    stacks = ConditionedStacks(items, outer=0.2, transform=transform, slices=3)
    volumes = {item["condition"]: transform({"image": item["image"]})["image"].as_tensor()[0] for item in items}
    found = []
    for stack in (stacks[i] for i in range(len(stacks))):
        volume = volumes[stack["condition"]]
        (start,) = [n for n in range(len(volume) - 2) if torch.equal(volume[n : n + 3].half().float(), stack["image"])]
        found.append(start)
    assert min(found) == 3
    assert max(found) == 18 - 3 - 3
    assert len(found) == 2 * (18 - 8)
    with pytest.raises(ValueError, match="no stack of 3 slices is left of 2 volumes"):
        ConditionedStacks(items, outer=0.49, transform=transform, slices=3)


def test_a_volume_is_asked_for_a_condition():
    volume = MetaTensor(torch.rand(1, 3, 4, 4), affine=torch.diag(torch.tensor([2.0, 3.0, 4.0, 1.0])))
    made = AskForConditiond()({"image": volume, "asked": 0.25})
    assert torch.equal(made["image"][0].as_tensor(), volume[0].as_tensor())
    assert (made["image"][1] == 0.25).all()
    assert torch.equal(made["image"].affine, volume.affine)
    assert torch.equal(made["label"].as_tensor(), volume.as_tensor())
