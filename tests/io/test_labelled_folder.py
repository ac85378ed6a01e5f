import json

import highdicom as hd
import nibabel as nib
import numpy as np
import pydicom
import pytest
from monai.data import load_decathlon_datalist
from PIL import Image
from pydicom.sr.codedict import codes

from tools.io.dicom import read_dicom_series
from tools.io.dicom_seg import code_of
from tools.io.labelled_folder import LabelledFolder

CLASSES = {"background": 0, "oedema": 1, "enhancing tumour": 2, "odd thing": 3}
RECORD = {
    "synthetic": True,
    "bundle": "some_bundle",
    "version": "0.2.0",
    "weights_sha256": "ab" * 32,
    "seed": 7,
    "software": {"MONAI": "1", "PyTorch": "2"},
}
AFFINE = np.array([[-0.8, 0, 0, 10], [0, -0.9, 0, 20], [0, 0, 2.5, -30], [0, 0, 0, 1.0]])


@pytest.fixture
def case():
    rng = np.random.default_rng(0)
    images = [np.rint(rng.uniform(0, 900, (7, 6, 5))), rng.uniform(0, 3, (7, 6, 5))]
    label = np.zeros((7, 6, 5), np.uint8)
    label[1:4, 2:4, 1:3], label[4:6, 1, 3] = 1, 2
    return images, label


def test_nnunet_and_decathlon_read_it(tmp_path, case):
    images, label = case
    cohort = LabelledFolder(tmp_path, "Brains", ("t1", "flair"), CLASSES, "MR")
    for name in ("b", "a"):
        cohort.add(name, images, label, AFFINE, RECORD)
    (tmp_path / "labelsTr" / "lonely.nii.gz").write_bytes((tmp_path / "labelsTr" / "a.nii.gz").read_bytes())
    said = json.loads(cohort.finish().read_text())
    # nnU-Net 2: https://github.com/MIC-DKFZ/nnUNet, documentation/dataset_format.md
    assert said["channel_names"] == {"0": "t1", "1": "flair"}
    assert said["labels"] == CLASSES
    assert (said["numTraining"], said["file_ending"]) == (2, ".nii.gz")
    found = sorted(path.name for path in (tmp_path / "imagesTr").iterdir())
    assert found == [f"{name}_{n:04d}.nii.gz" for name in "ab" for n in (0, 1)]
    items = load_decathlon_datalist(tmp_path / "dataset.json", is_segmentation=True, data_list_key="training")
    assert len(items) == 2
    for number, image in enumerate(images):
        read = nib.load(items[0]["image"][number])
        assert read.get_fdata() == pytest.approx(image, abs=1e-6)
        assert read.affine == pytest.approx(AFFINE)
        assert b"some_bundle" in bytes(read.header["descrip"])
    assert read.header.get_data_dtype() == np.float32
    assert nib.load(items[0]["image"][0]).header.get_data_dtype() == np.int16
    read = nib.load(items[1]["label"])
    assert np.array_equal(np.asanyarray(read.dataobj), label)
    assert read.header.get_data_dtype() == np.uint8


