"""MetaImage beside SimpleITK: the same voxels at the same places, or a file that is refused by name."""

import os
import re
import zlib

import numpy as np
import pytest
import SimpleITK as sitk
from monai.data.utils import orientation_ras_lps

import tools.io.inflate as inflate
from tools.io.readers import VolumeError, data_files, file_stamp, read_header, read_volume

VOXELS = np.random.default_rng(0).integers(-1000, 1000, (4, 5, 6)).astype(np.int16)  # [z, y, x], as ITK has them

HEADER = {
    "ObjectType": "Image",
    "NDims": "3",
    "BinaryData": "True",
    "BinaryDataByteOrderMSB": "False",
    "CompressedData": "False",
    "TransformMatrix": "0 1 0 0 0 -1 1 0 0",
    "Offset": "1.5 -2 30",
    "ElementSpacing": "0.7 0.8 2.5",
    "DimSize": "6 5 4",
    "ElementType": "MET_SHORT",
    "ElementDataFile": "a.raw",
}


def save(folder, name="a.mhd", data=VOXELS, **fields):
    """A header, with fields changed, and its data in `a.raw`. A field that is None is left out."""
    lines = [f"{key} = {value}" for key, value in {**HEADER, **fields}.items() if value is not None]
    # ElementDataFile is the last, whatever is added
    lines.sort(key=lambda line: line.startswith("ElementDataFile"))
    (folder / name).write_bytes(os.fsencode("\n".join(lines) + "\n"))
    if data is not None:
        (folder / "a.raw").write_bytes(data if isinstance(data, bytes) else data.tobytes())
    return folder / name


def agrees(path):
    """With SimpleITK, in affine and values."""
    array, header = read_volume(path)
    theirs = sitk.ReadImage(str(path))
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(theirs.GetDirection(), (3, 3)) * theirs.GetSpacing()
    affine[:3, 3] = theirs.GetOrigin()
    np.testing.assert_allclose(header.affine, orientation_ras_lps(affine))
    assert header.shape == theirs.GetSize() == array.shape
    expected = sitk.GetArrayFromImage(theirs).T
    np.testing.assert_array_equal(array, expected)
    assert array.dtype == expected.dtype
    assert array.flags.writeable
    np.testing.assert_allclose(read_header(path).affine, header.affine)
    return array


def refused(path, reason):
    for read in (read_header, read_volume):
        with pytest.raises(VolumeError, match=f"{re.escape(path.name)}: .*({reason})"):
            read(path)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"TransformMatrix": None, "Rotation": "0 1 0 0 0 1 1 0 0"},
        {"TransformMatrix": None, "Offset": None},
        {"Offset": None, "Position": "4 5 6"},
        {"ElementSpacing": None, "ElementSize": "1 2 3"},
        {"ElementSize": "1 2 3", "CenterOfRotation": "0 0 0", "AnatomicalOrientation": "RAI", "Comment": "a = b: c"},
        {"TransformMatrix": "0.96 0.28 0 -0.28 0.96 0 0 0 1"},
        {"ElementSpacing": "-0.7 0.8 2.5"},
        {"HeaderSize": "0"},
        {"ElementNumberOfChannels": "1", "ObjectType": None},
    ],
)
def test_reads_as_itk_does(tmp_path, fields):
    np.testing.assert_array_equal(agrees(save(tmp_path, **fields)), VOXELS.T)


@pytest.mark.parametrize(
    "kind",
    ["CHAR", "UCHAR", "SHORT", "USHORT", "INT", "UINT", "LONG", "ULONG", "LONG_LONG", "ULONG_LONG", "FLOAT", "DOUBLE"],
)
@pytest.mark.parametrize("big", [False, True])
def test_types(tmp_path, kind, big):
    size = {"CHAR": 1, "SHORT": 2, "INT": 4, "LONG": 4, "LONG_LONG": 8, "FLOAT": 4, "DOUBLE": 8}[kind.removeprefix("U")]
    data = np.random.default_rng(1).integers(0, 127, VOXELS.size * size).astype(np.uint8).tobytes()
    agrees(save(tmp_path, data=data, ElementType=f"MET_{kind}", BinaryDataByteOrderMSB=str(big)))


