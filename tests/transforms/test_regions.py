"""Regions of scans: what is cut out of them, and that nothing else changes when it is put back."""

import nibabel
import numpy as np
import pytest
import torch

from tools.io.readers import VolumeError
from tools.transforms.channels import Channels
from tools.transforms.regions import CutRegiond, CutSphered, PasteRegiond

WINDOW = [-1000, 500]
CHANNELS = Channels({"ct": WINDOW}, {"lung": 1, "nodule": 2})
AFFINE = np.diag([2.0, 2.0, 4.0, 1.0])
AFFINE[:3, 3] = [-20, 10, 100]


def case(folder, dtype=np.int16, nodule=True):
    """A scan [24, 20, 12] with a nodule of 3 x 2 x 2 voxels from (9, 8, 5), as files; also its arrays."""
    hu = np.random.default_rng(0).integers(-3024, 2500, (24, 20, 12)).astype(dtype)
    label = np.ones(hu.shape, np.uint8)
    if nodule:
        label[9:12, 8:10, 5:7] = 2
    paths = {}
    for name, array in (("image", hu), ("label_map", label)):
        paths[name] = str(folder / f"{name}.nii.gz")
        nibabel.save(nibabel.Nifti1Image(array, AFFINE), paths[name])
    return {**paths, "seed": 3, "name": "made"}, hu, label


def in_file(volume):
    """A volume [1, axial, rows, columns] with axes to the head, the back and the left, by the file's: right, front."""
    return np.asarray(volume[0])[:, ::-1, ::-1].transpose(2, 1, 0)


def test_what_is_cut_out(tmp_path):
    item, hu, label = case(tmp_path)
    made = CutRegiond(CHANNELS, "nodule", times=4, margin=2.5, context=2)(item)
    # 3 x 2 x 2 voxels, one of 2 mm more on each side, none of 4 mm, 2 of context, as multiples of 4
    assert made["known"].shape == made["mask"].shape == made["latent"].shape == (1, 8, 8, 12)
    assert made["labels"].shape == (2, 8, 8, 12)
    assert set(made["mask"].unique().tolist()) == {0.0, 1.0}
    spacing = np.array([2.0, 2.0, 4.0])
    places = np.argwhere(label == 2)
    near = [np.linalg.norm((places - index) * spacing, axis=1).min() <= 2.5 for index in np.ndindex(*label.shape)]
    assert made["mask"].sum() == sum(near)
    assert made["spacing"].tolist() == [4, 2, 2]
    start = [int(n) for n in made["box"]]
    known = torch.as_tensor(np.asarray(made["scan"][0])).float().clamp(*WINDOW)
    known = (known - WINDOW[0]) / 750 - 1
    here = tuple(slice(f, f + n) for f, n in zip(start, (8, 8, 12), strict=True))
    assert torch.allclose(made["known"][0], known[here], atol=1e-6)
    levels = torch.linspace(0, 1, 4)
    first, last = ((made[key].view(3, 4) * levels).sum(1).tolist() for key in ("bottom_region", "top_region"))
    assert first == pytest.approx([n / of for n, of in zip(start, (12, 20, 24), strict=True)], abs=1e-5)
    ends = [n + side for n, side in zip(start, (8, 8, 12), strict=True)]
    assert last == pytest.approx([n / of for n, of in zip(ends, (12, 20, 24), strict=True)], abs=1e-5)
    assert np.array_equal(in_file(made["scan"]), hu)


def test_nothing_changes_outside_of_the_region(tmp_path):
    """Also what lies beyond the window, and a box that is larger than the scan."""
    item, hu, label = case(tmp_path)
    for context in (1, 9):
        made = CutRegiond(CHANNELS, "nodule", times=4, margin=0, context=context)(item)
        made["pred"] = torch.full_like(made["known"], 0.5)
        pasted = in_file(PasteRegiond("pred", WINDOW)(made)["pred"])
        assert pasted.dtype == np.int16
        assert (pasted[label == 2] == 125).all()  # 0.5 of [-1000, 500] HU
        assert np.array_equal(pasted[label != 2], hu[label != 2])


def test_a_sphere_gets_the_class(tmp_path):
    item, *_ = case(tmp_path, nodule=False)
    centre = (AFFINE @ [10, 9, 6, 1])[:3]
    made = CutRegiond(CHANNELS, "nodule", times=4, sphere=[*centre, 13.0])(item)
    index = in_file(made["label_map"])
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in index.shape), indexing="ij"), -1)
    away = np.linalg.norm((grid - [10, 9, 6]) * [2.0, 2.0, 4.0], axis=-1)
    assert np.array_equal(index == 2, away <= 6.5)


def test_what_cannot_be_made(tmp_path):
    with pytest.raises(ValueError, match="region is 'tumour', expected one of the classes: lung, nodule"):
        CutRegiond(CHANNELS, "tumour", times=4)
    item, *_ = case(tmp_path, nodule=False)
    with pytest.raises(VolumeError, match="it has no voxel of 'nodule', which is to be made"):
        CutRegiond(CHANNELS, "nodule", times=4)(item)
    item, hu, label = case(tmp_path)
    nibabel.save(nibabel.Nifti1Image(hu + np.float32(0.25), AFFINE), item["image"])
    with pytest.raises(VolumeError, match="its values are no whole numbers of 16 bits"):
        CutRegiond(CHANNELS, "nodule", times=4)(item)
    nibabel.save(nibabel.Nifti1Image(label[:-1], AFFINE), item["label_map"])
    with pytest.raises(VolumeError, match="it has not the voxels of its image"):
        CutRegiond(CHANNELS, "nodule", times=4)(item)


def test_a_sphere_in_a_scan_without_labels(tmp_path):
    """All of it and the margin is made anew, nothing else, and the label map says where."""
    item, hu, _ = case(tmp_path)
    centre = (AFFINE @ [10, 9, 6, 1])[:3]
    made = CutSphered(WINDOW, times=4, margin=2.5, context=1, sphere=[*centre, 9.0])(item)
    made["pred"] = torch.full_like(made["known"], 0.5)
    pasted = PasteRegiond("pred", WINDOW)(made)
    index = in_file(made["label_map"])
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in hu.shape), indexing="ij"), -1)
    near = [np.argwhere(np.linalg.norm((grid - [10, 9, 6]) * [2.0, 2.0, 4.0], axis=-1) <= 4.5)]
    away = np.min([np.linalg.norm((grid - voxel) * [2.0, 2.0, 4.0], axis=-1) for voxel in near[0]], axis=0)
    assert np.array_equal(index == 1, away <= 2.5)
    assert np.array_equal(in_file(pasted["pred"]), np.where(index == 1, 125, hu))
    assert pasted["centre"] == pytest.approx(centre)
    with pytest.raises(VolumeError, match=r"a sphere of 9 mm at .* has no voxel of it"):
        CutSphered(WINDOW, times=4, sphere=[*(-centre), 9.0])(item)