def test_dicom_series_with_a_segmentation(tmp_path, case):
    images, label = case
    cohort = LabelledFolder(tmp_path, "Brains", ("t1", "flair"), CLASSES, "MR", layout="dicom")
    cohort.add("a", images, label, AFFINE, RECORD)
    assert cohort.finish() is None
    for name, image, step in (("t1", images[0], 0), ("flair", images[1], 3 / 4095)):
        voxels, series = read_dicom_series(tmp_path / "a" / name)
        assert voxels == pytest.approx(image, abs=step + 1e-6)
        assert series.affine == pytest.approx(AFFINE, abs=1e-4)
    segmentation = hd.seg.segread(tmp_path / "a" / "labels.dcm")
    assert segmentation.SyntheticData == "YES"
    assert json.loads(segmentation.ImageComments) == RECORD
    assert segmentation.number_of_segments == 2  # "odd thing" does not occur
    slices = [pydicom.dcmread(path) for path in (tmp_path / "a" / "t1").iterdir()]
    assert segmentation.StudyInstanceUID == slices[0].StudyInstanceUID
    assert segmentation.FrameOfReferenceUID == slices[0].FrameOfReferenceUID
    volume = segmentation.get_volume(combine_segments=True)
    names = {n: segmentation.get_segment_description(n).segment_label for n in (1, 2)}
    assert names == {1: "oedema", 2: "enhancing tumour"}
    to_ras = np.diag([-1, -1, 1, 1]) @ volume.affine  # DICOM's world runs to the left and the back
    found = np.zeros_like(label)
    for index in np.argwhere(volume.array):
        i, j, k = np.rint(np.linalg.inv(AFFINE) @ to_ras @ [*index, 1])[:3].astype(int)
        found[i, j, k] = volume.array[tuple(index)]
    assert np.array_equal(found, label)
    again = LabelledFolder(tmp_path / "again", "Brains", ("t1", "flair"), CLASSES, "MR", layout="dicom")
    again.add("a", images, label, AFFINE, RECORD)
    assert hd.seg.segread(tmp_path / "again" / "a" / "labels.dcm").SOPInstanceUID == segmentation.SOPInstanceUID


def test_ct_keeps_its_hounsfield_units(tmp_path, case):
    _, label = case
    volume = np.random.default_rng(1).integers(-1024, 2000, label.shape).astype(float)
    cohort = LabelledFolder(tmp_path, "CT", ("ct",), CLASSES, "CT", layout="dicom")
    cohort.add("a", [volume], np.zeros_like(label), AFFINE, RECORD)
    assert np.array_equal(read_dicom_series(tmp_path / "a" / "ct")[0], volume)
    assert not (tmp_path / "a" / "labels.dcm").exists()  # DICOM knows no empty segmentation
    nifti = LabelledFolder(tmp_path / "nifti", "CT", ("ct",), CLASSES, "CT")
    nifti.add("a", [volume], label, AFFINE, RECORD)
    assert json.loads(nifti.finish().read_text())["channel_names"] == {"0": "CT"}  # as nnU-Net knows HU


def test_a_slice_is_a_volume_of_depth_one(tmp_path):
    cohort = LabelledFolder(tmp_path, "Slices", ("t1",), {"background": 0, "tumour": 1}, "MR")
    label = np.eye(8, dtype=np.uint8)[..., None]
    cohort.add("slice", [label * 100.0], label, AFFINE, RECORD)
    image = nib.load(tmp_path / "imagesTr" / "slice_0000.nii.gz")
    assert image.shape == (8, 8, 1)
    assert image.affine == pytest.approx(AFFINE)


def test_what_does_not_fit_together_is_refused(tmp_path, case):
    images, label = case
    with pytest.raises(ValueError, match="expected background 0, and 1, 2 and so on"):
        LabelledFolder(tmp_path, "x", ("t1",), {"background": 0, "enhancing": 4}, "MR")
    with pytest.raises(ValueError, match="layout is 'jpeg'"):
        LabelledFolder(tmp_path, "x", ("t1",), CLASSES, "MR", layout="jpeg")
    cohort = LabelledFolder(tmp_path, "x", ("t1", "flair"), CLASSES, "MR")
    with pytest.raises(ValueError, match=r"got 1 images .* expected 2 images"):
        cohort.add("a", images[:1], label, AFFINE, RECORD)
    with pytest.raises(ValueError, match=r"the label has values \[9\]"):
        cohort.add("a", images, np.where(label == 1, 9, label), AFFINE, RECORD)
    assert not list(tmp_path.rglob("*.nii.gz"))


