import functools
import logging
import math

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Lambdad, RandFlipd, Resized, ScaleIntensityRanged
from scipy import ndimage

from tests.processes import in_another_process
from tests.real import REAL, needs_real
from tools.io.readers import VolumeError
from tools.io.volume_reader import VolumeReader
from tools.transforms import ct
from tools.transforms.ct import CalibrateHUd, DropBlankSlicesd, ReplaceNaNd, ct_preprocessing
from tools.transforms.digest import chain_digest
from tools.transforms.plausibility import Judged
from tools.transforms.spatial import ResizeVolumed, load_volume

AFFINE = torch.tensor([[0, 0, -0.7, 90], [0, -0.8, 0, 80], [2.5, 0, 0, -300], [0, 0, 0, 1]], dtype=torch.float64)


def chest(air=-980.0, noise=12.0, padding=-2000, clip=-1024, lungs=True, shape=(24, 96, 96), seed=0):
    """HU [1, axial, H, W] of an elliptic body of 40 HU with lungs of -850 HU that open below, on a table, in air."""
    generator = np.random.default_rng(seed)
    _, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    hu = np.full(shape, float(air))
    hu[(x / 0.7) ** 2 + (y / 0.5) ** 2 < 1] = 40
    if lungs:
        hu[(((np.abs(x) - 0.33) / 0.2) ** 2 + (y / 0.32) ** 2) < 1] = -850
    hu[(np.abs(y - 0.7) < 0.03) & (np.abs(x) < 0.6)] = -400
    hu = np.maximum(np.rint(hu + noise * generator.standard_normal(shape)), clip)
    if padding is not None:
        hu[x**2 + y**2 > 1] = padding
    return MetaTensor(torch.as_tensor(hu, dtype=torch.float32)[None], affine=AFFINE)


def calibrate(image):
    return CalibrateHUd(keys="image")({"image": image})["image"]


@pytest.mark.parametrize("air", [-1015, -1000, -980, -940])
@pytest.mark.parametrize("padding", [None, -1024, -2000, -3024])
@pytest.mark.parametrize("noise", [0, 12, 50])
def test_air_lands_at_minus_1000_and_water_stays(air, padding, noise):
    image = chest(air, noise, padding)
    image[..., 40:50, 45:50] = 0  # water, without noise
    result = calibrate(image)
    assert result.meta["hu_calibrated"]
    # within the precision to which the mode of so little noisy air can be told
    assert result.meta["air_peak"] == pytest.approx(air, abs=0.5 + 0.1 * noise)
    assert (result[..., 40:50, 45:50] == 0).all()
    air_of_result = air * -1000 / result.meta["air_peak"]
    assert air_of_result == pytest.approx(-1000, abs=0.6 + 0.1 * noise)
    if padding is not None:
        assert (result[0, :, 0, 0] == -1024).all()
    torch.testing.assert_close(result.affine, AFFINE)


def test_input_is_not_changed():
    image = chest()
    before = image.clone()
    calibrate(image)
    assert torch.equal(before, image)
    assert "air_peak" not in image.meta


def test_air_below_the_padding_value_is_calibrated():
    # unclipped data of a scanner that reads air at -1040 HU
    assert calibrate(chest(-1040, 10, None, clip=-9999)).meta["air_peak"] == pytest.approx(-1040, abs=2)


@pytest.mark.parametrize("padding", [-1024, -2000, -3024])
def test_padding_alone_is_not_air(padding, caplog):
    image = chest(padding=None)
    _, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in image.shape[1:]), indexing="ij")
    image[0, torch.as_tensor((x / 0.7) ** 2 + (y / 0.5) ** 2 >= 1)] = padding
    with caplog.at_level(logging.INFO):
        result = calibrate(image)
    assert math.isnan(result.meta["air_peak"])
    assert not result.meta["hu_calibrated"]
    assert "no air outside the body" in caplog.text
    inside = image > -1000
    assert torch.equal(result[inside], image[inside])
    assert (result[0, :, 0, 0] == -1024).all()


def test_volume_cropped_to_the_body_is_left(caplog):
    image = chest()[:, :, 40:56, 20:76]
    assert torch.equal(calibrate(image), image)


