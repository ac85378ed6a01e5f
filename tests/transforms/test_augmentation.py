"""Augmentation of samples, by MONAI's transforms of the same numbers."""

import numpy as np
import pytest
import torch
from monai.data.utils import set_rnd
from monai.transforms import AdjustContrast, Affine
from scipy.stats import kstest

from tools.transforms.augmentation import RandomSamples, contrasted, moved

GENERATOR = torch.Generator().manual_seed(0)


def smooth(*shape):
    """A picture without edges, on which a place that is off by a hundredth of a voxel does not matter."""
    small = torch.rand(1, 2, *(4 for _ in shape), generator=GENERATOR) * 2 - 1
    mode = "bicubic" if len(shape) == 2 else "trilinear"
    return torch.nn.functional.interpolate(small, shape, mode=mode)[0]


@pytest.mark.parametrize("shape", [(40, 56), (12, 20, 28)])
def test_moving_is_that_of_monai(shape):
    image = smooth(*shape)
    label = (image[:1] > 0.1).to(torch.uint8) + 2 * (image[1:] > 0).to(torch.uint8)
    for seed in range(4):
        augment = RandomSamples(shape, degrees=25, scaling=0.2, shift=0.2).set_random_state(seed)
        matrix = augment.matrix()
        mine, index = moved(image, label, matrix)
        full = np.vstack([matrix, np.eye(len(shape) + 1)[-1]])
        options = {"affine": full, "padding_mode": "border", "image_only": True, "dtype": torch.float64}
        assert (mine - Affine(**options, mode="bilinear")(image).as_tensor()).abs().max() < 1e-4
        theirs = Affine(**options, mode="nearest")(label.float()).as_tensor()
        assert (index == theirs).float().mean() > 0.999  # but where a place is half way between two voxels
        assert index.dtype == torch.uint8


def test_what_is_drawn():
    augment = RandomSamples((40, 56), degrees=10, scaling=0.1, shift=0.05).set_random_state(3)
    turns, scales, shifts = [], [], []
    for _ in range(400):
        matrix = augment.matrix()
        scale = np.sqrt(np.linalg.det(matrix[:, :2]))
        turns.append(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0])))
        scales.append(scale)
        shifts.append(np.linalg.inv(matrix[:, :2] / scale) @ matrix[:, 2] / (40, 56))
        np.testing.assert_allclose(matrix[:, :2] @ matrix[:, :2].T, scale**2 * np.eye(2), atol=1e-9)  # of both axes
    assert kstest(turns, "uniform", (-10, 20)).pvalue > 1e-3
    assert kstest(scales, "uniform", (0.9, 0.2)).pvalue > 1e-3
    assert kstest(np.ravel(shifts), "uniform", (-0.05, 0.1)).pvalue > 1e-3


def test_volumes_are_turned_in_the_plane_of_their_slices():
    matrix = RandomSamples((8, 8, 8), degrees=90, scaling=0, shift=0).set_random_state(0).matrix()
    np.testing.assert_allclose(matrix[0], [1, 0, 0, 0])
    assert abs(matrix[1, 2]) > 0.1


def test_contrast_is_that_of_monai():
    image = smooth(20, 20) * 0.7
    for gamma in (0.8, 1.3):
        assert (contrasted(image, gamma) - AdjustContrast(gamma)(image)).abs().max() < 1e-5


def test_labels_keep_their_values_and_images_alone_change_in_intensity():
    index = torch.zeros(1, 32, 32, dtype=torch.uint8)
    index[0, 8:20, 10:18] = 3
    index[0, :2] = 255
    image = index.float().clamp(max=3) / 1.5 - 1
    still = RandomSamples((32, 32), mirror=False, degrees=0, scaling=0, shift=0, prob=1).set_random_state(1)
    made = still({"image": image, "label": index, "known": True})
    assert torch.equal(made["label"], index)
    assert made["known"]
    assert (made["image"] - image).abs().max() > 0.01
    moving = RandomSamples((32, 32), gamma=(1, 1.001), noise=0, prob=1).set_random_state(2)
    agree = []
    for _ in range(5):
        made = moving({"image": image, "label": index})
        assert set(made["label"].unique().tolist()) <= {0, 3, 255}
        agree.append(((made["image"] > 0) == (made["label"] > 0)).float().mean().item())
    assert min(agree) > 0.97
    assert not torch.equal(made["label"], index)


def test_half_are_mirrored_and_all_follows_from_the_seed():
    image = torch.rand(2, 16, 16, generator=GENERATOR)
    mirrored = RandomSamples((16, 16), prob=0).set_random_state(0)
    made = [mirrored({"image": image})["image"] for _ in range(100)]
    flips = [torch.equal(one, image.flip(-1)) for one in made]
    assert all(flip or torch.equal(one, image) for flip, one in zip(flips, made, strict=True))
    assert 35 < sum(flips) < 65
    augment = RandomSamples((16, 16), prob=1)
    twice = []
    for _ in range(2):
        set_rnd(augment, 7)  # as MONAI's loader does in a worker
        twice.append(torch.stack([augment({"image": image})["image"] for _ in range(3)]))
    assert torch.equal(*twice)
    assert not torch.equal(twice[0][0], twice[0][1])
    with pytest.raises(ValueError, match="two lengths of slices or three of volumes"):
        RandomSamples((16,))
