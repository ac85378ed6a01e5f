"""T1 preprocessing: what is taken for a head, how it is scaled, and where it lands."""

import math

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from monai.data import MetaTensor
from monai.transforms import Compose
from scipy import ndimage

from tests.real import REAL, needs_real
from tools.data.phantoms.brain import BRAIN_TISSUES, Brain, brain_t1
from tools.data.phantoms.mr import MPRAGE, MRScanner, mr_image
from tools.io.readers import VolumeError
from tools.transforms import mr, spatial
from tools.transforms.ct import ct_preprocessing
from tools.transforms.digest import chain_digest
from tools.transforms.mr import CropToHeadd, NormaliseT1d, RemoveBackgroundd, t1_preprocessing
from tools.transforms.spatial import load_volume

AFFINE = torch.tensor([[0, 0, -1.0, 90], [0, -1.2, 0, 80], [1.5, 0, 0, -30], [0, 0, 0, 1]], dtype=torch.float64)


@pytest.fixture(scope="module")
def phantom():
    return brain_t1(3, (52, 60, 44))


def tensor(voxels, affine=AFFINE, name="a.nii"):
    return MetaTensor(torch.as_tensor(np.float32(voxels))[None], affine=affine, meta={"filename_or_obj": name})


def apply(transform, image):
    return transform(keys="image")({"image": image})["image"]


def ball(shape=(40, 50, 60), centre=(18, 24, 33), axes=(8, 15, 12), value=100.0):
    """An ellipsoid in voxels, 0 outside."""
    grid = np.indices(shape, dtype=float)
    radius = sum(((g - c) / a) ** 2 for g, c, a in zip(grid, centre, axes, strict=True))
    return np.where(radius < 1, value, 0.0)


# background


@pytest.mark.parametrize("noise", [0.0005, 0.002, 0.006])
def test_head_is_found_in_noise(phantom, noise):
    scanner = MRScanner(10000, noise, 0.1, 0.45)
    image = mr_image(phantom.labels, BRAIN_TISSUES, MPRAGE(), scanner, np.random.default_rng(0), (4, 4, 4))
    mask = mr.foreground(image)
    head = phantom.labels != Brain.AIR
    brain = (phantom.labels >= Brain.CSF) & (phantom.labels != Brain.EYE)
    assert (mask & brain).sum() > 0.999 * brain.sum()
    assert (mask & ~ndimage.binary_fill_holes(ndimage.binary_dilation(head))).sum() < 0.03 * head.sum()
    removed = apply(RemoveBackgroundd, tensor(image))
    assert (removed[0][torch.as_tensor(~mask)] == 0).all()
    assert torch.equal(removed[0][torch.as_tensor(brain & mask)], torch.as_tensor(np.float32(image[brain & mask])))


def test_stripped_brain_is_kept_whole(phantom):
    brain = np.isin(phantom.labels, [Brain.GREY, Brain.WHITE, Brain.DEEP_GREY, Brain.THALAMUS, Brain.BRAINSTEM])
    mask = mr.foreground(np.where(brain, phantom.t1, 0))
    assert (mask & brain).sum() > 0.97 * brain.sum()
    assert mask[phantom.labels == Brain.VENTRICLE].mean() > 0.9  # enclosed


def test_pieces_apart_are_background():
    image = ball()
    image[2:5, 2:5, 2:5] = 300  # a marker beside the head
    removed = apply(RemoveBackgroundd, tensor(image))
    assert (removed[0, :6, :6, :6] == 0).all()
    assert removed.max() == 100


def test_input_is_not_changed():
    image = tensor(ball())
    before = image.clone()
    for transform in (RemoveBackgroundd, NormaliseT1d, CropToHeadd):
        apply(transform, image)
    assert torch.equal(before, image)
    assert "white" not in image.meta


@pytest.mark.parametrize(
    ("voxels", "message"),
    [
        (np.full((9, 9, 9), 7.0), r"a\.nii: all of its voxels have the value 7"),
        (np.where(ball() > 0, math.nan, 0), r"a\.nii: \d+ of its voxels are NaN or infinite"),
        (np.where(np.indices((20, 20, 20)).sum(0) == 30, math.inf, 0), "NaN or infinite"),
        (ball(axes=(1, 1, 1)), r"a\.nii: nothing stands out from its background"),
        (ball() - 1000, r"a\.nii: its intensities begin at -1e\+03, expected a magnitude image"),
    ],
)
def test_bad_volumes_are_named(voxels, message):
    with pytest.raises(VolumeError, match=message):
        apply(RemoveBackgroundd, tensor(voxels))


# intensities


def test_intensities_are_scaled_robustly():
    image = ball() * np.random.default_rng(0).uniform(0.5, 1, (40, 50, 60))
    image[18, 24, 33] = 5000  # a vessel
    result = apply(NormaliseT1d, tensor(image))
    assert result.meta["white"] == pytest.approx(99, abs=0.5)
    assert (result.min(), result.max()) == (0, 1000)
    other = apply(NormaliseT1d, tensor(7 * image))
    torch.testing.assert_close(other.as_tensor(), result.as_tensor(), atol=1e-2, rtol=0)


# cube


def landmark(image):
    """World coordinates (RAS) of the centre of mass."""
    weight = image.as_tensor()[0].double()
    grid = torch.stack(torch.meshgrid(*(torch.arange(n).double() for n in weight.shape), indexing="ij"), -1)
    mean = (grid * weight[..., None]).sum((0, 1, 2)) / weight.sum()
    return image.affine @ torch.cat([mean, torch.ones(1).double()])


