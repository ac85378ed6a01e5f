"""Generated volumes have a true place in space, and files that are whole."""

import nibabel
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Orientationd, SaveImaged

from tests.forms import assert_forms
from tools.transforms.volume import NameByIdd, PlaceVolumed, WholeFileWriter


@pytest.fixture
def item():
    """A volume of 4 x 6 x 8 voxels, bright at the head, at the back and on the left."""
    volume = torch.zeros(1, 4, 6, 8)
    volume[0, -1] += 100  # head
    volume[0, :, -1] += 10  # back
    volume[0, :, :, -1] += 1  # left
    return {"pred": volume, "name": "seed7"}


def test_affine(item):
    placed = PlaceVolumed("pred", field_of_view=(40, 30, 16))(item)["pred"]
    assert nibabel.aff2axcodes(placed.affine.numpy()) == ("S", "P", "L")
    assert placed.pixdim.tolist() == [10, 5, 2]
    centre = placed.affine @ torch.tensor([1.5, 2.5, 3.5, 1], dtype=torch.float64)
    assert centre.tolist() == [0, 0, 0, 1]


def test_file_shows_head_back_and_left_where_they_are(item, tmp_path):
    chain = Compose(
        [
            PlaceVolumed("pred", field_of_view=(40, 30, 16)),
            Orientationd("pred", axcodes="RAS"),
            SaveImaged(
                "pred",
                output_dir=tmp_path,
                output_postfix="",
                output_dtype=np.int16,
                writer=WholeFileWriter,
                separate_folder=False,
            ),
        ]
    )
    chain(item)
    assert [path.name for path in tmp_path.iterdir()] == ["seed7.nii.gz"]
    assert_forms(tmp_path / "seed7.nii.gz")
    image = nibabel.load(tmp_path / "seed7.nii.gz")
    values = np.asarray(image.dataobj)
    assert nibabel.aff2axcodes(image.affine) == ("R", "A", "S")
    assert image.header.get_zooms() == (2, 5, 10)
    assert values[5, 3, -1] == 100  # head
    assert values[5, 0, 0] == 10  # back
    assert values[0, 3, 0] == 1  # left


def test_volumes_of_one_file_name_are_written_by_their_ids(tmp_path):
    write = Compose(
        [NameByIdd("pred"), SaveImaged("pred", output_dir=tmp_path, output_postfix="made", separate_folder=False)]
    )
    for identifier, path in (("anna/series", "/d/anna/series"), ("bert/series", "/d/bert/series"), ("1.2.3", "a.mhd")):
        write({"pred": MetaTensor(torch.rand(1, 2, 3, 4), meta={"filename_or_obj": path}), "id": identifier})
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {"anna_series_made.nii.gz", "bert_series_made.nii.gz", "1.2.3_made.nii.gz"}


@pytest.mark.parametrize("name", ["x" * 248, "患" * 82])
def test_a_name_that_is_too_long_with_its_postfix(item, tmp_path, name):
    item["name"] = f"{name}.nii.gz"
    options = {"output_ext": ".nii.gz", "separate_folder": False, "resample": False}
    save = SaveImaged("pred", output_dir=tmp_path, output_postfix="reconstruction", writer=WholeFileWriter, **options)
    Compose([PlaceVolumed("pred", field_of_view=(40, 30, 16)), Orientationd("pred", axcodes="RAS"), save])(item)
    (written,) = tmp_path.iterdir()
    assert written.name.startswith(name[:70])
    assert written.name.endswith(".nii.gz")
    assert_forms(written)
