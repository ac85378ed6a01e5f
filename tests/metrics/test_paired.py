"""Errors against a known truth, by formulas with loops and by geometry."""

import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from tools.metrics.paired import (
    body_mask,
    mean_absolute_error,
    mean_error,
    path_length_difference,
    psnr,
    ssim,
    tissue_classes,
    tissue_errors,
    water_equivalent_path_length,
)

SPACING = (5.0, 2.0, 2.0)


def patient():
    """A cylinder of water with a lung, a bone and gas; 2 mm pixels; a table under it."""
    y, x = np.mgrid[:60, :60] - 29.5
    section = np.full((60, 60), -1000.0)
    section[x**2 + y**2 < 24**2] = 0
    section[(x + 10) ** 2 + y**2 < 25] = -850
    section[(x - 10) ** 2 + y**2 < 16] = 700
    section[x**2 + (y + 10) ** 2 < 9] = -990
    section[57, 5:55] = 100
    return np.repeat(section[None], 4, 0)


def test_errors_by_hand():
    rng = np.random.default_rng(0)
    truth, synthetic = rng.normal(0, 300, (2, 3, 4, 5))
    mask = rng.random((3, 4, 5)) < 0.5
    pairs = [(truth[i], synthetic[i]) for i in zip(*np.nonzero(mask), strict=True)]
    assert mean_absolute_error(truth, synthetic, mask) == pytest.approx(sum(abs(s - t) for t, s in pairs) / len(pairs))
    assert mean_error(truth, synthetic, mask) == pytest.approx(sum(s - t for t, s in pairs) / len(pairs))
    assert mean_absolute_error(truth, synthetic, mask.astype(np.uint8)) == mean_absolute_error(truth, synthetic, mask)
    squares = ((synthetic - truth) ** 2).mean()
    assert psnr(truth, synthetic, 2000) == pytest.approx(10 * math.log10(2000**2 / squares), rel=1e-5)


@pytest.mark.parametrize("shape", [(14, 15, 16), (30, 31)])
def test_ssim_is_wangs_formula(shape):
    """Window of 11 with sigma 1.5, over the places where it lies inside."""
    rng = np.random.default_rng(1)
    truth = rng.random(shape) * 1000
    synthetic = truth + rng.normal(0, 100, shape)

    def blur(v):
        return gaussian_filter(v, 1.5, truncate=5 / 1.5)[(slice(5, -5),) * len(shape)]

    a, b = blur(truth), blur(synthetic)
    va, vb = blur(truth**2) - a**2, blur(synthetic**2) - b**2
    cov = blur(truth * synthetic) - a * b
    c1, c2 = (0.01 * 1000) ** 2, (0.03 * 1000) ** 2
    expected = ((2 * a * b + c1) * (2 * cov + c2) / ((a**2 + b**2 + c1) * (va + vb + c2))).mean()
    assert ssim(truth, synthetic, 1000) == pytest.approx(expected, abs=1e-3)
    assert ssim(truth, truth, 1000) == pytest.approx(1, abs=1e-5)


def test_tissues():
    hu = patient()
    body = body_mask(hu)
    y, x = np.mgrid[:60, :60] - 29.5
    assert (body[0] == (x**2 + y**2 < 24**2)).mean() > 0.995  # not the table
    classes = tissue_classes(hu)
    assert classes["lung"][:, 30, 20].all()
    assert classes["bone"][:, 30, 40].all()
    assert classes["air"][:, 20, 30].all()
    assert not classes["air"][:, 0, 0].any()
    assert sum(c.astype(int) for c in classes.values()).max() == 1
    of_numbers = tissue_classes(hu, body.astype(np.uint8))  # as a mask comes from a file
    assert all(np.array_equal(of_numbers[name], mask) for name, mask in classes.items())
    synthetic = hu + np.where(classes["bone"], -100, 0) + np.where(classes["lung"], 30, 0)
    errors = tissue_errors(hu, synthetic)
    assert errors["bone"]["mae"] == 100
    assert errors["bone"]["me"] == -100
    assert errors["lung"]["me"] == 30
    assert errors["soft"]["mae"] == 0
    weights = {n: e["voxels"] for n, e in errors.items()}
    total = 100 * weights["bone"] + 30 * weights["lung"]
    assert errors["body"]["mae"] == pytest.approx(total / weights["body"])
    assert errors["everywhere"]["mae"] == pytest.approx(total / hu.size)
    assert set(tissue_errors(hu, synthetic, {"liver": classes["soft"], "none": hu > 9000})) == {
        "everywhere",
        "body",
        "liver",
    }


