"""Geometry that nobody knows is refused; a shear that moves nothing is not."""

import nibabel as nib
import numpy as np
import pytest

from tools.io.volume import VolumeError, check_geometry, shear, without_shear

SHAPE = (40, 50, 30)


def affine(spacing=(0.7, 0.8, 2.5), angle=0.3):
    """Turned about one axis; its first voxel off the origin."""
    c, s = np.cos(angle), np.sin(angle)
    result = np.eye(4)
    result[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) * spacing
    result[:3, 3] = (-12, 7, 100)
    return result


def sheared(by):
    """The second axis leans towards the first."""
    slanted = affine()
    slanted[:3, 1] += by * slanted[:3, 0] / 0.7 * 0.8
    return slanted


def test_right_angles_have_no_shear():
    check_geometry("a.nii", affine(), SHAPE)
    assert shear(affine(), SHAPE) == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(without_shear(affine(), SHAPE), affine(), atol=1e-9)


@pytest.mark.parametrize("by", [1e-4, 1e-3, -5e-3])
def test_a_shear_that_moves_nothing_is_accepted(by):
    check_geometry("a.nii", sheared(by), SHAPE)
    straight = without_shear(sheared(by), SHAPE)
    np.testing.assert_allclose(nib.affines.voxel_sizes(straight), nib.affines.voxel_sizes(sheared(by)))
    centre = [(n - 1) / 2 for n in SHAPE]
    np.testing.assert_allclose(*(nib.affines.apply_affine(a, centre) for a in (straight, sheared(by))))


def test_a_shear_beyond_a_quarter_of_a_voxel_is_named():
    with pytest.raises(VolumeError, match=r"a\.nii: its axes are sheared, .*resample it"):
        check_geometry("a.nii", sheared(0.05), SHAPE)
    # half the lean on either axis, at half the volume: 0.05 / 2 * 25 * 0.8 mm of voxels of 0.7 mm, and more
    assert shear(sheared(0.05), SHAPE) > 0.05 / 2 * 25 * 0.8 / 0.7
    parallel = affine()
    parallel[:3, 1] = parallel[:3, 0]
    with pytest.raises(VolumeError, match="sheared"):
        check_geometry("a.nii", parallel, SHAPE)


@pytest.mark.parametrize("size", [0, 1e-30, 9e-3, 101])
def test_voxel_sizes_that_cannot_be(size):
    with pytest.raises(VolumeError, match=r"its voxels measure .* mm, expected 0\.01 to 100 mm"):
        check_geometry("a.nii", affine((0.7, size, 2.5)), SHAPE)


@pytest.mark.parametrize("row", [0, 2])
@pytest.mark.parametrize("column", [1, 3])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_none(row, column, value):
    broken = affine()
    broken[row, column] = value
    with pytest.raises(VolumeError, match="holds NaN or infinite"):
        check_geometry("a.nii", broken, SHAPE)
