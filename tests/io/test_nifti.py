"""NIfTI beside nibabel: the same voxels at the same places, or a file that is refused by name."""

import gzip
import os
import struct
import warnings

import nibabel as nib
import numpy as np
import pytest

from tools.io.nifti import nifti_image, write_nifti
from tools.io.readers import VolumeError, read_header, read_volume, with_channel

SHAPE = (5, 6, 7)
VOXELS = np.random.default_rng(0).integers(-1000, 1000, SHAPE).astype(np.int16)
AFFINE = np.array([[0, 0, -2.5, 30], [-0.7, 0, 0, 20], [0, 0.8, 0, -10], [0, 0, 0, 1]])


def image(sform=AFFINE, qform=None, dtype=np.int16, kind=nib.Nifti1Image):
    """With the forms that are given; without any, both codes are 0."""
    made = kind(VOXELS.astype(dtype), None, dtype=dtype)
    made.header.set_zooms((0.7, 0.8, 2.5))
    made.header.set_sform(sform, code=0 if sform is None else 2)
    made.header.set_qform(qform, code=0 if qform is None else 1)
    return made


def save(path, image):
    """As the header says: nibabel's own `save` may write an affine into it."""
    with gzip.open(path, "wb") if path.name.endswith(".gz") else open(path, "wb") as file:
        file.write(written(image))
    return path


def written(image):
    header = image.header.copy()
    header["vox_offset"] = header.single_vox_offset
    data = np.asarray(image.dataobj).astype(header.get_data_dtype())
    return header.binaryblock + bytes(4) + data.tobytes(order="F")


def agrees(path):
    """With nibabel, in affine and values."""
    array, header = read_volume(path)
    theirs = nib.load(path)
    np.testing.assert_allclose(header.affine, theirs.affine, atol=1e-6)
    assert header.shape == array.shape == theirs.shape
    np.testing.assert_array_equal(array, np.asarray(theirs.dataobj, array.dtype))
    np.testing.assert_allclose(read_header(path).affine, header.affine)
    return array, header


@pytest.fixture
def silent():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("forms", [(AFFINE, None), (None, AFFINE), (AFFINE, AFFINE)])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_reads_as_nibabel_does(tmp_path, name, forms, kind):
    array, header = agrees(save(tmp_path / name, image(*forms, kind=kind)))
    np.testing.assert_array_equal(array, VOXELS)
    np.testing.assert_allclose(header.affine, AFFINE, atol=1e-5)
    assert array.flags.f_contiguous
    assert array.flags.writeable


def test_the_sform_decides_and_the_conflict_is_named(tmp_path):
    path = save(tmp_path / "a.nii.gz", image(AFFINE, np.diag([-1, 1, 1, 1]) @ AFFINE))
    with pytest.warns(UserWarning, match=r"a\.nii\.gz: its sform and its qform place voxels .* apart"):
        _, header = agrees(path)
    np.testing.assert_allclose(header.affine, AFFINE, atol=1e-5)


@pytest.mark.parametrize(("shift", "named"), [(0.05, False), (0.15, True)])
def test_a_tenth_of_a_voxel_is_no_conflict(tmp_path, shift, named):
    moved = AFFINE.copy()
    moved[2, 3] += shift * 0.8
    path = save(tmp_path / "a.nii", image(AFFINE, moved))
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        read_header(path)
    assert bool(found) == named


def test_without_a_form_it_lies_as_nibabel_says_and_is_named(tmp_path):
    path = save(tmp_path / "a.nii", image(None, None))
    with pytest.warns(UserWarning, match=r"a\.nii: it does not say how its axes lie"):
        _, header = agrees(path)
    assert nib.aff2axcodes(header.affine) == ("L", "A", "S")


def test_a_doubt_is_shown_once(tmp_path):
    path = save(tmp_path / "a.nii", image(None, None))
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("default")
        for _ in range(3):
            read_header(path)
            read_volume(path)
    assert len(found) == 1