@pytest.mark.parametrize("skipped", ["16", "-1"])
def test_bytes_before_the_voxels(tmp_path, skipped):
    agrees(save(tmp_path, data=bytes(16) + VOXELS.tobytes(), HeaderSize=skipped))


@pytest.mark.parametrize("local", ["LOCAL", "Local", "local"])
@pytest.mark.parametrize("compressed", [False, True])
def test_voxels_behind_the_header(tmp_path, local, compressed):
    content = zlib.compress(VOXELS.tobytes()) if compressed else VOXELS.tobytes()
    size = len(content) if compressed else None  # without it ITK gives whatever is in memory
    path = save(tmp_path, "a.mha", None, ElementDataFile=local, CompressedData=str(compressed), CompressedDataSize=size)
    path.write_bytes(path.read_bytes() + content)
    agrees(path)


def slices(folder, names):
    for name, part in zip(names, VOXELS, strict=True):
        (folder / name).write_bytes(part.tobytes())


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("s%03d.raw 0 3 1", ["s000.raw", "s001.raw", "s002.raw", "s003.raw"]),
        ("s%d.raw 2 8 2", ["s2.raw", "s4.raw", "s6.raw", "s8.raw"]),
        ("s%d.raw", ["s1.raw", "s2.raw", "s3.raw", "s4.raw"]),
        ("s%2d.raw 7 10 1", ["s 7.raw", "s 8.raw", "s 9.raw", "s10.raw"]),
        ("LIST\nb.raw\na.raw\nd.raw\nc.raw", ["b.raw", "a.raw", "d.raw", "c.raw"]),
        ("LIST 2\nb.raw\na.raw\nd.raw\nc.raw", ["b.raw", "a.raw", "d.raw", "c.raw"]),
    ],
)
def test_a_file_for_each_slice(tmp_path, pattern, names):
    path = save(tmp_path, data=None, ElementDataFile=pattern)
    slices(tmp_path, names)
    agrees(path)
    assert [file.name for file in data_files(path)] == ["a.mhd", *names]
    assert len(file_stamp(path)) == 5
    (tmp_path / names[2]).write_bytes(b"short")
    refused(path, "holds 5 bytes of voxels, its header says 60")
    (tmp_path / names[1]).unlink()
    refused(path, f"its data file {names[1]} is missing")


@pytest.mark.parametrize("numbers", ["0 2 1", "0 999999999999 1", "0 3 0", "3 0 1", "0 3 1 1", "0 x 1"])
def test_patterns_of_other_slices(tmp_path, numbers):
    path = save(tmp_path, data=None, ElementDataFile=f"s%03d.raw {numbers}")
    slices(tmp_path, ["s000.raw", "s001.raw", "s002.raw", "s003.raw"])
    refused(path, r"it names \d+ data files for its 4 slices|its data file|cannot be read")


@pytest.mark.parametrize("name", ["%s%s%s%n.raw", "100%.raw", "%999999999d.raw", "100% %d.raw"])
def test_percent_signs_are_no_orders(tmp_path, name):
    path = save(tmp_path, "50%d.mhd", data=None, ElementDataFile=name)
    refused(path, "its data file .* is missing")
    (tmp_path / name).write_bytes(VOXELS.tobytes())
    np.testing.assert_array_equal(read_volume(path)[0], VOXELS.T)