@pytest.mark.parametrize("air", [-1150, -870, -600])
def test_implausible_peak_is_left_with_a_warning(air, caplog):
    image = chest(air, padding=None, clip=-9999)
    result = calibrate(image)
    assert not result.meta["hu_calibrated"]
    assert "not calibrated" in caplog.text
    inside = image > -1050
    assert torch.equal(result[inside], image[inside])


def test_lung_at_the_edge_is_not_air(caplog):
    image = chest()[:, :, 40:56, 30:66]
    assert (image[0, :, :, 0] < -700).float().mean() > 0.5  # the crop goes through a lung
    assert not calibrate(image).meta["hu_calibrated"]


def test_nan():
    image = chest()
    image[0, 3, 4, 5], image[0, 3, 4, 6] = math.nan, math.inf
    result = ReplaceNaNd(keys="image")({"image": image})["image"]
    assert result[0, 3, 4, 5] == -1024
    assert result[0, 3, 4, 6] == math.inf
    assert math.isnan(image[0, 3, 4, 5])


def drop(image):
    return DropBlankSlicesd(keys="image")({"image": image})["image"]


@pytest.mark.parametrize("blank", ["zeros", "floor", "air"])
def test_blank_ends_are_dropped_and_affine_moves(blank, caplog):
    image = chest()
    value = {"zeros": 0, "floor": -1024, "air": chest()[0, 0, :1, 30:60].mean()}[blank]
    image[:, :3], image[:, -2:] = value, value
    if blank == "air":
        image[:, :3] += 20 * torch.randn(image[:, :3].shape)
    result = drop(image)
    assert result.shape == (1, 19, 96, 96)
    assert torch.equal(result, image[:, 3:-2])
    index = torch.tensor([0.0, 5, 6, 1], dtype=torch.float64)
    torch.testing.assert_close(result.affine @ index, AFFINE @ (index + torch.tensor([3, 0, 0, 0])))
    assert not caplog.records


def test_blank_slice_between_others_is_kept(caplog):
    image = chest()
    image[:, 7] = -1024
    assert drop(image).shape == image.shape
    assert "1 blank axial slices lie between others" in caplog.text


def test_all_blank():
    image = torch.full((1, 5, 16, 16), -1024.0)
    with pytest.raises(VolumeError, match=r"a\.nii: all of its 5 axial slices are blank"):
        drop(MetaTensor(image, meta={"filename_or_obj": "a.nii"}))


def resize(image, size):
    return ResizeVolumed(keys="image", spatial_size=size)({"image": image})["image"]


def test_resize_keeps_anatomy_in_place():
    # a Gaussian blob keeps its centre in mm
    z, y, x = torch.meshgrid(*(torch.arange(float(n)) for n in (30, 80, 60)), indexing="ij")
    blob = MetaTensor(torch.exp(-(((z - 9) / 3) ** 2 + ((y - 50) / 8) ** 2 + ((x - 20) / 8) ** 2))[None], affine=AFFINE)

    def centre(image):
        grid = torch.stack(torch.meshgrid(*(torch.arange(float(n)) for n in image.shape[1:]), indexing="ij"), -1)
        weight = image.as_tensor()[0, ..., None]
        mean = (grid * weight).sum((0, 1, 2)) / weight.sum()
        return image.affine @ torch.cat([mean.double(), torch.ones(1)])

    for size in (16, 40, (45, 33, 64)):
        result = resize(blob, size)
        torch.testing.assert_close(centre(result), centre(blob), atol=0.1, rtol=0)
        # the outer corner, half a voxel before the first centre, stays where it was
        half = torch.tensor([-0.5, -0.5, -0.5, 1], dtype=torch.float64)
        torch.testing.assert_close(result.affine @ half, AFFINE @ half)


def test_resize_averages_and_keeps_borders():
    board = torch.as_tensor(np.indices((64, 64, 64)).sum(0) % 2, dtype=torch.float32)[None] * 1000
    assert (resize(board, 16) - 500).abs().max() < 20  # aliased, it would be 0 or 1000
    constant = torch.full((1, 40, 50, 60), -1000.0)
    torch.testing.assert_close(resize(constant, 16), constant[:, :16, :16, :16])
    padded = Resized(keys="image", spatial_size=(16,) * 3, mode="trilinear", anti_aliasing=True)({"image": constant})
    assert padded["image"].max() > -900  # why MONAI's does not do


