import gzip

import numpy as np
import pytest
import SimpleITK as sitk

from tests.real import REAL, needs_real
from tools.io.readers import VolumeError, read_header, read_volume

DIRECTION = [0.0, 1, 0, -1, 0, 0, 0, 0, 1]


@pytest.fixture
def image(tmp_path):
    voxels = np.random.default_rng(0).integers(-1000, 1000, (3, 4, 5)).astype(np.int16)  # [z, y, x]
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing((0.7, 0.8, 2.5))
    image.SetOrigin((-10, 20, 30))
    image.SetDirection(DIRECTION)
    return image


def same_as_itk(path):
    """Voxels and the place of some of them, as ITK reads the file."""
    image = sitk.ReadImage(str(path))
    voxels, header = read_volume(path)
    assert np.array_equal(voxels, sitk.GetArrayFromImage(image).T)
    assert header.shape == image.GetSize()
    for index in ((0, 0, 0), (1, 2, 1), tuple(n - 1 for n in header.shape)):
        x, y, z = image.TransformIndexToPhysicalPoint(index)
        assert header.affine @ [*index, 1] == pytest.approx([-x, -y, z, 1], abs=1e-4)


@pytest.mark.parametrize("name", ["a.nrrd", "a.nhdr"])
@pytest.mark.parametrize("compressed", [False, True])
def test_voxels_and_place_are_itks(image, tmp_path, name, compressed):
    sitk.WriteImage(image, str(tmp_path / name), compressed)
    same_as_itk(tmp_path / name)
    assert read_header(tmp_path / name).path == str(tmp_path / name)


def test_other_spaces(image, tmp_path):
    sitk.WriteImage(image, str(tmp_path / "lps.nrrd"))
    content = (tmp_path / "lps.nrrd").read_bytes()
    (tmp_path / "ras.nrrd").write_bytes(content.replace(b"left-posterior-superior", b"right-anterior-superior"))
    lps, ras = read_header(tmp_path / "lps.nrrd").affine, read_header(tmp_path / "ras.nrrd").affine
    assert ras == pytest.approx(np.diag([-1, -1, 1, 1]) @ lps)
    (tmp_path / "scanner.nrrd").write_bytes(content.replace(b"left-posterior-superior", b"scanner-xyz"))
    with pytest.raises(VolumeError, match="its space is 'scanner-xyz', expected one of"):
        read_header(tmp_path / "scanner.nrrd")


def test_damage_is_named(image, tmp_path):
    sitk.WriteImage(image, str(tmp_path / "raw.nrrd"))
    sitk.WriteImage(image, str(tmp_path / "packed.nrrd"), True)
    for name in ("raw", "packed"):
        content = (tmp_path / f"{name}.nrrd").read_bytes()
        (tmp_path / "cut.nrrd").write_bytes(content[:-20])
        with pytest.raises(VolumeError, match=r"cut.nrrd: .*(truncated|cannot be read)"):
            read_volume(tmp_path / "cut.nrrd")
    for content in (b"", b"NRRD0004\n", b"NRRD0004\ntype: int\ndimension: 3\nsizes: 1 1", gzip.compress(b"x" * 99)):
        (tmp_path / "odd.nrrd").write_bytes(content)
        with pytest.raises(VolumeError, match=r"odd\.nrrd"):
            read_header(tmp_path / "odd.nrrd")
    sitk.WriteImage(image, str(tmp_path / "a.nhdr"))
    (tmp_path / "a.raw").unlink()
    with pytest.raises(VolumeError, match=r"a.nhdr: its data file a.raw is missing"):
        read_header(tmp_path / "a.nhdr")
    sitk.WriteImage(image[..., 0], str(tmp_path / "flat.nrrd"))
    with pytest.raises(VolumeError, match=r"flat\.nrrd"):
        read_header(tmp_path / "flat.nrrd")


@needs_real
def test_real_volumes_are_as_itk_has_them():
    for name in ("brain1_image", "brain1_label"):
        same_as_itk(REAL / "labelled_mr" / f"{name}.nrrd")
