import gzip
import pickle
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from monai.data import NibabelReader
from monai.transforms import LoadImage

from tests.real import REAL, needs_real
from tools.io.readers import VolumeError, data_files, read_header, volume_suffix
from tools.io.volume_reader import VolumeReader

NAMES = ["a.mhd", "z.mhd", "a.mha", "z.mha", "a.nii", "z.nii.gz"]


def write(path, array=None, compress=None):
    if array is None:
        array = np.random.default_rng(0).integers(-1000, 1000, (9, 10, 11)).astype(np.int16)
    image = sitk.GetImageFromArray(array, isVector=False)
    if image.GetDimension() == 3:
        image.SetSpacing((0.7, 0.8, 2.5))
        image.SetOrigin((-10, 20, -30))
        image.SetDirection((0, 1, 0, 1, 0, 0, 0, 0, -1))
    if compress is None:
        compress = Path(path).name.startswith("z")
    sitk.WriteImage(image, str(path), compress)
    return array


def load(path):
    return LoadImage(reader=VolumeReader)(str(path))


@pytest.mark.parametrize("name", NAMES)
def test_same_array_and_affine_from_every_format(tmp_path, name):
    array = write(tmp_path / name)
    image = load(tmp_path / name)
    assert image.shape == (11, 10, 9)
    np.testing.assert_array_equal(image.numpy(), array.T)
    # LPS of the file: x and y swapped, z reversed; RAS negates the first two rows
    expected = np.array([[0, -0.8, 0, 10], [-0.7, 0, 0, -20], [0, 0, -2.5, -30], [0, 0, 0, 1]])
    np.testing.assert_allclose(image.affine.numpy(), expected, atol=1e-5)
    header = read_header(tmp_path / name)
    assert header.shape == (11, 10, 9)
    np.testing.assert_allclose(header.field_of_view, [9 * 2.5, 11 * 0.7, 10 * 0.8], rtol=1e-5)


def test_agrees_with_nibabel(tmp_path):
    write(tmp_path / "a.nii.gz")
    ours, theirs = load(tmp_path / "a.nii.gz"), LoadImage(reader=NibabelReader)(str(tmp_path / "a.nii.gz"))
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    np.testing.assert_allclose(ours.affine.numpy(), theirs.affine.numpy(), atol=1e-5)


def test_voxels_live_as_long_as_their_array(tmp_path):
    expected = write(tmp_path / "a.mhd", np.random.default_rng(1).integers(-9, 9, (32, 64, 64)).astype(np.int16)).T
    arrays = [VolumeReader().get_data(str(tmp_path / "a.mhd"))[0][1:] for _ in range(20)]
    others = [sitk.Image(64, 64, 32, sitk.sitkInt16) + 7 for _ in range(20)]  # would take the place of what was freed
    for array in arrays:
        np.testing.assert_array_equal(array, expected[1:])
    arrays[0] += 1
    np.testing.assert_array_equal(arrays[0], expected[1:] + 1)
    np.testing.assert_array_equal(arrays[1], expected[1:])
    assert all((sitk.GetArrayViewFromImage(other) == 7).all() for other in others)


@needs_real
def test_agrees_with_nibabel_on_real_volumes():
    for path in sorted(REAL.rglob("*.nii.gz")):
        ours, theirs = load(path), LoadImage(reader=NibabelReader)(str(path))
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy(), err_msg=str(path))
        np.testing.assert_allclose(ours.affine.numpy(), theirs.affine.numpy(), atol=1e-3, err_msg=str(path))


def data_of(path):
    return data_files(path)[-1]


