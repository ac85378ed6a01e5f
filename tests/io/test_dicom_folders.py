"""Folders of DICOM as scanners, archives and accidents leave them: several series, jitter, broken tags, codecs."""

import os
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from monai.data.utils import orientation_ras_lps
from pydicom.uid import JPEG2000Lossless, JPEGLosslessSV1, generate_uid

from tests.io.test_dicom import AFFINE, change, hu
from tools.io.dicom import dicom_series, echo_times, read_dicom_series
from tools.io.dicom_writer import write_dicom_series
from tools.io.readers import VolumeError


def by_gdcm(folder, files=None):
    """The volume [x, y, z] and affine (RAS) of a folder's one series, as GDCM in SimpleITK reads them."""
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(files or reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    world = np.eye(4)
    world[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    world[:3, 3] = image.GetOrigin()
    return sitk.GetArrayFromImage(image).T, orientation_ras_lps(world)


def write(folder, shape=(12, 10, 6), seed=0, affine=AFFINE, modality="MR", **options):
    return write_dicom_series(folder, np.abs(hu(shape, seed)), affine, modality, rescale=(1, 0), **options)


def together(*folders):
    """The first folder with the files of the others."""
    first, *others = folders
    for folder in others:
        for file in folder.iterdir():
            file.rename(first / f"{folder.name}_{file.name}")
    return first


def moved(mm):
    affine = AFFINE.copy()
    affine[2, 3] += mm
    return affine


@pytest.mark.parametrize("level", ["PatientID", "StudyInstanceUID", "SeriesInstanceUID"])
def test_other_patients_studies_and_series_are_never_one_volume(tmp_path, level):
    """Half a slice apart, so that only the ids tell them apart."""
    same = {"PatientID": "P1", "StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid()}
    for name, mm in (("a", 0), ("b", AFFINE[2, 2] / 2)):
        for file in write(tmp_path / name, affine=moved(mm)).iterdir():
            change(file, **same)
    for file in (tmp_path / "b").iterdir():
        change(file, **{level: "P2" if level == "PatientID" else same[level][:-2]})
    with pytest.raises(VolumeError, match=r"2 volumes \(6 MR slices .*; 6 MR slices .*folder of its own"):
        dicom_series(together(tmp_path / "a", tmp_path / "b"))


def test_a_uid_for_every_file_tells_nothing_apart_but_patients_do(tmp_path):
    folder = write(tmp_path / "a", series_per_file=True)
    for file in folder.iterdir():
        change(file, StudyInstanceUID=generate_uid(), PatientID="")
    files = [str(f) for f in sorted(folder.iterdir())]
    voxels, affine = by_gdcm(folder, files)
    read, series = read_dicom_series(folder)
    assert np.array_equal(read, voxels)
    assert np.allclose(series.affine, affine, atol=1e-4)
    for file in files[3:]:
        change(file, PatientID="P2")
    with pytest.raises(VolumeError, match="holds 2 volumes"):
        dicom_series(folder)


def test_a_few_slices_beside_many_single_ones_are_not_taken_for_the_volume(tmp_path):
    scout = write(tmp_path / "scout", shape=(8, 8, 2))
    many = write(tmp_path / "many", series_per_file=True)
    with pytest.raises(VolumeError, match="holds 7 volumes"):
        dicom_series(together(many, scout))


def test_jitter_of_the_last_digit_is_one_volume(tmp_path):
    volume = np.abs(hu())
    folder = write(tmp_path / "mr", echo_time=4.602)
    for index, file in enumerate(sorted(folder.iterdir())):
        if index % 2:
            change(
                file,
                EchoTime=4.603,
                PixelSpacing=["1.250001", "1.500049"],
                ImageOrientationPatient=["0.99999995", "0.0003", "0", "-0.0003", "0.99999995", "0"],
            )
    read, series = read_dicom_series(folder)
    voxels, affine = by_gdcm(folder)
    assert np.array_equal(read, volume)
    assert np.array_equal(read, voxels)
    assert np.allclose(series.affine, affine, atol=2e-3)
    assert series.echo_time == pytest.approx(4.6025)
    assert echo_times(folder) == [pytest.approx(4.6025)]
    assert np.array_equal(read_dicom_series(folder, 4.6)[0], volume)


def test_rounding_does_not_decide(tmp_path):
    """4.6005 and 4.60049 round to different thousandths, 2.3 and 2.4 are two echoes."""
    one = {"SeriesInstanceUID": generate_uid(), "StudyInstanceUID": generate_uid()}
    for name, echoes in (("a", ("4.6005", "4.60049")), ("b", ("2.3", "2.4"))):
        folder = write(tmp_path / name)
        for index, file in enumerate(sorted(folder.iterdir())):
            change(file, EchoTime=echoes[index % 2], **one)
    assert dicom_series(tmp_path / "a").shape == (12, 10, 6)
    assert echo_times(tmp_path / "b") == [2.3, 2.4]
    with pytest.raises(VolumeError, match=r"2 volumes .*echo time 2.3 ms.*echo time 2.4 ms"):
        dicom_series(tmp_path / "b")


def raw(file, name, value):
    """Puts into a file a value that pydicom would not write."""
    dataset = pydicom.dcmread(file)
    element = dataset.get(name, None)
    with pydicom.config.disable_value_validation():
        dataset.add_new(name, "LO" if element is None or isinstance(value, str) else dataset[name].VR, value)
        dataset.save_as(file)
    if isinstance(value, str):  # its type, which was needed to have the text written
        vr = pydicom.datadict.dictionary_VR(name)
        tag = pydicom.tag.Tag(name)
        mark = tag.group.to_bytes(2, "little") + tag.element.to_bytes(2, "little")
        content = file.read_bytes()
        assert content.count(mark + b"LO") == 1
        file.write_bytes(content.replace(mark + b"LO", mark + vr.encode()))


BROKEN = {
    "orientation of three numbers": ("ImageOrientationPatient", [1, 0, 0], "ImageOrientationPatient .*expected 6"),
    "empty orientation": ("ImageOrientationPatient", "", "no position, orientation"),
    "orientation at 45 degrees": ("ImageOrientationPatient", [1, 0, 0, 1, 1, 0], "no pair of directions"),
    "orientation of zeros": ("ImageOrientationPatient", [0] * 6, "no pair of directions"),
    "orientation that is not a number": ("ImageOrientationPatient", "1\\0\\0\\0\\nan\\0", "expected 6 numbers"),
    "position as text": ("ImagePositionPatient", "a\\b\\c", "ImagePositionPatient .*expected 3 numbers"),
    "position at infinity": ("ImagePositionPatient", "0\\0\\inf", "expected 3 numbers"),
    "one spacing": ("PixelSpacing", [1.5], "PixelSpacing .*expected 2 numbers"),
    "spacing of zero": ("PixelSpacing", [0, 0], "PixelSpacing .*expected 0.01 to 100"),
    "spacing in metres": ("PixelSpacing", [0.0015, 0.0015], "PixelSpacing .*expected 0.01 to 100"),
    "spacing of a house": ("PixelSpacing", [150, 150], "PixelSpacing .*expected 0.01 to 100"),
    "spacing as text": ("PixelSpacing", "1.5\\1x5", "PixelSpacing .*expected 2 numbers"),
    "slope as text": ("RescaleSlope", "abc", "RescaleSlope is 'abc'"),
    "slope of zero": ("RescaleSlope", 0, "RescaleSlope is 0"),
    "infinite slope": ("RescaleSlope", "inf", "RescaleSlope is 'inf'"),
    "intercept that is not a number": ("RescaleIntercept", "nan", "RescaleIntercept is 'nan'"),
    "echo time as text": ("EchoTime", "abc", "EchoTime is 'abc'"),
    "too many rows": ("Rows", 16408, "holds 240 bytes of pixels, its header says 393792"),
    "too many pixels": ("PixelData", b"\0" * 720, "holds 720 bytes of pixels, its header says 240"),
    "no pixels": ("PixelData", None, "it has no pixels"),
    "no rows": ("Rows", None, "it has no Rows"),
    "no bits": ("BitsAllocated", None, "it has no BitsAllocated"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_tag_leaves_the_slice_out_by_name(tmp_path, what):
    name, value, reason = BROKEN[what]
    folder = write(tmp_path / "a", modality="CT", echo_time=None)
    last, middle = folder / "IMG-0001-00006.dcm", folder / "IMG-0001-00003.dcm"
    with pydicom.config.disable_value_validation():
        change(last, **{name: None}) if value is None else raw(last, name, value)
    with pytest.warns(UserWarning, match=rf"1 file\(s\) left out: {last.name} \(.*{reason}"):
        read, _ = read_dicom_series(folder)
    assert np.array_equal(read, np.abs(hu())[..., :5])
    last.rename(middle)
    with pytest.raises(VolumeError, match=rf"slice is missing there \(left out: {middle.name} \(.*{reason}"):
        read_dicom_series(folder)
    for file in folder.glob("*"):
        if file != middle:
            file.unlink()
    with pytest.raises(VolumeError, match=rf"no DICOM slice in it \(left out: {middle.name} \(.*{reason}"):
        dicom_series(folder)


@pytest.mark.filterwarnings("ignore:.*left out")
def test_flipped_bits_and_cut_files_raise_nothing_else(tmp_path):
    rng = np.random.default_rng(0)
    whole = np.abs(hu((8, 6, 3)))
    source = [file.read_bytes() for file in sorted(write(tmp_path / "whole", (8, 6, 3)).iterdir())]
    outcomes = set()
    for trial in range(150):
        folder = tmp_path / str(trial)
        folder.mkdir()
        for index, content in enumerate(source):
            damaged = bytearray(content)
            if index == 1:
                place = int(rng.integers(132, len(damaged) - whole[..., 0].nbytes))
                damaged[place] ^= 1 << int(rng.integers(8))
                damaged = damaged[: int(rng.integers(len(damaged)))] if trial % 10 == 0 else damaged
            (folder / f"{index}.dcm").write_bytes(damaged)
        try:
            read_dicom_series(folder)
            outcomes.add("read")
        except VolumeError:
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}


def test_single_slices(tmp_path):
    folder = write(tmp_path / "a", shape=(12, 10, 1))
    assert dicom_series(folder).affine[2, 2] == pytest.approx(5.5)
    (file,) = folder.iterdir()
    change(file, SpacingBetweenSlices=None)
    assert dicom_series(folder).affine[2, 2] == pytest.approx(5.5)
    change(file, SliceThickness=0)
    with pytest.raises(VolumeError, match=r"IMG-0001-00001.dcm is a single slice, and does not say how thick"):
        dicom_series(folder)
    change(file, SliceThickness=2000)
    with pytest.raises(VolumeError, match=r"voxels measure 1.5 x 1.25 x 2000 mm, expected 0.01 to 100"):
        dicom_series(folder)


def test_slices_too_close_or_too_far_apart(tmp_path):
    for name, step in (("close", 0.005), ("far", 150)):
        affine = AFFINE.copy()
        affine[2, 2] = step
        with pytest.raises(VolumeError, match=rf"voxels measure 1.5 x 1.25 x {step:g} mm, expected 0.01 to 100"):
            dicom_series(write(tmp_path / name, affine=affine))


def leaning(folder, by):
    """A series each of whose slices lies further along the columns than the last by a part of a pixel."""
    write(folder)
    for index, file in enumerate(sorted(folder.iterdir())):
        x, y, z = pydicom.dcmread(file).ImagePositionPatient
        change(file, ImagePositionPatient=[x, float(y) + by(index) * 1.25, z])
    return folder


def test_a_shear_that_moves_nothing_is_accepted(tmp_path):
    """Each voxel lies where GDCM's affine, and its own slice's header, have it."""
    folder = leaning(tmp_path / "a", lambda index: 0.5 * index / 5)
    read, series = read_dicom_series(folder)
    voxels, affine = by_gdcm(folder)
    assert np.array_equal(read, voxels)
    sizes = np.linalg.norm(series.affine[:3, :3], axis=0)
    assert np.allclose(sizes[:, None] * np.eye(3), np.linalg.qr(series.affine[:3, :3])[1].__abs__(), atol=1e-9)
    for index, file in enumerate(series.files):
        position = np.asarray(pydicom.dcmread(file).ImagePositionPatient, float) * [-1, -1, 1]
        for corner in ([0, 0], [11, 0], [0, 9], [11, 9]):
            own = position + affine[:3, :2] @ corner
            moved = np.linalg.inv(series.affine[:3, :3]) @ (series.affine[:3] @ [*corner, index, 1] - own)
            assert np.linalg.norm(moved) < 0.25


@pytest.mark.parametrize("by", [lambda i: 1.5 * i / 5, lambda i: 0.6 * (i % 2)], ids=["leaning", "to and fro"])
def test_a_shear_beyond_a_quarter_of_a_voxel_is_refused(tmp_path, by):
    with pytest.raises(VolumeError, match=r"sideways by up to [\d.]+ mm.*the volume is sheared; resample"):
        dicom_series(leaning(tmp_path / "a", by))


def test_frames_in_one_file_are_said_by_name(tmp_path):
    folder = write(tmp_path / "a", shape=(12, 10, 1))
    (file,) = folder.iterdir()
    dataset = pydicom.dcmread(file)
    dataset.NumberOfFrames = 3
    dataset.PixelData = dataset.PixelData * 3
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):  # they stand in a sequence there
        delattr(dataset, name)
    dataset.PerFrameFunctionalGroupsSequence = [pydicom.Dataset()] * 3
    dataset.save_as(file)
    with pytest.raises(VolumeError, match=rf"{file.name} \(it holds 3 frames in one file, .*convert it to NIfTI"):
        dicom_series(folder)


def compress(file, codec, syntax):
    """Packs the stored pixels of a file with one of GDCM's codecs."""
    dataset = pydicom.dcmread(file)
    writer = sitk.ImageFileWriter()
    writer.SetUseCompression(True)
    writer.SetCompressor(codec)
    packed = str(file.with_suffix(".packed.dcm"))
    writer.SetFileName(packed)
    writer.Execute(sitk.GetImageFromArray(dataset.pixel_array[None]))
    dataset.PixelData = pydicom.dcmread(packed).PixelData
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    dataset.file_meta.TransferSyntaxUID = pydicom.dcmread(packed).file_meta.TransferSyntaxUID
    assert dataset.file_meta.TransferSyntaxUID == syntax
    dataset.save_as(file)
    Path(packed).unlink()


@pytest.mark.parametrize("codec", [("JPEG", JPEGLosslessSV1), ("JPEG2000", JPEG2000Lossless)], ids=lambda c: c[0])
@pytest.mark.parametrize(
    ("modality", "signed", "rescale"), [("CT", False, (1, -1024)), ("CT", True, (2, 10)), ("MR", False, (0.5, 3))]
)
def test_lossless_jpeg_is_read_as_gdcm_reads_it(tmp_path, modality, signed, rescale, codec):
    """GDCM rescales CT by itself, and not MR."""
    volume = hu() // 2 * 2 if modality == "CT" else np.abs(hu()) / 2 + 3
    folder = write_dicom_series(tmp_path / "a", volume, AFFINE, modality, signed=signed, rescale=rescale)
    plain, _ = read_dicom_series(folder)
    for file in sorted(folder.iterdir()):
        compress(file, *codec)
    read, series = read_dicom_series(folder)
    assert read.dtype == plain.dtype
    assert np.array_equal(read, volume)
    assert np.allclose(series.affine, AFFINE, atol=1e-4)
    if modality == "CT":
        assert np.array_equal(read, by_gdcm(folder)[0])


def test_huge_slopes_are_refused(tmp_path):
    folder = write(tmp_path / "a")
    change(folder / "IMG-0001-00002.dcm", RescaleSlope="1e300")
    with pytest.raises(VolumeError, match=r"IMG-0001-00002.dcm has values that are not finite, with the slope 1e\+300"):
        read_dicom_series(folder)


def test_names_that_are_not_utf8(tmp_path):
    folder = write(tmp_path / "a")
    read, _ = read_dicom_series(folder)
    for index, file in enumerate(sorted(folder.iterdir())):
        os.rename(file, bytes(folder) + f"/Schädel{index}".encode("latin-1"))
    assert np.array_equal(read_dicom_series(folder)[0], read)
