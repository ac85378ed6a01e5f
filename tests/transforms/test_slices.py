"""From files to slices and back to the files' own voxels, whatever their orientation and grid."""

import os

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
import torch
from monai.data import MetaTensor
from scipy import ndimage

from tests.forms import assert_forms
from tests.real import REAL, needs_real
from tools.files import as_text
from tools.io.dicom import read_dicom_series
from tools.io.dicom_writer import write_dicom_series
from tools.io.readers import VolumeError
from tools.transforms.abdomen import abdomen_slices
from tools.transforms.save import SaveTranslationd
from tools.transforms.slices import LoadStudyd, ct_slices, mr_slices
from tools.transforms.squares import ToSourceAxesd, ToSourceGridd

AFFINE = np.array([[-1.5, 0, 0, 40], [0, -1.5, 0, 30], [0, 0, 5.0, -200], [0, 0, 0, 1]])
ORIENTATIONS = {
    "LPS": AFFINE,
    "RAS": np.diag([1.5, 1.5, 5.0, 1.0]),
    "coronal": np.array([[-1.5, 0, 0, 40], [0, 0, 1.5, 30], [0, 5.0, 0, -200], [0, 0, 0, 1]]),
}


def smooth(shape, seed=0):
    """An image without detail that resampling would lose, positive."""
    noise = np.random.default_rng(seed).normal(size=shape)
    image = ndimage.gaussian_filter(noise, 3)
    return (100 * (image - image.min()) / np.ptp(image) + 10).astype(np.float32)


def save(path, voxels, affine=AFFINE):
    nib.save(nib.Nifti1Image(voxels, affine), path)
    return str(path)


def back(item, **options):
    """The prediction on the grid and the axes of its source."""
    return ToSourceAxesd("pred")(ToSourceGridd("pred", **options)(item))


@pytest.mark.parametrize("name", ORIENTATIONS)
@pytest.mark.parametrize("size", [24, 40, 64])
def test_there_and_back(tmp_path, name, size):
    """A CT that "translation" leaves alone comes back with its geometry, its values up to interpolation."""
    shape = (31, 12, 40) if name == "coronal" else (31, 40, 12)
    voxels = smooth(shape) * 10 - 500
    path = save(tmp_path / "ct.nii.gz", voxels, ORIENTATIONS[name])
    item = ct_slices(size, (-1000, 1000))({"image": path, "id": "CT/1"})
    assert item["image"].shape == (1, 12, size, size)
    item["pred"] = item["image"] * 1000
    item = back(item)
    item["pred"].requires_grad_()  # as on a GPU, NumPy does not take it as it is
    SaveTranslationd("pred", tmp_path / "out")(item)
    made = nib.load(tmp_path / "out" / "CT_1_ct.nii.gz")
    assert made.shape == shape
    assert np.allclose(made.affine, ORIENTATIONS[name], atol=1e-4)
    error = np.abs(np.asarray(made.dataobj) - voxels)
    assert np.median(error) < 0.02 * np.ptp(voxels)


@pytest.mark.parametrize("field_of_view", [30, 33.1, 75, 90])
def test_squares_of_one_size_in_mm(tmp_path, field_of_view):
    """A square of bright pixels has its true size; outside of what was cut out is background."""
    voxels = np.full((31, 40, 6), -900, np.float32)
    voxels[11:21, 15:25] = 700  # 15 mm
    item = {"image": save(tmp_path / "ct.nii.gz", voxels), "id": "a"}
    item = ct_slices(96, (-1000, 1000), field_of_view)(item)
    bright = (item["image"][0, 0] > 0).sum().item() ** 0.5 * field_of_view / 96
    assert bright == pytest.approx(15, abs=1.5)
    item["pred"] = item["image"] * 1000
    made = ToSourceGridd("pred", outside=-1000)(item)["pred"]
    found = np.asarray(made[0]) > -100
    assert (found == (voxels.transpose(2, 1, 0) > -100)).mean() > 0.97
    if field_of_view == 30:
        assert made[0, 0, 0, 0] == -1000
        assert made[0, 0, -1, -1] == -1000


def test_slices_lie_as_radiologists_see_them(tmp_path):
    """Feet first, front at the top, the patient's right on the left: a bright corner is where it belongs."""
    voxels = np.full((8, 8, 4), -200, np.float32)  # RAS: x to the right, y to the front, z to the head
    voxels[7, 7, 0] = 100  # right, front, feet
    item = ct_slices(8, (0, 100))({"image": save(tmp_path / "a.nii", voxels, ORIENTATIONS["RAS"]), "id": "a"})
    assert np.argwhere(np.asarray(item["image"][0]) > 0).tolist() == [[0, 0, 0]]