@pytest.mark.usefixtures("silent")
def test_a_small_shear_is_accepted_and_a_large_one_named(tmp_path):
    for by, name in ((1e-3, "a.nii"), (0.2, "b.nii")):
        affine = AFFINE.copy()
        affine[:3, 1] += by * affine[:3, 0]
        save(tmp_path / name, image(affine))
    agrees(tmp_path / "a.nii")
    with pytest.raises(VolumeError, match=r"b\.nii: its axes are sheared, .* resample it"):
        read_header(tmp_path / "b.nii")


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize(("unit", "millimetres"), [("meter", 1000), ("mm", 1), ("micron", 0.001), ("unknown", 1)])
def test_units_of_length(tmp_path, unit, millimetres):
    scale = np.diag([1 / millimetres] * 3 + [1])
    made = image(scale @ AFFINE)
    made.header.set_xyzt_units(unit)
    np.testing.assert_allclose(read_header(save(tmp_path / "a.nii", made)).affine, AFFINE, atol=1e-5)


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "i4", "f4", "f8", ">i2", ">f4"])
@pytest.mark.parametrize("slope", [None, (0.5, -3), (2, 0), (0, 7)])
def test_types_and_scaling(tmp_path, dtype, slope):
    kind = np.dtype(dtype)
    header = nib.Nifti1Header(endianness=">" if dtype[0] == ">" else "<")
    made = nib.Nifti1Image(np.abs(VOXELS % 100).astype(kind), AFFINE, header, dtype=kind)
    made.header["scl_slope"], made.header["scl_inter"] = slope or (np.nan, np.nan)
    path = save(tmp_path / "a.nii", made)
    array, _ = agrees(path)
    scaled = slope is not None and slope[0] != 0
    expected = (np.float64 if kind == np.float64 else np.float32) if scaled else kind.newbyteorder("=")
    assert array.dtype == expected


@pytest.mark.usefixtures("silent")
def test_endings_that_lie_and_what_follows_the_stream(tmp_path):
    content = written(image())
    (tmp_path / "plain.nii.gz").write_bytes(content)
    (tmp_path / "packed.nii").write_bytes(gzip.compress(content))
    (tmp_path / "behind.nii.gz").write_bytes(gzip.compress(content) + b"trailing garbage")
    (tmp_path / "zeros.nii.gz").write_bytes(gzip.compress(content) + bytes(1000))
    (tmp_path / "parts.nii.gz").write_bytes(b"".join(gzip.compress(content[i : i + 99]) for i in range(0, 1000, 99)))
    for path in tmp_path.iterdir():
        np.testing.assert_array_equal(read_volume(path)[0], VOXELS, err_msg=path.name)
        read_header(path)


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize(
    "name", [os.fsdecode("Müller.nii.gz".encode("latin-1")), "患者1.nii.gz", "100%s%n.nii.gz", "x" * 248 + ".nii.gz"]
)
def test_names(tmp_path, name):
    path = save(tmp_path / name, image())
    np.testing.assert_array_equal(read_volume(path)[0], VOXELS)
    path.write_bytes(b"nothing")
    with pytest.raises(VolumeError) as error:
        read_header(path)
    str(error.value).encode()  # can be printed


FIELDS = {"pixdim": (76, 8, "f"), "srow": (280, 12, "f"), "dim": (40, 8, "h")}


def change(path, field, index, value):
    offset, _, code = FIELDS[field]
    content = bytearray(path.read_bytes())
    struct.pack_into("<" + code, content, offset + index * struct.calcsize(code), value)
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("index", [0, 3, 5])
def test_an_sform_of_no_numbers(tmp_path, value, index):
    path = save(tmp_path / "a.nii", image(AFFINE, AFFINE))
    change(path, "srow", index, value)
    with pytest.raises(VolumeError, match=r"a\.nii: where its voxels lie is not known"):
        read_header(path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("value", [0, np.nan, np.inf, 1e-3, 200])
@pytest.mark.parametrize("qform", [None, AFFINE])
def test_voxels_without_a_size(tmp_path, value, qform):
    path = save(tmp_path / "a.nii", image(None, qform))
    change(path, "pixdim", 2, value)
    with pytest.raises(VolumeError, match=r"a\.nii: (where its voxels lie|its voxels measure)"):
        read_header(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1, 0, 351, 352.5])
def test_voxels_at_no_place(tmp_path, value):
    path = save(tmp_path / "a.nii", image())
    content = bytearray(path.read_bytes())
    struct.pack_into("<f", content, 108, value)
    path.write_bytes(bytes(content))
    for read in (read_header, read_volume):
        with pytest.raises(VolumeError, match=r"a\.nii: its header says that voxels begin at byte"):
            read(path)
    struct.pack_into("<f", content, 108, 1e6)
    path.write_bytes(bytes(content))
    with pytest.raises(VolumeError, match="truncated"):
        read_header(path)


@pytest.mark.parametrize("scaling", [(np.inf, 0), (-np.inf, 0), (2, np.nan), (1, np.inf)])
def test_values_that_nobody_knows(tmp_path, scaling):
    path = save(tmp_path / "a.nii", image())
    content = bytearray(path.read_bytes())
    struct.pack_into("<2f", content, 112, *scaling)
    path.write_bytes(bytes(content))
    with pytest.raises(VolumeError, match=r"a\.nii: its values are not known"):
        read_header(path)


