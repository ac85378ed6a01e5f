"""What is no CT, or no MR, is told by its values or by what its DICOM files say."""

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from scipy import ndimage

from tests.real import REAL, needs_real
from tools.data.phantoms import brain, thorax
from tools.data.phantoms.abdomen import abdomen_ct, abdomen_t1, abdomen_t2
from tools.data.phantoms.abdomen_body import AbdomenBody
from tools.io.readers import VolumeError
from tools.transforms.digest import chain_digest
from tools.transforms.plausibility import Judged, judge, no_ct, no_mr, sample_of
from tools.transforms.spatial import load_volume

SHAPE = (20, 40, 44)


def body(seed=0, noise=15):
    """HU [axial, H, W] of an ellipse of soft tissue with fat, lung and bone in air."""
    _, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    hu = np.where(x**2 + (y / 0.7) ** 2 < 0.8, -100.0, -1000.0)
    hu[x**2 + (y / 0.7) ** 2 < 0.7] = 40
    hu[(abs(x) - 0.35) ** 2 + y**2 < 0.05] = -850
    hu[x**2 + (y - 0.4) ** 2 < 0.02] = 600
    return np.rint(hu + noise * np.random.default_rng(seed).standard_normal(SHAPE))


def head(seed=0):
    """Intensities of an MR [axial, H, W]: smooth tissue and noise around it."""
    rng = np.random.default_rng(seed)
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    tissue = np.where(x**2 + y**2 + z**2 < 0.7, 500 + 200 * ndimage.gaussian_filter(rng.normal(size=SHAPE), 2) * 20, 0)
    return np.rint(np.abs(tissue + 10 * rng.standard_normal(SHAPE)))


def organs(seed=0, count=40):
    """A label map of many structures."""
    centres = np.random.default_rng(seed).uniform(0, 1, (count, 3)) * SHAPE
    places = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1).reshape(-1, 3)
    nearest = ((places[:, None] - centres) ** 2).sum(-1).argmin(1).reshape(SHAPE)
    return np.where(body() > -500, nearest + 1, 0)


def nodule():
    """A mask of a few voxels, which no sample shows."""
    mask = np.zeros((128, 128, 20), np.uint8)
    mask[65, 65, 3:5] = 1
    return mask


def padded(hu, value):
    y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE[1:]), indexing="ij")
    return np.where(x**2 + y**2 > 1, value, hu)


CT = {
    "body": body(),
    "without noise, air cut off": body(noise=0).clip(-1000),
    "round field of view": padded(body(), -3024),
    "stored without a sign, air lost": padded(body().clip(-1024), -1024),
    "inside of an organ": np.random.default_rng(0).normal(50, 15, SHAPE),
    "brain without skull": np.where(head() > 250, np.random.default_rng(0).normal(35, 8, SHAPE), -1000),
    "nothing but air": np.random.default_rng(0).normal(-1000, 15, SHAPE),
}