def test_mr_intensities(tmp_path):
    voxels = smooth((16, 16, 6))
    voxels[:8] = 0
    paths = [save(tmp_path / "a.nii", voxels), save(tmp_path / "b.nii", 50 * voxels)]
    image = mr_slices(16)({"image": paths, "id": "x"})["image"]
    assert image.shape == (2, 6, 16, 16)
    body = voxels[voxels > voxels.mean()]
    expected = np.clip(voxels / np.percentile(body, 99.5) * 2 - 1, -1, 1)
    assert np.allclose(np.asarray(image[0]), expected.transpose(2, 1, 0), atol=1e-5)
    assert torch.allclose(image[0], image[1], atol=1e-5)  # scanners' units do not matter


def test_a_modality_on_another_grid_is_resampled_by_position(tmp_path):
    """Thinner slices, coarser pixels, another origin: a linear image is found at its places."""

    def plane(affine, shape):
        index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
        world = index @ affine[:3, :3].T + affine[:3, 3]
        return (200 + 2 * world[..., 0] + world[..., 1] + 0.5 * world[..., 2]).astype(np.float32)

    other = np.array([[-2.5, 0, 0, 50], [0, -2.5, 0, 40], [0, 0, 3.0, -205], [0, 0, 0, 1]])
    first = save(tmp_path / "t1.nii", plane(AFFINE, (20, 18, 6)))
    second = save(tmp_path / "t2.nii", plane(other, (30, 28, 14)), other)
    study = LoadStudyd("image")({"image": [first, second], "id": "x"})["image"]
    inner = (slice(None), slice(1, -1), slice(1, -1), slice(1, -1))
    assert torch.allclose(study[0:1][inner], study[1:2][inner], atol=1e-2)
    alone = LoadStudyd("image")({"image": [first], "id": "x"})["image"]
    assert torch.equal(study[0], alone[0])


def test_modalities_elsewhere_are_refused(tmp_path):
    far = AFFINE.copy()
    far[2, 3] = 500
    paths = [save(tmp_path / "a.nii", smooth((9, 9, 5))), save(tmp_path / "b.nii", smooth((9, 9, 5)), far)]
    with pytest.raises(RuntimeError) as error:
        mr_slices(8)({"image": paths, "id": "x"})
    assert isinstance(error.value.__cause__, VolumeError)
    assert "covers 0% of the slices" in str(error.value.__cause__)


@pytest.mark.parametrize(("fill", "message"), [(np.nan, "NaN"), (7, "one value everywhere")])
def test_empty_modalities_are_refused(tmp_path, fill, message):
    path = str(tmp_path / "a.mha")  # NIfTI readers turn NaN into 0
    sitk.WriteImage(sitk.GetImageFromArray(np.full((5, 9, 9), fill, np.float32)), path)
    with pytest.raises(RuntimeError) as error:
        mr_slices(8)({"image": path, "id": "x"})
    assert message in str(error.value.__cause__)


def test_dicom_series_beside_the_nifti(tmp_path):
    """HU on the MR's grid in the MR's study; loads in pydicom and, as its test shows, in SimpleITK."""
    voxels = np.round(smooth((16, 20, 6))).astype(np.int16)
    source = write_dicom_series(tmp_path / "mr", voxels, AFFINE, "MR", rescale=(1, 0), patient="P3")
    item = mr_slices(20)({"image": [str(source)], "id": "MR/3"})
    item["pred"] = torch.round(item["image"].as_tensor() * 800)
    for _ in range(2):  # a second run replaces the first
        SaveTranslationd("pred", tmp_path / "out", dicom=True)(back(item))
    series_voxels, series = read_dicom_series(tmp_path / "out" / "MR_3_ct")
    nifti = nib.load(tmp_path / "out" / "MR_3_ct.nii.gz")
    assert np.array_equal(series_voxels, np.asarray(nifti.dataobj))
    assert np.allclose(series.affine, AFFINE, atol=1e-4)
    assert series.modality == "CT"
    made, original = (pydicom.dcmread(next(iter(sorted(f.iterdir())))) for f in (tmp_path / "out" / "MR_3_ct", source))
    assert made.FrameOfReferenceUID == original.FrameOfReferenceUID
    assert made.PatientID == "P3"


def test_channels_are_saved_by_name(tmp_path):
    """The way back: from one CT to MR modalities, whose DICOM holds no negative numbers."""
    path = save(tmp_path / "ct.nii", smooth((16, 20, 6)) * 10 - 500)
    item = ct_slices(20, (0, 200))({"image": path, "id": "CT/4"})
    item["pred"] = torch.cat([torch.full_like(item["image"], v) for v in (100.0, 900.0)])
    item = back(item, outside=0)
    SaveTranslationd("pred", tmp_path / "out", names=["in_phase", "out_phase"], modality="MR", dicom=True)(item)
    for name, value in (("in_phase", 100), ("out_phase", 900)):
        assert np.unique(nib.load(tmp_path / "out" / f"CT_4_{name}.nii.gz").dataobj).max() == value
        voxels, series = read_dicom_series(tmp_path / "out" / f"CT_4_{name}")
        assert (voxels.max(), series.modality) == (value, "MR")