@pytest.mark.parametrize("centre", [(18, 24, 33), (4, 24, 33), (18, 45, 13)])  # in the middle, and at the border
def test_crop_is_a_cube_in_mm_and_moves_nothing(centre):
    image = tensor(ball(centre=centre))
    result = apply(CropToHeadd, image)
    side = torch.as_tensor(result.shape[1:]) * result.pixdim
    extent = 29 * 1.2 if centre[1] == 24 else 23  # of rows, or of columns where rows are cut off
    assert side.numpy() == pytest.approx([extent * 1.08] * 3, abs=0.75)
    torch.testing.assert_close(landmark(result), landmark(image))
    assert result.sum() == image.sum()


def test_long_neck_is_cut_and_the_crown_stays():
    image = ball((80, 50, 60), (60, 24, 33))
    image[:60, 18:30, 28:38] = 50  # down to the end of the volume, 90 mm
    result = apply(CropToHeadd, tensor(image))
    rows = torch.nonzero(result[0].amax((1, 2))).flatten()
    assert rows[0] == 0
    assert 1 <= result.shape[1] - 1 - rows[-1] <= 2  # the margin above the crown
    assert (result == 100).sum() == (image == 100).sum()


def write(path, volume, spacing=(1.0, 1.2, 1.5)):
    image = sitk.GetImageFromArray(volume.astype(np.float32))
    image.SetSpacing(spacing)
    image.SetOrigin((-90, -80, -30))
    sitk.WriteImage(image, str(path))


def test_whole_chain_keeps_proportions(tmp_path):
    write(tmp_path / "a.nii.gz", ball((60, 70, 80), (30, 35, 44), (20, 25, 30), 500.5))
    result = t1_preprocessing(32)({"image": str(tmp_path / "a.nii.gz")})["image"]
    assert (result.shape, result.dtype) == ((1, 32, 32, 32), torch.float32)
    assert torch.equal(result, result.round())
    assert (result.min(), result.max()) == (0, 1000)
    # half axes of 20, 25 and 30 voxels are 30 mm each
    inside = (result[0] > 500).numpy()
    extents = [np.ptp(i) + 1 for i in np.nonzero(inside)]
    assert max(extents) - min(extents) <= 1
    assert result.affine[:3, :3].sign().tolist() == [[0, 0, -1], [0, -1, 0], [1, 0, 0]]
    before = Compose(load_volume())({"image": str(tmp_path / "a.nii.gz")})["image"]
    torch.testing.assert_close(landmark(result), landmark(before), atol=0.1, rtol=0)


def test_orientation_in_the_file_does_not_matter(tmp_path, phantom):
    write(tmp_path / "a.nii", phantom.t1, (4, 4, 4))
    sitk.WriteImage(sitk.DICOMOrient(sitk.ReadImage(str(tmp_path / "a.nii")), "PSR"), str(tmp_path / "b.nii.gz"))
    a, b = (t1_preprocessing(32)({"image": str(tmp_path / n)})["image"] for n in ("a.nii", "b.nii.gz"))
    assert torch.equal(a.as_tensor(), b.as_tensor())
    torch.testing.assert_close(a.affine, b.affine, atol=1e-4, rtol=0)


@pytest.mark.parametrize("size", [0, 2.5])
def test_bad_size(size):
    with pytest.raises(ValueError, match="image_size is"):
        t1_preprocessing(size)


def test_digest_follows_the_modules_that_are_used(monkeypatch):
    t1, ct = chain_digest(t1_preprocessing(64)), chain_digest(ct_preprocessing(64))
    assert t1 == chain_digest(t1_preprocessing(64)) != chain_digest(t1_preprocessing(32))
    monkeypatch.setattr(mr, "VERSION", -1)
    assert chain_digest(t1_preprocessing(64)) != t1
    assert chain_digest(ct_preprocessing(64)) == ct
    monkeypatch.setattr(spatial, "VERSION", -1)
    assert chain_digest(ct_preprocessing(64)) != ct


@needs_real
def test_real_head():
    path = REAL / "brain_t1" / "seg3d_mr.nii.gz"
    image = apply(RemoveBackgroundd, Compose(load_volume())({"image": str(path)})["image"])
    air = image[0] == 0
    assert 0.3 < air.float().mean() < 0.5
    assert ndimage.label(~air.numpy())[1] < 40  # one head, but for single voxels that are 0 in it
    result = t1_preprocessing(64)({"image": str(path)})["image"]
    np.testing.assert_allclose(result.pixdim, result.pixdim[0], rtol=0.005)
    assert 200 < 64 * result.pixdim[0] < 240
    axial = result[0, 30]
    assert (axial[:, 0] == 0).all()
    assert (axial[0] == 0).all()
    assert axial[20:44, 24:40].mean() > 300
    # the corpus callosum and the eyes lie in front of the cerebellum: rows run to the back
    assert result.affine[1, 1] < 0


@needs_real
def test_real_template():
    result = t1_preprocessing(64)({"image": str(REAL / "brain_t1" / "icbm152_t1.nii.gz")})["image"]
    assert 0.25 < (result > 0).float().mean() < 0.5
    assert 600 < result[result > 0].median() < 900
    nonzero = torch.nonzero(result[0])
    middle = (nonzero.amin(0) + nonzero.amax(0)) / 2
    assert (middle - 31.5).abs().max() <= 1
