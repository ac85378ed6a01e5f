"""Montages are upright, in proportion, and written whole."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from PIL import Image

from tools.transforms.flat import as_volume, spacing_of
from tools.transforms.planes import GAP, PLANES, grey, mid_planes, montage, resized, save_png


def marked(shape=(8, 12, 16)):
    """Dark, with head 1, back 2 and left 3 on the outermost slabs."""
    volume = np.zeros(shape, np.float32)
    volume[-1], volume[:, -1], volume[:, :, -1] = 1, 2, 3
    return volume


def test_planes_are_upright():
    planes = mid_planes(marked())
    assert list(planes) == list(PLANES)
    axial, coronal, sagittal = planes.values()
    assert (axial.shape, coronal.shape, sagittal.shape) == ((12, 16), (8, 16), (8, 12))
    assert (axial[-1, :-1] == 2).all()  # back at the bottom
    assert (axial[:, -1] == 3).all()  # left on the right
    assert (coronal[0, :-1] == 1).all()  # head at the top
    assert (coronal[:, -1] == 3).all()
    assert (sagittal[0, :-1] == 1).all()
    assert (sagittal[:, -1] == 2).all()  # face to the left
    for name, plane in mid_planes(torch.tensor(marked())).items():
        assert np.array_equal(plane, planes[name])


def test_montage_lays_out_rows_of_equal_cells():
    picture = montage([marked(), marked((6, 6, 6))], window=(0, 3))
    assert picture.dtype == np.uint8
    height, width = 12 + GAP, 16 + GAP
    assert picture.shape == (2 * height, 3 * width)
    top = (height - 12) // 2
    left = (width - 16) // 2
    axial = picture[top : top + 12, left : left + 16]
    assert np.array_equal(axial, np.round(mid_planes(marked())["axial"] / 3 * 255))
    small = picture[height + (height - 6) // 2 :, (width - 6) // 2 :][:6, :6]
    assert np.array_equal(small, np.round(mid_planes(marked((6, 6, 6)))["axial"] / 3 * 255))


def test_window():
    volume = np.array([-2000.0, -1024, -212, 600, 3000])[None, None].repeat(2, 0).repeat(2, 1)
    row = montage([volume], window=(-1024, 600))[GAP // 2, GAP // 2 : GAP // 2 + 5]
    assert row.tolist() == [0, 0, 128, 255, 255]
    own = montage([volume])[GAP // 2, GAP // 2 : GAP // 2 + 5]
    assert (own[0], own[-1]) == (0, 255)
    assert montage([np.ones((4, 4, 4))]).max() == 0


def test_spacing_keeps_proportions():
    # A ball in slices four times as thick as the pixels are wide is shown round.
    z, y, x = np.meshgrid(np.arange(16) - 7.5, *[np.arange(64) - 31.5] * 2, indexing="ij")
    ball = ((4 * z) ** 2 + y**2 + x**2 < 24**2).astype(np.float32)
    picture = montage([ball], spacing=(4, 1, 1))
    assert picture.shape == (64 + GAP, 3 * (64 + GAP))
    cell = 64 + GAP
    for i in range(3):
        bright = picture[:, i * cell : (i + 1) * cell] > 127
        assert abs(bright.any(0).sum() - 48) <= 4
        assert abs(bright.any(1).sum() - 48) <= 4


def test_titles():
    volume = np.zeros((32, 32, 32))
    assert montage([volume], window=(0, 1), titles=["a"]).max() > 200
    with pytest.raises(ValueError, match="1 volumes needs as many titles, got 2"):
        montage([volume], titles=["a", "b"])


def test_bad_input():
    good = marked()
    with pytest.raises(ValueError, match=r"got shape \(1, 8, 12, 16\)"):
        mid_planes(good[None])
    with pytest.raises(ValueError, match="NaN"):
        mid_planes(np.full((4, 4, 4), np.nan))
    with pytest.raises(ValueError, match="at least one volume"):
        montage([])
    with pytest.raises(ValueError, match="low < high"):
        montage([good], window=(600, -1024))
    with pytest.raises(ValueError, match="three positive lengths"):
        montage([good], spacing=(1, 0, 1))


def test_save(tmp_path):
    path = save_png(tmp_path / "new" / "m.png", montage([marked()], window=(0, 3)))
    assert [p.name for p in path.parent.iterdir()] == ["m.png"]
    assert np.array_equal(np.asarray(Image.open(path)), montage([marked()], window=(0, 3)))


def test_an_image_of_depth_one_is_one_plane():
    flat = marked()[:1]
    assert list(mid_planes(flat)) == ["axial"]
    picture = montage([flat, flat], window=(0, 3))
    assert picture.shape == (2 * (12 + GAP), 16 + GAP)
    assert np.array_equal(picture[1:13, 1:17], np.round(flat[0] / 3 * 255))


def test_the_door_takes_volumes_and_2d_images():
    volume = torch.zeros(2, 8, 12, 16)
    assert as_volume(volume) is volume
    assert as_volume(volume[:, 3]).shape == (2, 1, 12, 16)
    assert as_volume(volume.numpy()[:, 3]).shape == (2, 1, 12, 16)
    for bad in (volume[0, 0], volume[None], volume[:, :0]):
        with pytest.raises(ValueError, match=r"a picture must be a volume .* or an image"):
            as_volume(bad, "a picture")


def test_voxel_sizes_of_volumes_and_2d_images():
    affine = torch.diag(torch.tensor([3.0, 0.5, 0.7, 1]))
    assert spacing_of(MetaTensor(torch.zeros(1, 4, 4, 4), affine=affine)) == pytest.approx((3, 0.5, 0.7))
    flat = MetaTensor(torch.zeros(1, 4, 4), affine=torch.diag(torch.tensor([0.5, 0.7, 3.0, 1])))
    assert spacing_of(flat) == pytest.approx((1, 0.5, 0.7))
    assert spacing_of(np.zeros((1, 4, 4, 4))) is None


def test_grey_values_of_a_window_and_their_size():
    picture = grey(np.array([[-200.0, 0.0], [40.0, 500.0]]), (-160, 240))
    assert picture.tolist() == [[0, 102], [128, 255]]
    assert resized(picture, 6, 20).shape == (6, 20)
    assert np.array_equal(resized(picture, 2, 2), picture)
