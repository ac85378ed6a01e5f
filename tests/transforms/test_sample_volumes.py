"""Volumes with labels: what their files hold, in another size at the same place."""

import nibabel as nib
import numpy as np
import pytest
import torch

from tools.transforms.channels import UNKNOWN, Channels
from tools.transforms.digest import chain_digest
from tools.transforms.sample_volumes import ResizeSamplesd, sample_volumes

CHANNELS = Channels({"t1": 100}, {"anterior": 1, "posterior": [2, 4]})
AFFINE = np.array([[-1.0, 0, 0, 12], [0, 1.5, 0, -9], [0, 0, 2, 3], [0, 0, 0, 1]])


@pytest.fixture(scope="module")
def item(tmp_path_factory):
    """A bright box in a dim room, [x, y, z] = 24 x 20 x 12: its front half is one class, its back half another."""
    folder = tmp_path_factory.mktemp("case")
    image = np.random.default_rng(0).uniform(1, 2, (24, 20, 12))
    label = np.zeros(image.shape, np.uint8)
    label[4:16, 10:18, 2:8], label[4:16, 4:10, 2:8] = 1, 4
    image[label > 0] += 8
    for name, voxels in (("t1", image), ("seg", label)):
        nib.save(nib.Nifti1Image(voxels.astype(np.float32), AFFINE), folder / f"{name}.nii.gz")
    return {"id": "case", "image": [str(folder / "t1.nii.gz")], "label": str(folder / "seg.nii.gz")}, image, label


def centre(inside, affine):
    """Centre of mass in mm."""
    return (affine @ [*np.argwhere(inside).mean(0), 1])[:3]


def test_in_their_own_size_they_are_what_the_files_hold(item):
    files, image, label = item
    made = sample_volumes(CHANNELS, (12, 20, 24))(files)
    assert made["image"].shape == (1, 12, 20, 24)
    assert made["label"].dtype == torch.uint8
    assert made["field_of_view_mm"].tolist() == pytest.approx([24, 30, 24])
    to_file = np.linalg.inv(AFFINE) @ made["image"].affine.numpy()
    for place in np.ndindex(12, 20, 24):
        i, j, k = np.rint(to_file @ [*place, 1])[:3].astype(int)
        assert made["label"][0][place] == (0, 1, None, None, 2)[label[i, j, k]]
        assert made["image"][0][place].item() == pytest.approx(image[i, j, k] / image.max() * 2 - 1, abs=1e-5)


@pytest.mark.parametrize("size", [(6, 10, 12), (24, 30, 36), (9, 16, 20)])
def test_in_another_size_they_lie_in_the_same_place(item, size):
    files, _, label = item
    made = sample_volumes(CHANNELS, size)(files)
    index, affine = made["label"][0].numpy(), made["label"].affine.numpy()
    assert index.shape == made["image"].shape[1:] == size
    assert np.array_equal(affine, made["image"].affine.numpy())
    voxel, of_file = abs(np.linalg.det(affine)), abs(np.linalg.det(AFFINE))
    for number, value in ((1, 1), (2, 4)):
        assert centre(index == number, affine) == pytest.approx(centre(label == value, AFFINE), abs=0.75)
        assert (index == number).sum() * voxel == pytest.approx((label == value).sum() * of_file, rel=0.3)
    bright = made["image"][0].numpy() > 0
    assert centre(bright, affine) == pytest.approx(centre(label > 0, AFFINE), abs=0.75)


def test_no_class_is_made_between_others():
    """A sheet of class 1 beside a sheet of class 4: what lies between them is not 2 or 3, nor is unknown averaged."""
    index = torch.zeros(1, 8, 8, 8, dtype=torch.uint8)
    index[:, :, :, :4], index[:, :, :, 4:], index[:, :2] = 1, 4, UNKNOWN
    made = ResizeSamplesd((5, 5, 5))({"label": index})["label"]
    assert set(made.unique().tolist()) == {1, 4, UNKNOWN}
    assert (made[:, 0] == UNKNOWN).all()
    assert not (made[:, 2:] == UNKNOWN).any()


def test_the_size_is_part_of_the_digest():
    first, second = (chain_digest(sample_volumes(CHANNELS, size)) for size in ((6, 10, 12), (6, 12, 10)))
    assert first != second


@pytest.mark.parametrize("size", [64, (8, 8), (8, 0, 8), (8, 8, 1.5)])
def test_bad_sizes(size):
    with pytest.raises(ValueError, match="image_size is"):
        ResizeSamplesd(size)
