"""DICOM folders: CHAOS's quirks are read, what is wrong is named, what is written loads elsewhere."""

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from monai.data.utils import orientation_ras_lps

from tools.io.dicom import dicom_series, echo_times, is_dicom_folder, read_dicom_series
from tools.io.dicom_writer import write_dicom_series
from tools.io.readers import VolumeError

AFFINE = np.array([[-1.5, 0, 0, 40], [0, -1.25, 0, 30], [0, 0, 5.5, -200], [0, 0, 0, 1]])
OBLIQUE = AFFINE.copy()
OBLIQUE[:3, :3] = np.array([[1, 0, 0], [0, np.cos(0.2), -np.sin(0.2)], [0, np.sin(0.2), np.cos(0.2)]]) @ AFFINE[:3, :3]


def hu(shape=(12, 10, 6), seed=0):
    return np.random.default_rng(seed).integers(-1024, 2000, shape).astype(np.int16)


def slices(folder):
    return [pydicom.dcmread(file) for file in sorted(folder.iterdir())]


@pytest.mark.parametrize("affine", [AFFINE, OBLIQUE, np.diag([2.0, 2.0, 3.0, 1.0])], ids=["usual", "oblique", "RAS"])
def test_what_is_written_loads_in_pydicom_and_simpleitk(tmp_path, affine):
    volume = hu()
    folder = write_dicom_series(tmp_path / "ct", volume, affine, description="synthetic CT")
    reader = sitk.ImageSeriesReader()
    assert len(reader.GetGDCMSeriesIDs(str(folder))) == 1
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    world = np.eye(4)
    world[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    world[:3, 3] = image.GetOrigin()
    assert np.allclose(orientation_ras_lps(world), affine, atol=1e-4)
    assert np.array_equal(sitk.GetArrayFromImage(image).T, volume)
    for index, dataset in enumerate(slices(folder)):
        values = dataset.pixel_array * dataset.RescaleSlope + dataset.RescaleIntercept
        assert np.array_equal(values.T, volume[..., index])
        position = affine @ [0, 0, index, 1] * [-1, -1, 1, 1]
        assert np.allclose(np.asarray(dataset.ImagePositionPatient, float), position[:3], atol=1e-4)
        assert dataset.file_meta.MediaStorageSOPClassUID == pydicom.uid.CTImageStorage
        assert dataset.ImageType[0] == "DERIVED"
        assert dataset.DerivationDescription == "synthetic CT"
    again, series = read_dicom_series(folder)
    assert again.dtype == np.int16
    assert np.array_equal(again, volume)
    assert np.allclose(series.affine, affine, atol=1e-4)


def test_uids_are_new_or_follow_from_the_seed(tmp_path):
    def uids(name, **options):
        return [(d.SOPInstanceUID, d.SeriesInstanceUID) for d in slices(write(tmp_path / name, **options))]

    def write(folder, **options):
        return write_dicom_series(folder, hu(), AFFINE, **options)

    assert len({instance for instance, _ in uids("a")}) == 6
    assert not set(uids("b")) & set(uids("c"))
    assert uids("d", uid_seed="1") == uids("e", uid_seed="1") != uids("f", uid_seed="2")
    first, second = ((tmp_path / n / "IMG-0001-00001.dcm").read_bytes() for n in "de")
    assert first == second


def test_the_study_of_the_source_is_carried_over(tmp_path):
    source = write_dicom_series(
        tmp_path / "mr", np.abs(hu()), AFFINE, "MR", patient="P7", rescale=(1, 0), echo_time=4.6
    )
    made = slices(write_dicom_series(tmp_path / "ct", hu(), AFFINE, reference=source))[0]
    original = slices(source)[0]
    for name in ("PatientID", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert made[name] == original[name]
    assert made.SeriesInstanceUID != original.SeriesInstanceUID


def test_the_source_may_hold_two_echoes_and_any_name(tmp_path):
    source = dual_echo(tmp_path)
    for file in source.iterdir():
        change(file, SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Jörg", PatientID="M1")
    file = sorted(write_dicom_series(tmp_path / "ct", hu(), AFFINE, reference=source).iterdir())[0]
    made = pydicom.dcmread(file)
    assert (made.PatientName, made.PatientID) == ("Müller^Jörg", "M1")
    assert made.SpecificCharacterSet == "ISO_IR 192"
    assert "Müller^Jörg".encode() in file.read_bytes()
    (tmp_path / "empty").mkdir()
    with pytest.raises(VolumeError, match="no DICOM slice in it whose study"):
        write_dicom_series(tmp_path / "other", hu(), AFFINE, reference=tmp_path / "empty")


def test_quirks_of_chaos(tmp_path):
    """A series per file, misleading names and numbers, 12 bits, another intercept in every file."""
    volume = np.abs(hu())
    folder = write_dicom_series(
        tmp_path / "mr", volume, AFFINE, "MR", rescale=(1, 0), bits_stored=12, series_per_file=True, echo_time=2.3
    )
    files = sorted(folder.iterdir())
    assert len({d.SeriesInstanceUID for d in slices(folder)}) == len(files)
    for index, file in enumerate(files):
        dataset = pydicom.dcmread(file)
        dataset.InstanceNumber = 77 - index
        dataset.RescaleIntercept = -index
        file.unlink()
        dataset.save_as(folder / f"{(index * 5) % 7}.dcm")
    read, series = read_dicom_series(folder)
    assert np.array_equal(read, volume - np.arange(6))
    assert np.allclose(series.affine, AFFINE)
    assert (series.modality, series.echo_time, series.shape) == ("MR", 2.3, (12, 10, 6))


def dual_echo(root):
    """A folder with an out-of-phase (2.3 ms) and an in-phase series (4.6 ms)."""
    folder = write_dicom_series(root / "out", np.abs(hu()), AFFINE, "MR", rescale=(1, 0), echo_time=2.3)
    second = write_dicom_series(root / "in", np.abs(hu(seed=1)), AFFINE, "MR", rescale=(1, 0), echo_time=4.6)
    for file in second.iterdir():
        file.rename(folder / f"second_{file.name}")
    return folder


def test_echoes_in_one_folder(tmp_path):
    folder = dual_echo(tmp_path)
    assert echo_times(folder) == [2.3, 4.6]
    assert np.array_equal(read_dicom_series(folder, 4.6)[0], np.abs(hu(seed=1)))
    assert np.array_equal(read_dicom_series(folder, 2.3)[0], np.abs(hu()))
    with pytest.raises(VolumeError, match=r"2 volumes .*echo time 2.3 ms.*echo time 4.6 ms"):
        read_dicom_series(folder)
    with pytest.raises(VolumeError, match="no slice has an echo time of 9"):
        read_dicom_series(folder, 9)


def change(file, **values):
    dataset = pydicom.dcmread(file)
    for name, value in values.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    dataset.save_as(file)


def test_localisers_colour_and_strangers_are_left_out_by_name(tmp_path):
    folder = write_dicom_series(tmp_path / "ct", hu(), AFFINE)
    for name in ("scout", "report", "dose"):
        write_dicom_series(tmp_path / name, hu((8, 8, 1)), AFFINE)
        (tmp_path / name / "IMG-0001-00001.dcm").rename(folder / f"{name}.dcm")
    change(folder / "scout.dcm", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    change(folder / "report.dcm", SamplesPerPixel=3)
    change(folder / "dose.dcm", NumberOfFrames=2)
    (folder / "A_README.txt").write_text("notes")
    assert is_dicom_folder(folder)
    expected = r"4 file\(s\) left out: A_README.txt .*dose.dcm .*frames.*report.dcm .*colour.*scout.dcm .*localiser"
    with pytest.warns(UserWarning, match=expected):
        volume, _ = read_dicom_series(folder)
    assert np.array_equal(volume, hu())
    for file in folder.glob("IMG*"):
        file.unlink()
    with pytest.raises(VolumeError, match=r"no DICOM slice in it.*colour"):
        dicom_series(folder)


def test_a_missing_slice_is_named(tmp_path):
    folder = write_dicom_series(tmp_path / "ct", hu(), AFFINE)
    (folder / "IMG-0001-00003.dcm").unlink()
    with pytest.raises(VolumeError, match=r"11.00 mm between -194.50 mm .*00002.* and -183.50 mm .*00004.*missing"):
        dicom_series(folder)


def test_two_slices_at_one_position_are_named(tmp_path):
    folder = write_dicom_series(tmp_path / "ct", hu(), AFFINE)
    (folder / "copy.dcm").write_bytes((folder / "IMG-0001-00003.dcm").read_bytes())
    with pytest.raises(VolumeError, match=r"IMG-0001-00003.dcm and copy.dcm|copy.dcm and IMG-0001-00003.dcm"):
        dicom_series(folder)


def test_volumes_of_two_sizes_or_orientations_are_named(tmp_path):
    for name, shape, affine in (("size", (8, 8, 4), AFFINE), ("orientation", (12, 10, 6), OBLIQUE)):
        folder = write_dicom_series(tmp_path / f"{name}_a", hu(), AFFINE)
        for file in write_dicom_series(tmp_path / f"{name}_b", hu(shape), affine).iterdir():
            file.rename(folder / f"other_{file.name}")
        with pytest.raises(VolumeError, match=rf"2 volumes .*12 x 10.*{shape[2]} CT slices of {shape[0]} x {shape[1]}"):
            dicom_series(folder)


def test_a_tilted_gantry_is_refused(tmp_path):
    folder = write_dicom_series(tmp_path / "ct", hu(), AFFINE)
    for index, dataset in enumerate(slices(folder)):
        x, y, z = dataset.ImagePositionPatient
        change(dataset.filename, ImagePositionPatient=[x, float(y) + 0.8 * index, z])
    with pytest.raises(VolumeError, match=r"sideways by up to 4.00 mm.*tilted gantry"):
        dicom_series(folder)


@pytest.mark.parametrize("syntax", ["JPEG2000Lossless", "JPEGLSLossless"])
def test_pixels_that_cannot_be_decoded_are_named(tmp_path, syntax):
    folder = write_dicom_series(tmp_path / "ct", hu(), AFFINE)
    dataset = pydicom.dcmread(folder / "IMG-0001-00002.dcm")
    dataset.file_meta.TransferSyntaxUID = getattr(pydicom.uid, syntax)
    dataset.PixelData = pydicom.encaps.encapsulate([b"no such image"])
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(folder / "IMG-0001-00002.dcm")
    assert dicom_series(folder).shape == (12, 10, 6)
    with pytest.raises(VolumeError, match=r"the pixels of IMG-0001-00002.dcm cannot be decoded"):
        read_dicom_series(folder)


@pytest.mark.parametrize("value", [None, ""], ids=["missing", "empty"])
def test_ct_without_rescale_is_refused_and_mr_is_not(tmp_path, value):
    for modality in ("CT", "MR"):
        folder = write_dicom_series(tmp_path / modality, np.abs(hu()), AFFINE, modality, rescale=(1, 0))
        for file in folder.iterdir():
            change(file, RescaleSlope=value, RescaleIntercept=value)
    with pytest.raises(VolumeError, match="CT without rescale"):
        dicom_series(tmp_path / "CT")
    assert np.array_equal(read_dicom_series(tmp_path / "MR")[0], np.abs(hu()))


def test_fractional_slope_gives_floats(tmp_path):
    folder = write_dicom_series(tmp_path / "mr", np.abs(hu()) / 2, AFFINE, "MR", rescale=(0.5, 0))
    read, _ = read_dicom_series(folder)
    assert read.dtype == np.float32
    assert np.array_equal(read, np.abs(hu()) / 2)


def test_bad_arguments_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"do not fit into 12 bits.*clip them to \[0, 4095\]"):
        write_dicom_series(tmp_path / "a", hu(), AFFINE, "MR", rescale=(1, 0), bits_stored=12)
    shear = AFFINE.copy()
    shear[0, 1] = 1
    with pytest.raises(ValueError, match="shears"):
        write_dicom_series(tmp_path / "a", hu(), shear)
    with pytest.raises(ValueError, match="modality is 'PET'"):
        write_dicom_series(tmp_path / "a", hu(), AFFINE, "PET")
    with pytest.raises(ValueError, match=r"with voxels, got shape \(4, 4, 0\)"):
        write_dicom_series(tmp_path / "a", np.zeros((4, 4, 0)), AFFINE)
    write_dicom_series(tmp_path / "a", hu(), AFFINE)
    with pytest.raises(FileExistsError, match="not empty"):
        write_dicom_series(tmp_path / "a", hu(), AFFINE)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    with pytest.raises(FileNotFoundError, match="no folder"):
        dicom_series(tmp_path / "none")
    assert is_dicom_folder(tmp_path / "a")
    assert not is_dicom_folder(tmp_path)
