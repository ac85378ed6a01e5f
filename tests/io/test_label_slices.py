"""Label maps of one picture for each DICOM slice: each lies where the header of its slice says."""

import numpy as np
import pydicom
import pytest
from PIL import Image

from tools.io.dicom_writer import write_dicom_series
from tools.io.label_slices import read_label_slices
from tools.io.volume import VolumeError

SHAPE = (7, 5, 4)  # columns, rows, slices


@pytest.fixture
def series(tmp_path):
    """A series whose slices are named from the head down, 8 to 11, and pictures under other names, 0 to 3."""
    folder = tmp_path / "DICOM_anon"
    voxels = np.random.default_rng(1).integers(-500, 500, SHAPE).astype(float)
    write_dicom_series(folder, voxels, np.diag([-0.8, -0.7, 3, 1]), "CT")
    for number, file in enumerate(sorted(folder.iterdir())):
        file.rename(folder / f"slice{11 - number}.dcm")  # by text, 10 and 11 would come before 8
    (tmp_path / "Ground").mkdir()
    for number in range(4):
        grey = (np.arange(35).reshape(5, 7) + 50 * number).astype(np.uint8)
        Image.fromarray(grey).save(tmp_path / "Ground" / f"liver_GT_{number:03d}.png")
    return folder, tmp_path / "Ground"


def test_a_picture_lies_where_its_slice_does(series):
    folder, ground = series
    values, affine = read_label_slices(ground, folder)
    assert values.shape == SHAPE
    for number, name in enumerate(["slice8", "slice9", "slice10", "slice11"]):
        header = pydicom.dcmread(folder / f"{name}.dcm")
        grey = np.asarray(Image.open(ground / f"liver_GT_{number:03d}.png"))
        first = np.array(header.ImagePositionPatient) * (-1, -1, 1)  # LPS to RAS
        x, y, z = np.rint(np.linalg.inv(affine) @ [*first, 1])[:3].astype(int)
        assert (x, y) == (0, 0)
        assert np.array_equal(values[:, :, z].T, grey)


def test_pictures_of_one_bit_hold_0_and_255(series):
    folder, ground = series
    for file in ground.iterdir():
        Image.fromarray(np.eye(5, 7) > 0).save(file)
    values, _ = read_label_slices(ground, folder)
    assert np.array_equal(values, np.eye(7, 5)[:, :, None].repeat(4, 2) * 255)


def test_what_does_not_fit_is_named(series):
    folder, ground = series
    (ground / "liver_GT_001.png").rename(ground.parent / "away.png")
    with pytest.raises(VolumeError, match=r"it has 3 pictures, liver_GT_000.png to liver_GT_003.png, and .* 4 slices"):
        read_label_slices(ground, folder)
    Image.fromarray(np.zeros((5, 6), np.uint8)).save(ground / "liver_GT_001.png")
    with pytest.raises(VolumeError, match=r"liver_GT_001.png: it has 6 x 5 pixels, and the slices of .* 7 x 5"):
        read_label_slices(ground, folder)
    (ground / "liver_GT_001.png").write_bytes(b"no picture")
    with pytest.raises(VolumeError, match=r"liver_GT_001.png: it cannot be read as a picture"):
        read_label_slices(ground, folder)
    with pytest.raises(VolumeError, match="its image is no folder of them"):
        read_label_slices(ground, ground / "liver_GT_000.png")


def test_pictures_named_as_slices_must_be_theirs(series):
    folder, ground = series
    for number, file in enumerate(sorted(ground.iterdir())):
        file.rename(ground / f"slice{8 + number}.png")
    read_label_slices(ground, folder)
    (ground / "slice9.png").rename(ground / "slice12.png")  # as many, but another
    with pytest.raises(VolumeError, match="slice9 is a slice without a picture"):
        read_label_slices(ground, folder)