def test_path_length_is_the_thickness_of_water():
    water = np.full((3, 40, 50), -1000.0)
    water[:, 10:30, 5:35] = 0
    down, across = (water_equivalent_path_length(water, SPACING, angle) for angle in (0, 90))
    assert down.shape == (3, 50)
    assert across.shape == (3, 40)
    assert down[:, 5:35] == pytest.approx(np.full((3, 30), 40.0))
    assert across[:, 10:30] == pytest.approx(np.full((3, 20), 60.0))
    assert down[:, :5].max() == 0
    assert water_equivalent_path_length(water, SPACING, 45).max() == pytest.approx(40 * 2**0.5, rel=0.05)
    bone = water.copy()
    bone[:, 10:20, 5:35] = 1000
    assert water_equivalent_path_length(bone, SPACING)[0, 20] == pytest.approx(20 + 20 * (1.052 + 0.48))
    assert water_equivalent_path_length(bone, SPACING, calibration=((-1000, 0), (1000, 2)))[0, 20] == pytest.approx(60)


def test_path_length_differences():
    truth = patient()
    synthetic = truth + np.where(body_mask(truth) & (truth == 0), 50, 0)
    result = path_length_difference(truth, synthetic, SPACING)
    expected = []
    for axis in (1, 2):
        rho = [np.where(v <= 100, 1 + v / 1000, 1.052 + 0.00048 * v) for v in (truth, synthetic)]
        lengths = [2 * r.sum(axis) for r in rho]
        expected += list((lengths[1] - lengths[0])[lengths[0] > 10])
    assert result["mean"] == pytest.approx(np.mean(expected))
    assert result["mean_absolute"] == pytest.approx(np.mean(np.abs(expected)))
    assert result["95th_percentile"] == pytest.approx(np.percentile(np.abs(expected), 95))
    assert result["beams"] == len(expected)
    # a calibration of twice the density doubles the lengths of beams, and what they differ by
    twice = ((-1000, 0), (1000, 4))
    one = path_length_difference(truth, synthetic, SPACING, (0,), ((-1000, 0), (1000, 2)))
    assert path_length_difference(truth, synthetic, SPACING, (0,), twice)["mean"] == pytest.approx(2 * one["mean"])


def test_bad_input_is_named():
    hu = patient()
    with pytest.raises(ValueError, match="resample one"):
        mean_absolute_error(hu, hu[1:])
    with pytest.raises(ValueError, match="NaN"):
        psnr(hu, hu * np.nan, 2000)
    with pytest.raises(ValueError, match="is empty"):
        mean_error(hu, hu, hu > 9000)
    with pytest.raises(ValueError, match="denser than -500"):
        body_mask(np.full((2, 8, 8), -1000.0))
    with pytest.raises(ValueError, match="no beam"):
        path_length_difference(np.full((2, 8, 8), -1000.0), np.full((2, 8, 8), -1000.0), SPACING)
    with pytest.raises(ValueError, match="square pixels"):
        water_equivalent_path_length(hu, (5, 1, 2), 30)
    with pytest.raises(ValueError, match="HU of a calibration must rise"):
        water_equivalent_path_length(hu, SPACING, calibration=((0, 1), (-1000, 0)))
    with pytest.raises(ValueError, match="spacing is"):
        water_equivalent_path_length(hu, (2, 2))
    with pytest.raises(ValueError, match="finite HU"):
        water_equivalent_path_length(hu * np.nan, SPACING)
    for metric in (psnr, ssim):
        with pytest.raises(ValueError, match="data_range is 0"):
            metric(hu, hu, 0)
    with pytest.raises(ValueError, match=r"got shape \(60,\)"):
        ssim(hu[0, 0], hu[0, 0], 1000)
