"""Folders of images: what is found in them, how each is read, and what is wrong with others."""

import logging
import os

import nibabel as nib
import numpy as np
import pydicom
import pytest
from PIL import Image

from tests.io.test_dicom import AFFINE, change, hu
from tests.io.test_readers import write
from tools.data.image_sets import ImageFile, find_images, image_stamp, read_image
from tools.data.preprocessed import MANIFEST
from tools.io.dicom_writer import write_dicom_series
from tools.io.readers import VolumeError


def ids(folder):
    return [image.id for image in find_images(folder)]


def pngs(folder, volume, names="slice_{}.png"):
    folder.mkdir(parents=True, exist_ok=True)
    for number, pixels in enumerate(volume):
        Image.fromarray(pixels).save(folder / names.format(number + 1))
    return folder


def bytes_of(shape=(12, 5, 4), dtype=np.uint8):
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape).astype(dtype)


def test_volumes_below_a_folder(tmp_path):
    for name in ("b.nii.gz", "sub/a.mha", "sub/c.1.2.nii", ".hidden/x.nii", ".y.nii", "sub/z.mhd"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write(tmp_path / name)
    (tmp_path / "notes.txt").write_text("x" * 200)
    found = find_images(tmp_path)
    assert [image.id for image in found] == ["b", "sub/a", "sub/c.1.2", "sub/z"]
    assert found[1] == ImageFile("sub/a", str(tmp_path / "sub/a.mha"), "volume")


def test_a_volume_is_turned(tmp_path):
    array = np.random.default_rng(0).normal(size=(4, 5, 6)).astype(np.float32)
    # RAS axes of the file: right to left, feet to head, back to front, with 2, 3 and 1.5 mm
    affine = np.array([[-2, 0, 0, 0], [0, 0, 1.5, 0], [0, 3, 0, 0], [0, 0, 0, 1.0]])
    nib.save(nib.Nifti1Image(array, affine), tmp_path / "a.nii.gz")
    (image,) = find_images(tmp_path)
    volume, spacing = read_image(image)
    assert (volume.dtype, volume.flags.c_contiguous, type(volume)) == (np.float32, True, np.ndarray)
    assert np.array_equal(volume, array.transpose(1, 2, 0)[:, ::-1])  # feet to head, front to back, right to left
    assert spacing == pytest.approx((3, 1.5, 2))


def test_folders_of_dicom_slices(tmp_path):
    for name in ("b/one", "b/two", "a"):
        write_dicom_series(tmp_path / name, hu(), AFFINE)
    (tmp_path / "a" / "readme.txt").write_text("x" * 200)
    found = find_images(tmp_path)
    assert [(image.id, image.kind) for image in found] == [("a", "dicom"), ("b/one", "dicom"), ("b/two", "dicom")]
    volume, spacing = read_image(found[0])
    assert np.array_equal(volume, hu().transpose(2, 1, 0))  # AFFINE: columns to the left, rows to the back, slices up
    assert spacing == pytest.approx((5.5, 1.25, 1.5))
    assert ids(tmp_path / "a") == ["a"]


def test_one_image_for_every_echo(tmp_path):
    options = {"modality": "MR", "rescale": (1, 0)}
    folder = write_dicom_series(tmp_path / "set/mr", np.abs(hu()), AFFINE, echo_time=2.3, **options)
    second = write_dicom_series(tmp_path / "in", np.abs(hu(seed=1)), AFFINE, echo_time=4.6, **options)
    for file in second.iterdir():
        file.rename(folder / f"second_{file.name}")
    found = find_images(tmp_path / "set")
    assert [image.id for image in found] == ["mr#echo=2.3", "mr#echo=4.6"]
    volumes = [read_image(image)[0] for image in found]
    assert np.array_equal(volumes[1], np.abs(hu(seed=1)).transpose(2, 1, 0))
    assert not np.array_equal(volumes[0], volumes[1])
    assert len(image_stamp(found[0])) == 12


def test_a_link_that_leads_back_makes_no_image_twice(tmp_path):
    write_dicom_series(tmp_path / "a", hu(), AFFINE)
    for place in (tmp_path, tmp_path / "a"):
        (place / "back").symlink_to(tmp_path, target_is_directory=True)
    assert [image.id for image in find_images(tmp_path)] == ["a"]


def test_damaged_slices_are_an_image_that_is_refused_by_name(tmp_path):
    folder = write_dicom_series(tmp_path / "a", hu(), AFFINE)
    for file in folder.iterdir():
        change(file, RescaleSlope=0)
    (image,) = find_images(tmp_path)
    with pytest.raises(VolumeError, match="its RescaleSlope is 0"):
        read_image(image)


def test_dicom_that_is_no_slice_is_left_out(tmp_path):
    folder = write_dicom_series(tmp_path / "plan", hu(shape=(4, 4, 1)), AFFINE)
    (file,) = folder.iterdir()

    dataset = pydicom.dcmread(file)
    del dataset.ImagePositionPatient
    dataset.save_as(file)
    with pytest.raises(FileNotFoundError, match="hold DICOM files that are no slices"):
        find_images(tmp_path)
    write_dicom_series(tmp_path / "ct", hu(), AFFINE)
    assert ids(tmp_path) == ["ct"]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_folders_of_png_slices(tmp_path, dtype):
    volume = bytes_of(dtype=dtype)
    folder = pngs(tmp_path / "set/a", volume)
    pngs(tmp_path / "set/b/PNG", volume[:3], "{}.PNG")
    (folder / ".thumb.png").write_bytes(b"")
    found = find_images(tmp_path / "set")
    assert [(image.id, image.kind) for image in found] == [("a", "png"), ("b/PNG", "png")]
    read, spacing = read_image(found[0])  # 2 before 10
    assert (read.dtype, spacing) == (np.float32, None)
    assert np.array_equal(read, volume)
    assert len(image_stamp(found[0])) == 12
    assert ids(folder) == ["a"]


@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 3, 4, 5)])
def test_arrays(tmp_path, shape):
    array = np.random.default_rng(0).normal(size=shape)
    np.save(tmp_path / "a.npy", array)
    (image,) = find_images(tmp_path)
    volume, spacing = read_image(image)
    assert (image.id, image.kind, spacing, volume.dtype) == ("a", "array", None, np.float32)
    assert np.array_equal(volume, array.reshape(3, 4, 5).astype(np.float32))