@pytest.mark.parametrize("value", [-1, 0, 32767])
@pytest.mark.parametrize("index", [0, 1, 3])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_sizes_that_cannot_be(tmp_path, value, index, name):
    path = save(tmp_path / "x.nii", image())
    change(path, "dim", index, value)
    content = path.read_bytes()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    for read in (read_header, read_volume):
        with pytest.raises(VolumeError, match=name):
            read(tmp_path / name)


def test_more_voxels_than_memory(tmp_path):
    path = save(tmp_path / "a.nii", image())
    for index in (1, 2, 3):
        change(path, "dim", index, 32767)
    with pytest.raises(VolumeError, match="more than this machine's memory"):
        read_header(path)


def test_a_bomb_stops_at_the_size_of_the_volume(tmp_path, monkeypatch):
    """A gigabyte of zeros behind a small volume; the whole of it is never made."""
    made = []
    content = written(image())
    with gzip.open(tmp_path / "a.nii.gz", "wb") as file:
        file.write(content)
        for _ in range(64):
            file.write(bytes(1 << 24))
    import tools.io.inflate as inflate

    real = inflate.zlib.decompressobj

    class Counted:
        def __init__(self, wbits):
            self.stream = real(wbits)

        def decompress(self, *args):
            part = self.stream.decompress(*args)
            made.append(len(part))
            return part

        def __getattr__(self, name):
            return getattr(self.stream, name)

    monkeypatch.setattr(inflate.zlib, "decompressobj", Counted)
    np.testing.assert_array_equal(read_volume(tmp_path / "a.nii.gz")[0], VOXELS)
    read_header(tmp_path / "a.nii.gz")
    assert sum(made) < 1 << 23


def test_random_damage_to_a_header_is_one_kind_of_error(tmp_path):
    """Whatever bytes a header has, it is read as nibabel reads it, or refused."""
    rng = np.random.default_rng(0)
    content = written(image(AFFINE, AFFINE))
    path = tmp_path / "a.nii"
    refused = 0
    for _ in range(400):
        damaged = bytearray(content)
        for place in rng.integers(0, 348, rng.integers(1, 6)):
            damaged[place] = rng.integers(256)
        path.write_bytes(bytes(damaged))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                assert np.isfinite(read_volume(path)[1].affine).all()
            except VolumeError:
                refused += 1
    assert 40 < refused < 360


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_what_is_written_says_the_same_twice_in_millimetres(tmp_path, name):
    write_nifti(tmp_path / name, VOXELS, AFFINE)
    made = nib.load(tmp_path / name)
    for form, code in (made.get_sform(coded=True), made.get_qform(coded=True)):
        assert code == 1
        np.testing.assert_allclose(form, AFFINE, atol=1e-5)
    assert made.header.get_xyzt_units()[0] == "mm"
    assert made.get_data_dtype() == np.int16
    np.testing.assert_array_equal(np.asarray(made.dataobj), VOXELS)
    assert [p.name for p in tmp_path.iterdir()] == [name]
    agrees(tmp_path / name)


def test_a_shear_is_written_into_the_sform(tmp_path):
    affine = AFFINE.copy()
    affine[:3, 1] += 1e-2 * affine[:3, 0]
    np.testing.assert_allclose(nifti_image(VOXELS, affine).get_sform(), affine, atol=1e-6)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_channels_of_4d_files_are_volumes(tmp_path, ending):
    voxels = np.random.default_rng(0).integers(0, 900, (5, 4, 3, 2)).astype(np.int16)
    path = tmp_path / f"BRATS_001{ending}"
    image = nib.Nifti1Image(voxels, np.diag([1, 2, 3, 1.0]))
    nib.save(image, path)
    for channel in (0, 1):
        read, header = read_volume(with_channel(path, channel))
        assert np.array_equal(read, np.asanyarray(nib.load(path).dataobj)[..., channel])
        assert header.affine == pytest.approx(image.affine)
        assert read_header(with_channel(path, channel)).shape == (5, 4, 3)
    with pytest.raises(VolumeError, match="expected a 3D volume"):
        read_volume(path)
    with pytest.raises(VolumeError, match="channel 2 is asked for, and it has 2"):
        read_volume(with_channel(path, 2))
    content = path.read_bytes()
    path.write_bytes(content[:-30])
    with pytest.raises(VolumeError, match=r"truncated|cannot be read|damaged"):
        read_volume(with_channel(path, 1))