@pytest.mark.parametrize("name", ORIENTATIONS)
@pytest.mark.parametrize("space", ["RAS", "LPS", "deploy"])
def test_an_image_in_memory_is_what_its_file_would_be(tmp_path, name, space):
    """It is given back on its own grid, axes and all."""
    shape = (31, 12, 40) if name == "coronal" else (31, 40, 12)
    voxels, affine = smooth(shape), ORIENTATIONS[name]
    from_file = mr_slices(24)({"image": save(tmp_path / "mr.nii", voxels, affine), "id": "MR/1"})["image"]
    meta = {"RAS": {}, "LPS": {"space": "LPS"}, "deploy": {"space": "LPS", "nifti_affine_transform": affine}}[space]
    given = np.diag([-1.0, -1, 1, 1]) @ affine if space == "LPS" else affine
    image = MetaTensor(torch.as_tensor(voxels), affine=torch.as_tensor(given), meta=meta)
    for ours in (image, [image], image[None]):
        item = mr_slices(24)({"image": ours})
        assert torch.equal(item["image"].as_tensor(), from_file.as_tensor())
        assert torch.allclose(item["image"].affine, from_file.affine)
    pair = mr_slices(24)({"image": torch.stack([image, image.flip(0)])})["image"]
    assert torch.equal(pair[:1].as_tensor(), from_file.as_tensor())
    item["pred"] = item["image"].as_tensor()
    made = back(item)["pred"]
    assert made.shape == (1, *shape)
    assert np.allclose(made.affine, affine)
    assert np.corrcoef(made[0].numpy().ravel(), voxels.ravel())[0, 1] > 0.9


@pytest.mark.parametrize("image", [np.ones((3, 3, 3)), torch.ones(3, 3, 3), MetaTensor(torch.ones(3, 3))])
def test_an_image_in_memory_needs_an_affine(image):
    with pytest.raises(RuntimeError) as error:
        mr_slices(8)({"image": image})
    assert isinstance(error.value.__cause__, VolumeError)
    assert "an image in memory: expected a MetaTensor [x, y, z]" in str(error.value.__cause__)


@pytest.mark.parametrize("fill", [np.nan, -1024, 7])
def test_a_ct_that_shows_nothing_is_refused(tmp_path, fill):
    path = save(tmp_path / "ct.nii.gz", np.full((16, 20, 6), fill, np.float32))
    with pytest.raises(RuntimeError) as error:
        ct_slices(20, (-1000, 1000))({"image": path, "id": "CT/1"})
    assert "ct.nii.gz: it shows nothing" in str(VolumeError.behind(error.value))


def test_a_slightly_sheared_volume_is_translated(tmp_path):
    """It comes back where it was; its DICOM series, which cannot be sheared, a fraction of a voxel beside it."""
    affine = AFFINE.copy()
    affine[:3, 0] += 0.012 * affine[:3, 1]
    voxels = np.round(smooth((16, 20, 6))).astype(np.int16)
    item = mr_slices(20)({"image": save(tmp_path / "mr.nii.gz", voxels, affine), "id": "MR/3"})
    item["pred"] = torch.round(item["image"].as_tensor() * 800)
    SaveTranslationd("pred", tmp_path / "out", dicom=True)(back(item))
    nifti = nib.load(tmp_path / "out" / "MR_3_ct.nii.gz")
    assert np.allclose(nifti.affine, affine, atol=1e-4)
    series_voxels, series = read_dicom_series(tmp_path / "out" / "MR_3_ct")
    assert np.array_equal(series_voxels, np.asarray(nifti.dataobj))
    assert np.allclose(series.affine, affine, atol=0.25)


@pytest.mark.parametrize("name", ["患" * 80, "x" * 248, os.fsdecode("Müller".encode("latin-1"))])
def test_names_that_no_file_could_have(tmp_path, name):
    path = save(tmp_path / f"{name}.nii", smooth((16, 20, 6)))
    item = mr_slices(20)({"image": path, "id": name})
    item["pred"] = torch.round(item["image"].as_tensor() * 800)
    SaveTranslationd("pred", tmp_path / "out", dicom=True)(back(item))
    (nifti,) = (tmp_path / "out").glob("*_ct.nii.gz")
    (series,) = (path for path in (tmp_path / "out").iterdir() if path.is_dir())
    assert as_text(name)[:40] in nifti.name
    assert np.array_equal(read_dicom_series(series)[0], np.asarray(nib.load(nifti).dataobj))