@pytest.mark.parametrize("stem", ["患者1", os.fsdecode("Müller".encode("latin-1")), "Müller", "my patient", "x" * 250])
def test_names(tmp_path, stem):
    path = save(tmp_path, f"{stem}.mhd", data=None, ElementDataFile=f"{stem}.raw")
    (tmp_path / f"{stem}.raw").write_bytes(VOXELS.tobytes())
    np.testing.assert_array_equal(read_volume(path)[0], VOXELS.T)
    if stem == "患者1":
        agrees(path)
    (tmp_path / f"{stem}.raw").unlink()
    with pytest.raises(VolumeError, match="is missing") as error:
        read_header(path)
    str(error.value).encode()  # can be printed


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"NDims": "99999999"}, "NDims is 99999999"),
        ({"NDims": "-3"}, "cannot be read"),
        ({"NDims": "x"}, "cannot be read"),
        ({"NDims": "2", "DimSize": "30 4"}, "expected a 3D volume"),
        ({"NDims": "4", "DimSize": "6 5 4 1"}, "expected a 3D volume"),
        ({"ElementNumberOfChannels": "3"}, r"3 number\(s\) per voxel"),
        ({"DimSize": "6 5 0"}, "DimSize"),
        ({"DimSize": "6 5"}, "DimSize"),
        ({"DimSize": "6 5 4.5"}, "cannot be read"),
        ({"DimSize": "6 5 " + "9" * 5000}, "cannot be read|memory"),
        ({"DimSize": "99999 99999 99999"}, "memory"),
        ({"ElementSpacing": "1e-30 1 1"}, "its voxels measure"),
        ({"ElementSpacing": "0 1 1"}, "its voxels measure"),
        ({"ElementSpacing": "1 1 1000"}, "its voxels measure"),
        ({"ElementSpacing": "nan 1 1"}, "not known"),
        ({"ElementSpacing": "1 inf 1"}, "not known"),
        ({"ElementSpacing": "1,5 1 1"}, "cannot be read"),
        ({"ElementSpacing": "1 1"}, "expected 3 numbers"),
        ({"ElementSpacing": None}, "add ElementSpacing"),
        ({"Offset": "0 nan 0"}, "not known"),
        ({"TransformMatrix": "1 0 0 0 1 0 0 0 0"}, "its voxels measure"),
        ({"TransformMatrix": "1 0 0 1 0 0 0 0 1"}, "sheared"),
        ({"TransformMatrix": "1 0.2 0 0 1 0 0 0 1"}, "sheared, .* resample it"),
        ({"ElementType": "MET_STRING"}, "ElementType is MET_STRING"),
        ({"ElementType": None}, "ElementType is not given"),
        ({"BinaryData": "False"}, "written as text"),
        ({"HeaderSize": "-2"}, "holds"),
        ({"HeaderSize": "x"}, "cannot be read"),
        ({"CompressedData": "True", "CompressedDataSize": "1e3"}, "cannot be read"),
        ({"ElementDataFile": "a.raw/b.raw"}, "is missing"),
        ({"ElementDataFile": ""}, "is missing"),
        ({"ElementDataFile": "\0"}, "cannot be read|is missing"),
    ],
)
def test_what_is_no_volume_is_named(tmp_path, fields, reason):
    refused(save(tmp_path, **fields), reason)


def test_a_small_shear_is_accepted(tmp_path):
    agrees(save(tmp_path, TransformMatrix="1 0.001 0 0 1 0 0 0 1"))


@pytest.mark.parametrize("by", [-1, 1])
def test_compressed_voxels_of_another_number(tmp_path, by):
    other = np.zeros(VOXELS.size + by, np.int16)
    path = save(tmp_path, data=zlib.compress(other.tobytes()), CompressedData="True")
    with pytest.raises(VolumeError, match=r"a\.raw holds .* bytes of voxels, its header says 240"):
        read_volume(path)


def test_a_bomb_stops_at_the_size_of_the_volume(tmp_path, monkeypatch):
    bomb = zlib.compressobj()
    content = b"".join(bomb.compress(bytes(1 << 24)) for _ in range(16)) + bomb.flush()
    path = save(tmp_path, data=content, CompressedData="True")
    monkeypatch.setattr(inflate, "SURPLUS", 1000)
    made, frombuffer = [], np.frombuffer
    monkeypatch.setattr(inflate.np, "frombuffer", lambda part, *args: made.append(len(part)) or frombuffer(part, *args))
    with pytest.raises(VolumeError, match=r"a\.raw holds more than 240 bytes of voxels"):
        read_volume(path)
    assert sum(made) == 240


def test_random_damage_to_a_header_is_one_kind_of_error(tmp_path):
    rng = np.random.default_rng(0)
    path = save(tmp_path)
    content = path.read_bytes()
    refused = 0
    for _ in range(400):
        damaged = bytearray(content)
        for place in rng.integers(0, len(content), rng.integers(1, 4)):
            damaged[place] = rng.integers(256)
        path.write_bytes(bytes(damaged))
        try:
            assert np.isfinite(read_volume(path)[1].affine).all()
            data_files(path)
        except VolumeError:
            refused += 1
    assert 40 < refused < 360