def test_pictures_are_no_images(tmp_path, caplog):
    for name in ("volumes", "volumes/seg-lungs-LUNA16"):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "a.nii")
    for name in ("volumes", "volumes/report/views"):
        pngs(tmp_path / name, bytes_of((2, 3, 3)))
    with caplog.at_level(logging.DEBUG, "tools.data.image_sets"):
        assert ids(tmp_path) == ["volumes/a"]
    assert "are left out" in caplog.text
    write_dicom_series(tmp_path / "patients/1/DICOM_anon", hu(), AFFINE)
    for name in ("patients/1/Ground", "patients/1", "patients/1/DICOM_anon"):  # CHAOS's masks, beside and among slices
        pngs(tmp_path / name, bytes_of((2, 3, 3)))
    assert ids(tmp_path / "patients") == ["1/DICOM_anon"]


@pytest.mark.parametrize(
    ("second", "expected"),
    [("array", r"NumPy arrays.*b\.npy"), ("dicom", "folders of DICOM slices, such as .*b"), ("png", "PNG slices.*b")],
)
def test_one_kind_only(tmp_path, second, expected):
    (tmp_path / "x").mkdir()
    write(tmp_path / "x/a.nii")
    if second == "array":
        np.save(tmp_path / "b.npy", np.zeros((3, 3, 3)))
    elif second == "dicom":
        write_dicom_series(tmp_path / "b", hu(), AFFINE)
    else:
        pngs(tmp_path / "b", bytes_of())
    with pytest.raises(VolumeError, match=r"images of 2 kinds") as error:
        find_images(tmp_path)
    assert "a.nii" in str(error.value)
    with pytest.raises(VolumeError, match=expected):
        find_images(tmp_path)


def test_ids_are_unique(tmp_path):
    for name in ("a.nii", "a.mha"):
        write(tmp_path / name)
    with pytest.raises(VolumeError, match=r"two images have the id 'a': .*a\.mha and .*a\.nii"):
        find_images(tmp_path)


def test_nothing_there(tmp_path):
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(FileNotFoundError, match=r"there is no image in .*\.nii\.gz.*\.npy.*DICOM.*PNG"):
        find_images(tmp_path)
    with pytest.raises(FileNotFoundError, match="does not exist; expected a folder"):
        find_images(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="is a file; expected a folder"):
        find_images(tmp_path / "a.txt")