NO_CT = {
    "label map": (organs(), "it is a label map: .* whole numbers from 0 to 40"),
    "mask": ((body() > -500).astype(np.float32), "it is a label map: 2 whole numbers"),
    "small mask": (nodule(), "it is a label map: 2 whole numbers from 0 to 1"),
    "offset": (body() + 1024, "rescale intercept was lost. Subtract 1024"),
    "offset of air 1000": ((body() + 1000).clip(0), "rescale intercept was lost"),
    "offset and padding": (padded(body(), -2000) + 1024, "rescale intercept was lost"),
    "[0, 1]": ((body().clip(-1000, 1000) + 1000) / 2000, r"between 0 and .*: it was scaled to \[0, 1\]"),
    "[-1, 1]": (body().clip(-1000, 1000) / 1000, r"between -1 and .*: it was scaled to \[-1, 1\]"),
    "standardised": ((body() - body().mean()) / body().std(), "too close together for HU: was it standardised"),
    "8 bit": ((body().clip(-1000, 600) + 1000) / 1600 * 255 // 1, "grey values of 8 bit"),
    "padding of 16 bit": (
        padded(body(), 63536),
        r"have the value 63536, denser than tissue: padding whose sign was lost",
    ),
    "padding of 12 bit": (padded(body(), 2096), "have the value 2096, denser than tissue"),
    "MR": (head(), "in CT air is near -1000 and fat near -100 HU. Is it MR"),
}


@pytest.mark.parametrize("name", CT)
def test_ct_is_taken(name):
    assert no_ct(sample_of(CT[name])) is None


@pytest.mark.parametrize("name", NO_CT)
def test_no_ct(name):
    voxels, reason = NO_CT[name]
    with pytest.raises(VolumeError, match=reason):
        judge(torch.as_tensor(voxels)[None], "CT")


@pytest.mark.parametrize("scale", [1, 1e-3, 37.5, 0.2])
def test_mr_of_any_scale_is_taken(scale):
    assert no_mr(sample_of(head() * scale)) is None
    assert no_mr(sample_of(np.rint(head() * scale))) is None or scale < 0.01


@pytest.mark.parametrize("voxels", [organs(), nodule(), body()])
def test_no_mr(voxels):
    with pytest.raises(VolumeError, match=r"it is a label map|is it CT"):
        judge(torch.as_tensor(voxels)[None], "MR")


@pytest.mark.parametrize("value", [-1024, 0, 40])
def test_one_value_is_not_judged(value):
    sample = sample_of(np.full(SHAPE, value))
    assert no_ct(sample) is no_mr(sample) is None
    assert no_ct(sample_of(np.full(SHAPE, np.nan))) is None


def test_dicom_says_what_it_is():
    image = MetaTensor(torch.as_tensor(body())[None], meta={"filename_or_obj": "series", "modality": "CT"})
    judge(image, "CT")
    with pytest.raises(VolumeError, match="series: its DICOM files say that it is CT, expected MR"):
        judge(image, "MR")
    image.meta["modality"] = "PT"
    with pytest.raises(VolumeError, match="say that it is PT, expected CT"):
        judge(image, "CT")


def test_a_check_is_no_part_of_the_digest():
    chain = load_volume()
    assert chain_digest([*chain, Judged("image", "CT")]) == chain_digest(chain)


@pytest.mark.parametrize("seed", range(3))
def test_phantoms_are_taken(seed):
    bodies, shape = AbdomenBody.draw(seed), (16, 48, 48)
    for ct in (thorax.thorax_ct(seed, (32, 48, 48)).hu, *(abdomen_ct(bodies, shape, c).image for c in (True, False))):
        assert no_ct(sample_of(ct)) is None
        assert no_mr(sample_of(ct)) is not None
    for mr in (
        brain.brain_t1(seed, (40, 48, 36)).t1,
        *(v.image for v in (*abdomen_t1(bodies, shape), abdomen_t2(bodies, shape))),
    ):
        assert no_mr(sample_of(mr)) is None
        assert no_ct(sample_of(mr)) is not None
    assert "label map" in no_ct(sample_of(thorax.thorax_labels(seed, (32, 48, 48))))
    assert "label map" in no_mr(sample_of(brain.brain_labels(seed, (40, 48, 36))))


@needs_real
def test_no_false_alarm_on_real_volumes():
    files = [*(REAL / "abdomen_ct").glob("*.nii.gz"), REAL / "lidc/LIDC-IDRI-0001.nii.gz"]
    for path in [*files, REAL / "labelled_ct/example_ct_sm.nii.gz"]:
        assert no_ct(sample_of(np.asarray(nib.load(path).dataobj).T)) is None, path
    files = [*(REAL / "brain_t1").glob("*.nii.gz"), *(REAL / "abdomen_mr").glob("*.nii.gz")]
    for path in [*files, *(REAL / "hippocampus/imagesTr").glob("*.nii.gz")]:
        voxels = sample_of(np.asarray(nib.load(path).dataobj).T)
        assert no_mr(voxels) is None, path
        assert no_ct(voxels) is not None, path
    for path in [REAL / "labelled_ct/example_seg.nii.gz", *(REAL / "hippocampus/labelsTr").glob("*.nii.gz")]:
        sample = sample_of(np.asarray(nib.load(path).dataobj).T)
        assert "label map" in no_ct(sample), path
        assert "label map" in no_mr(sample), path