def test_both_forms_and_the_unit_are_written(tmp_path):
    item = mr_slices(20)({"image": save(tmp_path / "mr.nii", smooth((16, 20, 6))), "id": "a"})
    item["pred"] = torch.round(item["image"].as_tensor() * 800)
    SaveTranslationd("pred", tmp_path / "out")(back(item))
    assert_forms(tmp_path / "out" / "a_ct.nii.gz", AFFINE)


@needs_real
def test_real_mr_keeps_its_geometry(tmp_path):
    path = REAL / "abdomen_mr" / "totalsegmentator_example_mr.nii.gz"
    item = mr_slices(64)({"image": str(path), "id": "real"})
    item["pred"] = item["image"].as_tensor()
    SaveTranslationd("pred", tmp_path)(back(item))
    made, original = nib.load(tmp_path / "real_ct.nii.gz"), nib.load(path)
    assert made.shape == original.shape
    assert np.allclose(made.affine, original.affine, atol=1e-4)


def whole_body():
    """A cylinder with lungs in slices 60 to 89, gas in the bowel below, 5 mm slices from -300 mm."""
    y, x = np.mgrid[:40, :40] - 19.5
    hu = np.full((110, 40, 40), -1000, np.float32)
    hu[:, (x / 17) ** 2 + (y / 13) ** 2 < 1] = 30
    lungs = (np.abs(x) > 4) & ((np.abs(x) - 9) ** 2 / 25 + y**2 / 64 < 1)
    hu[60:90, lungs] = -850
    hu[20:40, (x - 3) ** 2 + y**2 < 6] = -950
    return hu


def test_abdomen_lies_below_the_lungs(tmp_path):
    assert abdomen_slices(whole_body(), 5.0) == (60 - 46, 60 + 8)
    assert abdomen_slices(whole_body()[:50], 5.0) == (0, 50)  # no lungs: nothing is cut off
    affine = np.diag([-1.0, -1.0, 5.0, 1.0])
    affine[2, 3] = -300
    path = save(tmp_path / "ct.nii", whole_body().transpose(2, 1, 0), affine)
    image = ct_slices(40, (-1000, 1000), axial_range="abdomen")({"image": path, "id": "x"})["image"]
    assert image.shape[1] == 54
    assert float(image.affine[2, 3]) == -300 + 14 * 5
    image = ct_slices(40, (-1000, 1000), axial_range=(-101, 1))({"image": path, "id": "x"})["image"]
    assert (image.shape[1], float(image.affine[2, 3])) == (21, -100)
    with pytest.raises(RuntimeError) as error:
        ct_slices(40, (-1000, 1000), axial_range=(900, 950))({"image": path, "id": "x"})
    assert "no slice in (900, 950); it lies between -300 and 245 mm" in str(error.value.__cause__)
    with pytest.raises(ValueError, match="'chest', expected 'abdomen'"):
        ct_slices(40, (-1000, 1000), axial_range="chest")


@needs_real
def test_abdomen_of_real_scans():
    """A chest scan that ends in the upper abdomen: from its bottom to a little above the lung bases."""
    load = LoadStudyd("image")
    chest = load({"image": str(REAL / "abdomen_ct" / "totalsegmentator_aorta_ct.nii.gz")})["image"]
    first, last = abdomen_slices(np.asarray(chest[0]), 1.5)
    assert first == 0
    assert 20 < last < chest.shape[1]
    abdomen = load({"image": str(REAL / "abdomen_ct" / "totalsegmentator_example_ct.nii.gz")})["image"]
    first, last = abdomen_slices(np.asarray(abdomen[0]), 3.0)
    assert last - first > 0.6 * abdomen.shape[1]
    (path,) = (REAL / "chest_ct" / "subset1").glob("*.mhd")  # 30 slices of 8 mm, from the liver to above the lungs
    chest = load({"image": str(path)})["image"]
    first, last = abdomen_slices(np.asarray(chest[0]), 8.0)
    assert first == 0
    assert 5 < last < chest.shape[1] / 2


def test_bad_sizes_are_named():
    with pytest.raises(ValueError, match="image_size is 0"):
        mr_slices(0)
    item = {
        "image": MetaTensor(
            torch.zeros(1, 3, 4, 4), meta={"grid_shape": torch.tensor([5, 4, 4]), "grid_square": torch.tensor([4, 4])}
        )
    }
    with pytest.raises(ValueError, match="3 slices and its source 5"):
        ToSourceGridd("pred")(item | {"pred": torch.zeros(1, 3, 4, 4)})