def test_unfinished_preprocessing(tmp_path):
    (tmp_path / MANIFEST).write_text('{"format": 2, "complete": false, "kind": "t1", "image_size": 64, "volumes": {}}')
    with pytest.raises(VolumeError, match=r"interrupted, 0 volumes are ready; run the command again.*--image_size 64"):
        find_images(tmp_path)


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((4, 5)), r"shape \(4, 5\), expected \[D, H, W\].*put the slices"),
        (np.zeros((2, 4, 5, 6)), r"shape \(2, 4, 5, 6\)"),
        (np.zeros((0, 5, 6)), r"shape \(0, 5, 6\)"),
        (np.zeros((3, 3, 3), complex), "of type complex128; expected real numbers"),
        (np.array([[[None]]]), "no .npy file of numbers"),
    ],
)
def test_bad_arrays(tmp_path, array, reason):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(VolumeError, match=rf"a\.npy: .*{reason}"):
        read_image(find_images(tmp_path)[0])


def test_damaged_files(tmp_path):
    for name in ("a.npy", "b.nii.gz"):
        folder = tmp_path / name[0]
        folder.mkdir()
        (folder / name).write_bytes(b"\x1f\x8bnothing")
        with pytest.raises(VolumeError, match=rf"{name}: it"):
            read_image(find_images(folder)[0])
    folder = pngs(tmp_path / "png", bytes_of())
    (folder / "slice_3.png").write_bytes((folder / "slice_2.png").read_bytes()[:60])
    with pytest.raises(VolumeError, match=r"slice_3\.png: it is no PNG that can be read"):
        read_image(find_images(folder)[0])
    for file in folder.iterdir():
        file.unlink()
    with pytest.raises(VolumeError, match="there is no PNG slice in it"):
        read_image(ImageFile("png", str(folder), "png"))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P", "1"])
def test_png_that_is_not_grey(tmp_path, mode):
    Image.fromarray(np.eye(4, dtype=np.uint8) * 255).convert(mode).save(tmp_path / "a.png")
    with pytest.raises(VolumeError, match=rf"a\.png: its pixels are {mode} .*expected grey of 8 or 16 bit"):
        read_image(find_images(tmp_path)[0])


def test_png_slices_that_differ(tmp_path):
    pngs(tmp_path / "a", [np.zeros((4, 5), np.uint8), np.zeros((4, 6), np.uint8)])
    with pytest.raises(VolumeError, match=r"pixels of slice_1\.png are 4 x 5 and those of slice_2\.png 4 x 6"):
        read_image(find_images(tmp_path / "a")[0])
    pngs(tmp_path / "b", [np.zeros((4, 5), np.uint8), np.zeros((4, 5), np.uint16)])
    with pytest.raises(VolumeError, match=r"values of slice_1\.png are uint8 and those of slice_2\.png uint16"):
        read_image(find_images(tmp_path / "b")[0])


@pytest.mark.parametrize("kind", ["volume", "array", "dicom", "png"])
def test_a_stamp_changes_with_any_file(tmp_path, kind):
    if kind == "volume":
        write(tmp_path / "a.mhd")
        file = tmp_path / "a.raw"
    elif kind == "array":
        file = tmp_path / "a.npy"
        np.save(file, np.zeros((3, 3, 3)))
    elif kind == "dicom":
        file = write_dicom_series(tmp_path / "a", hu(), AFFINE) / "IMG-0001-00004.dcm"
    else:
        file = pngs(tmp_path / "a", bytes_of()) / "slice_7.png"
    (image,) = find_images(tmp_path)
    before = image_stamp(image)
    assert image_stamp(image) == before
    stat = os.stat(file)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1000))
    assert image_stamp(image) != before


@pytest.mark.parametrize("kind", ["volume", "array", "dicom", "png"])
def test_what_shows_nothing_is_refused(tmp_path, kind):
    if kind == "volume":
        write(tmp_path / "a.nii.gz", np.full((4, 5, 6), -1000, np.int16))
    elif kind == "array":
        np.save(tmp_path / "a.npy", np.full((4, 5, 6), np.nan))
    elif kind == "dicom":
        write_dicom_series(tmp_path / "a", np.full((4, 5, 6), 40), AFFINE)
    else:
        pngs(tmp_path / "a", np.zeros((4, 5, 6), np.uint8))
    (image,) = find_images(tmp_path)
    with pytest.raises(VolumeError, match=r"a.*: it shows nothing"):
        read_image(image)


def test_names_that_are_no_text_have_ids_that_are(tmp_path):
    folder = tmp_path / os.fsdecode("Jürgen".encode("latin-1"))
    folder.mkdir()
    array = write(tmp_path / "a.nii.gz")
    (tmp_path / "a.nii.gz").rename(folder / os.fsdecode("Müller.nii.gz".encode("latin-1")))
    (image,) = find_images(tmp_path)
    assert image.id == "Jürgen/Müller"
    assert np.array_equal(np.sort(read_image(image)[0].ravel()), np.sort(array.ravel()))
    assert len(image_stamp(image)) == 1