@pytest.mark.parametrize("name", NAMES)
def test_truncated_is_refused(tmp_path, name, capfd):
    write(tmp_path / name)
    data = data_of(tmp_path / name)
    data.write_bytes(data.read_bytes()[: -(data.stat().st_size // 3)])
    for read in (load, read_header):
        with pytest.raises(VolumeError, match=name) as error:
            read(tmp_path / name)
        assert "truncated" in str(error.value) or "header says" in str(error.value)


@pytest.mark.parametrize("name", ["z.mhd", "z.mha", "z.nii.gz"])
def test_damaged_is_refused(tmp_path, name):
    array = np.random.default_rng(0).integers(-1000, 1000, (30, 40, 50)).astype(np.int16)
    write(tmp_path / name, array)
    data = data_of(tmp_path / name)
    content = bytearray(data.read_bytes())
    for k in range(len(content) - 3000, len(content) - 2950):
        content[k] ^= 0x5A
    data.write_bytes(bytes(content))
    with pytest.raises(VolumeError, match=name):
        load(tmp_path / name)


def test_raw_of_another_size_is_refused(tmp_path):
    write(tmp_path / "a.mhd")
    with open(tmp_path / "a.raw", "ab") as f:
        f.write(b"123456")
    with pytest.raises(VolumeError, match=r"holds 1986 bytes of voxels, its header says 1980"):
        read_header(tmp_path / "a.mhd")


def test_gzip_of_several_members_is_accepted(tmp_path):
    array = write(tmp_path / "a.nii")
    content = (tmp_path / "a.nii").read_bytes()
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(content[:900]) + gzip.compress(content[900:]))
    read_header(tmp_path / "b.nii.gz")
    np.testing.assert_array_equal(load(tmp_path / "b.nii.gz").numpy(), array.T)


def test_missing_data_file(tmp_path):
    write(tmp_path / "a.mhd")
    (tmp_path / "a.raw").unlink()
    with pytest.raises(VolumeError, match=r"data file a\.raw is missing"):
        read_header(tmp_path / "a.mhd")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("content", [b"", b"not an image"])
def test_not_an_image(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    for read in (load, read_header):
        with pytest.raises(VolumeError, match="header cannot be read"):
            read(tmp_path / name)


def test_missing_and_unknown(tmp_path):
    with pytest.raises(VolumeError, match="no such file"):
        load(tmp_path / "a.mhd")
    with pytest.raises(VolumeError, match=r"expected one of \.mhd"):
        load(tmp_path / "a.dcm")


@pytest.mark.parametrize(
    ("shape", "vector"), [((5, 6), False), ((2, 5, 6, 7), False), ((5, 6, 7, 3), True)], ids=["2d", "4d", "vector"]
)
@pytest.mark.parametrize("name", ["a.mhd", "a.nii.gz"])
def test_wrong_dimensions(tmp_path, shape, vector, name):
    image = sitk.GetImageFromArray(np.zeros(shape, np.int16), isVector=vector)
    sitk.WriteImage(image, str(tmp_path / name))
    with pytest.raises(VolumeError, match="expected a 3D volume with one number per voxel"):
        load(tmp_path / name)


def test_error_keeps_reason_between_processes():
    error = pickle.loads(pickle.dumps(VolumeError.of("a.mhd", "it is bad")))
    assert (str(error), error.reason) == ("a.mhd: it is bad", "it is bad")


def test_suffix_of_names_with_dots():
    assert volume_suffix("1.3.6.1.mhd") == ".mhd"
    assert volume_suffix("1.3.6.1.nii.gz") == ".nii.gz"
    assert volume_suffix("1.3.6.1") is None


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_nan_is_not_read_as_zero(tmp_path, suffix):
    """ITK's reader of NIfTI makes it 0."""
    volume = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    volume[1, 2, 3] = np.nan
    nib.save(nib.Nifti1Image(volume, np.eye(4)), tmp_path / f"a{suffix}")
    array, _ = VolumeReader().get_data(str(tmp_path / f"a{suffix}"))
    assert np.array_equal(array, volume, equal_nan=True)


@pytest.mark.parametrize("direction", [(1, 0, 0, 0, 1, 0, 0, 0, 1), (0, 0, 1, 1, 0, 0, 0, 1, 0)])
def test_axial_slices_first_in_the_order_of_the_file(tmp_path, direction):
    """The same voxels at the same places; the order is another only where slices follow one another in the file."""
    image = sitk.GetImageFromArray(np.arange(24, dtype=np.int16).reshape(2, 3, 4))
    image.SetDirection(direction)
    image.SetSpacing((2.0, 3.0, 5.0))
    image.SetOrigin((7.0, 11.0, 13.0))
    sitk.WriteImage(image, str(tmp_path / "v.mhd"))
    plain, meta = VolumeReader().get_data(str(tmp_path / "v.mhd"))
    first, first_meta = VolumeReader(axial_first=True).get_data(str(tmp_path / "v.mhd"))
    reordered = direction[8] == 1
    assert first.shape == (plain.shape[::-1] if reordered else plain.shape)
    assert first.flags.c_contiguous == reordered
    for index in np.ndindex(plain.shape):
        there = index[::-1] if reordered else index
        assert first[there] == plain[index]
        np.testing.assert_allclose(first_meta["affine"] @ [*there, 1], meta["affine"] @ [*index, 1])
    assert tuple(first_meta["spatial_shape"]) == first.shape