@pytest.mark.parametrize("size", [16, 40])
def test_resize_does_not_depend_on_threads(size):
    image, threads, results = chest(shape=(40, 128, 128)), torch.get_num_threads(), []
    try:
        for n in (1, 2, 3):
            torch.set_num_threads(n)
            results.append(resize(image, size))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(r, results[0]) for r in results)


def write(path, image=None):
    """Writes HU [1, axial, H, W] as LUNA16 does: columns to the left, rows to the back, slices upwards."""
    image = chest() if image is None else image
    volume = sitk.GetImageFromArray(image.numpy()[0].astype(np.int16))
    volume.SetSpacing((0.7, 0.8, 2.5))
    volume.SetOrigin((-90, -80, -300))
    sitk.WriteImage(volume, str(path))
    return image


def test_whole_chain(tmp_path):
    image = write(tmp_path / "a.mhd")
    result = ct_preprocessing(32)({"image": str(tmp_path / "a.mhd"), "id": "a"})["image"]
    assert isinstance(result, MetaTensor)
    assert (result.shape, result.dtype) == ((1, 32, 32, 32), torch.float32)
    assert torch.equal(result, result.round())
    assert (result.min(), result.max() <= 600) == (-1024, True)
    assert result.is_contiguous()
    # columns to the left, rows to the back, slices to the head: the order in which the volume was written
    expected = resize(calibrate(image).clamp(-1024, 600), 32).round()
    assert torch.equal(result.as_tensor(), expected.as_tensor())
    signs = result.affine[:3, :3].sign()
    assert signs.tolist() == [[0, 0, -1], [0, -1, 0], [1, 0, 0]]
    half = torch.tensor([-0.5, -0.5, -0.5, 1], dtype=torch.float64)
    expected = torch.tensor([90 + 0.35, 80 + 0.4, -300 - 1.25, 1], dtype=torch.float64)
    torch.testing.assert_close(result.affine @ half, expected)


@pytest.mark.parametrize("stored", [np.int16, np.uint8, np.uint16, np.int32, np.float32, np.float64])
def test_one_pass_is_the_steps_one_after_the_other(stored, tmp_path):
    """Whatever type of numbers a file has; only int16 is looked up in a table."""
    hu = chest(padding=-2000, seed=1).numpy()[0]
    hu[:2], hu[-3:] = -1024, -1024  # blank ends
    has_air = np.iinfo(stored).min < 0 if np.issubdtype(stored, np.integer) else True
    if not has_air:
        hu = np.clip(hu, 0, 200)
    volume = sitk.GetImageFromArray(hu.astype(stored))
    sitk.WriteImage(volume, str(tmp_path / "a.mhd"))
    steps = [CalibrateHUd("image"), DropBlankSlicesd("image"), Lambdad("image", lambda x: x.clamp(-1024, 600))]
    chain = Compose(
        [*load_volume(), ReplaceNaNd("image"), *steps, ResizeVolumed("image", 20), Lambdad("image", torch.round)]
    )
    expected = chain({"image": str(tmp_path / "a.mhd")})["image"]
    whole = [
        t for t in ct_preprocessing(20).transforms if not isinstance(t, Judged)
    ]  # which would refuse CT without air
    found = Compose(whole)({"image": str(tmp_path / "a.mhd")})["image"]
    assert found.dtype == torch.float32
    assert torch.equal(found.as_tensor(), expected.as_tensor())
    torch.testing.assert_close(found.affine, expected.affine)
    for key in ("air_peak", "hu_calibrated"):
        np.testing.assert_equal(found.meta[key], expected.meta[key])
    assert found.meta["hu_calibrated"] == has_air
    if not has_air:  # nothing is taken for padding
        assert found.min() >= 0