def test_codes_of_classes():
    assert code_of("Pancreas")[1] == codes.SCT.Pancreas
    assert code_of("pancreas tumour")[1] == codes.SCT.Neoplasm  # what is abnormal counts
    assert code_of("subdural haemorrhage")[1] == codes.SCT.Hemorrhage
    category, own = code_of("gizmo")
    assert (own.value, own.scheme_designator, own.meaning) == ("GIZMO", "99SYNTHETIC", "gizmo")
    assert category == codes.cid7150.AnatomicalStructure


def test_slices_as_pictures_that_nnunet_reads(tmp_path):
    """Rows of a picture run from front to back and columns from right to left, whatever the axes of the array."""
    affine = np.diag([2.0, 2, 5, 1])  # axes to the right, the front and the head
    image = np.arange(-1000, -940).reshape(10, 6, 1).astype(float)
    label = np.zeros((10, 6, 1), np.uint8)
    label[9, 5, 0], label[0, 0, 0] = 1, 2
    cohort = LabelledFolder(tmp_path, "Chests", ("ct",), {"background": 0, "a": 1, "b": 2}, "CT", layout="png")
    cohort.add("one", [image], label, affine, RECORD)
    said = json.loads(cohort.finish().read_text())
    assert (said["file_ending"], said["numTraining"]) == (".png", 1)
    (case,) = said["training"]
    pixels = np.asarray(picture := Image.open(tmp_path / case["image"]))
    assert json.loads(picture.text["provenance"]) == RECORD
    assert pixels.dtype == np.uint16
    assert (pixels.shape, np.asarray(Image.open(tmp_path / case["label"])).dtype) == ((6, 10), np.uint8)
    for x, y in ((0, 0), (9, 5), (3, 1)):
        assert pixels[5 - y, 9 - x] == image[x, y, 0] + 1024
    assert np.asarray(Image.open(tmp_path / case["label"]))[[0, -1], [0, -1]].tolist() == [1, 2]
    cohort.add("two", [image[::-1]], label[::-1], np.diag([-2.0, 2, 5, 1]), RECORD)  # the same, otherwise stored
    assert np.array_equal(np.asarray(Image.open(tmp_path / "imagesTr" / "two_0000.png")), pixels)
    with pytest.raises(ValueError, match=r"got 1 slices with values from -2976 to .* a PNG holds one slice of numbers"):
        cohort.add("odd", [image - 3000], label, affine, RECORD)
    with pytest.raises(ValueError, match="got 2 slices"):
        cohort.add("odd", [np.repeat(image, 2, 2)], np.repeat(label, 2, 2), affine, RECORD)


def test_a_folder_of_images_alone(tmp_path, case):
    images, label = case
    cohort = LabelledFolder(tmp_path, "Brains", ("t1", "flair"), {"background": 0}, "MR")
    cohort.add("a", images, None, AFFINE, RECORD)
    said = json.loads(cohort.finish().read_text())
    assert said["training"] == [{"image": ["./imagesTr/a_0000.nii.gz", "./imagesTr/a_0001.nii.gz"]}]
    with pytest.raises(ValueError, match="got a label for a folder of classes"):
        cohort.add("b", images, label, AFFINE, RECORD)
    with pytest.raises(ValueError, match="got no label for a folder of classes"):
        LabelledFolder(tmp_path, "Brains", ("t1", "flair"), CLASSES, "MR").add("b", images, None, AFFINE, RECORD)


def test_label_maps_alone(tmp_path, case):
    cohort = LabelledFolder(tmp_path, "Brains", (), CLASSES, "MR")
    cohort.add("a", [], case[1], AFFINE, RECORD)
    said = json.loads(cohort.finish().read_text())
    assert (said["training"], said["channel_names"]) == ([{"label": "./labelsTr/a.nii.gz"}], {})
    assert np.array_equal(np.asanyarray(nib.load(tmp_path / "labelsTr" / "a.nii.gz").dataobj), case[1])
    with pytest.raises(ValueError, match="refers to an image, and there is none; take nifti or png"):
        LabelledFolder(tmp_path, "Brains", (), CLASSES, "MR", "dicom")