def test_orientation_in_the_file_does_not_matter(tmp_path):
    write(tmp_path / "a.mhd")
    volume = sitk.DICOMOrient(sitk.ReadImage(str(tmp_path / "a.mhd")), "ARS")
    sitk.WriteImage(volume, str(tmp_path / "b.nii.gz"))
    a, b = (ct_preprocessing(32)({"image": str(tmp_path / n)})["image"] for n in ("a.mhd", "b.nii.gz"))
    assert torch.equal(a.as_tensor(), b.as_tensor())
    torch.testing.assert_close(a.affine, b.affine, atol=1e-4, rtol=0)


@pytest.mark.parametrize("window", [(600, -1024), (0, 0), (-1024.5, 600), (-40000, 0)])
def test_bad_window(window):
    with pytest.raises(ValueError, match="expected two whole numbers"):
        ct_preprocessing(64, window)


@pytest.mark.parametrize("size", [0, -3, 2.5])
def test_bad_size(size):
    with pytest.raises(ValueError, match="image_size is"):
        ct_preprocessing(size)


def test_digest_tells_chains_apart(monkeypatch):
    chain = ct_preprocessing(64)
    digest = chain_digest(chain)
    assert digest == chain_digest(ct_preprocessing(64)) == chain_digest(list(chain.transforms))
    random = RandFlipd(keys="image", prob=0.5)
    others = [
        ct_preprocessing(32),
        ct_preprocessing(64, (-1000, 600)),
        Compose([*chain.transforms, ScaleIntensityRanged("image", -1024, 600, -1, 1)]),
        Compose(chain.transforms[:-1]),
        Compose([*chain.transforms[:-1], Lambdad("image", torch.floor)]),
        Compose([*chain.transforms[:-1], Lambdad("image", functools.partial(torch.round, decimals=1))]),
        Compose(chain.transforms[::-1]),
    ]
    digests = {digest, *(chain_digest(c) for c in others)}
    assert len(digests) == 1 + len(others)
    assert chain_digest(Compose([chain, random])) == digest  # only what comes before the first random transform
    assert chain_digest(Compose([random, chain])) == chain_digest([])
    monkeypatch.setattr(ct, "VERSION", ct.VERSION + 1)
    assert chain_digest(chain) not in digests


def digest_of_ct():
    return chain_digest(ct_preprocessing(16))


def test_digest_after_use_and_in_another_process(tmp_path):
    chain = ct_preprocessing(16)
    digest = chain_digest(chain)
    write(tmp_path / "a.mhd")
    chain({"image": str(tmp_path / "a.mhd")})
    assert chain_digest(chain) == digest
    assert in_another_process(digest_of_ct) == digest


def test_a_move_in_the_code_makes_no_stored_volume_another():
    """The reader lay elsewhere when the first volumes were stored."""
    where_it_lay = type("VolumeReader", (), {"__module__": "tools.data.volume_reader"})
    assert chain_digest(Lambdad("image", VolumeReader)) == chain_digest(Lambdad("image", where_it_lay))


def test_digest_refuses_what_it_cannot_name():
    with pytest.raises(TypeError, match="lambda"):
        chain_digest(Lambdad("image", lambda x: x))


@needs_real
@pytest.mark.parametrize("path", sorted(REAL.glob("chest_ct/*/*.mhd")), ids=lambda p: p.stem[-6:])
def test_real_chest(path):
    before = Compose(load_volume())({"image": str(path)})["image"]
    image = calibrate(before)
    assert image.meta["hu_calibrated"]
    # mode of the air in the first rows, which show neither body nor table, seen without the code under test
    values = image[0, :, 10:60, 200:312].flatten()
    histogram = np.histogram(values[values > -1020], bins=np.arange(-1020, -900))[0]
    assert -1020.5 + ndimage.gaussian_filter1d(histogram * 1.0, 6).argmax() + 1 == pytest.approx(-1000, abs=5)
    tissue = (before > -150) & (before < 150)
    assert image[tissue].median() == pytest.approx(before[tissue].median(), abs=1)

    result = ct_preprocessing(64)({"image": str(path)})["image"]
    assert result.shape == (1, 64, 64, 64)
    assert result[0, 32, 2, 32] < -950  # above the chest
    assert (result[0, 32] > -200).float().mean() > 0.1
    spine, sternum = result[0, 32, 36:, 26:38], result[0, 32, :28, 26:38]
    assert (spine > 200).sum() > (sternum > 200).sum()  # rows run from front to back
