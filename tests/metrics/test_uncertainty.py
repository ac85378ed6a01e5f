"""Intervals, bias and extrapolation of distances on Gaussians whose distance or spread is known."""

import re

import numpy as np
import pytest
import torch

from tools.metrics.distances import frechet_distance, kernel_distance, maximum_mean_discrepancy
from tools.metrics.neighbours import density_coverage, precision_recall
from tools.metrics.uncertainty import (
    bootstrap_interval,
    extrapolated_frechet_distance,
    sample_size_warning,
    small_sample_bias,
)


def pair(seed, n=60, m=60, d=5, shift=0.5, scale=1.1):
    """Sets of a standard Gaussian, and of one with another mean and standard deviation."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), rng.normal(shift, scale, size=(m, d))


def mmd(x, y):
    return maximum_mean_discrepancy(x, y, bandwidth=3.0)


METRICS = {
    "fid": frechet_distance,
    "mmd": mmd,
    "kid": kernel_distance,
    "precision": lambda x, y: precision_recall(x, y).precision,
    "recall": lambda x, y: precision_recall(x, y).recall,
    "density": lambda x, y: density_coverage(x, y).density,
    "coverage": lambda x, y: density_coverage(x, y).coverage,
}


@pytest.mark.parametrize("metric", ["fid", "mmd", "kid"])
def test_intervals_hold_the_mean_distance_of_such_sets(metric):
    distance = METRICS[metric]
    mean = np.mean([distance(*pair(seed)) for seed in range(300)])
    intervals = [bootstrap_interval(distance, *pair(1000 + seed), resamples=30) for seed in range(60)]
    held = np.mean([low <= mean <= high for low, high in intervals])
    # with a share of 0.95, a mean of 60 is below 0.86 once in thousands
    assert held >= 0.86
    middles = [(low + high) / 2 for low, high in intervals]
    assert middles == pytest.approx([distance(*pair(1000 + seed)) for seed in range(60)])


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("n", "m", "d"), [(60, 60, 5), (41, 100, 60)])
def test_intervals_are_as_wide_as_fresh_sets_spread(metric, n, m, d):
    distance = METRICS[metric]
    fresh = np.std([distance(*pair(seed, n, m, d, shift=0.3)) for seed in range(150)])
    widths = [
        np.diff(bootstrap_interval(distance, *pair(1000 + seed, n, m, d, shift=0.3), resamples=30)) / (2 * 2.045)
        for seed in range(10)
    ]
    spread = np.sqrt(np.mean(np.square(widths)))
    assert 0.7 * fresh < spread < 1.9 * fresh


def test_an_interval_widens_with_the_level_and_with_few_draws():
    x, y = pair(0)
    narrow, usual, wide = (bootstrap_interval(mmd, x, y, 50, level) for level in (0.5, 0.95, 0.99))
    assert wide.low < usual.low < narrow.low < mmd(x, y) < narrow.high < usual.high < wide.high
    assert bootstrap_interval(mmd, x, y, 50) == bootstrap_interval(mmd, torch.tensor(x), torch.tensor(y), 50, seed=0)
    assert bootstrap_interval(mmd, x, y, 50, seed=1) != usual
    by_two = [np.diff(bootstrap_interval(mmd, x, y, 2, seed=seed)) for seed in range(20)]
    assert np.median(by_two) > 1.5 * (usual.high - usual.low)


def test_whole_images_are_drawn():
    seen = []

    def distance(x, y):
        seen.append((sorted(x[:, 0].tolist()), sorted(y[:, 0].tolist())))
        return float(len(seen))

    real, synthetic = np.arange(12.0)[:, None], np.arange(5.0)[:, None]
    bootstrap_interval(distance, real, synthetic, 20, groups_real=[7, 3, 1, 7, 3, 1, 9, 9, 4, 4, 4, 4])
    draws = [s for s in seen if len(s[0]) < 12]
    assert len(draws) == 20
    images = [{0, 3}, {1, 4}, {2, 5}, {6, 7}, {8, 9, 10, 11}]
    for x, y in draws:
        whole = [image for image in images if image <= set(x)]
        assert len(whole) == 2
        assert set().union(*whole) == set(x)
        assert len(x) == len(set(x))
        assert len(set(y)) == len(y) == 2


def test_rows_that_are_alike_widen_the_interval_if_their_image_is_given():
    """Eight equal rows of an image tell no more than one: the spread is that of the images."""
    x, y = pair(0, 30, 30, 4)
    rows, images = (np.repeat(f, 8, axis=0) for f in (x, y)), np.repeat(np.arange(30), 8)
    x8, y8 = rows

    def squared_mean_difference(a, b):
        return float((a.mean(0) - b.mean(0)).square().sum())

    def width(*arguments, **groups):
        return float(np.diff(bootstrap_interval(squared_mean_difference, *arguments, 200, **groups))[0])

    one = width(x, y)
    assert width(x8, y8, groups_real=images, groups_synthetic=images) == pytest.approx(one)
    assert width(x8, y8) == pytest.approx(one / 8**0.5, rel=0.25)


def test_bias_is_the_mean_fid_of_two_sets_of_one_gaussian():
    rng = np.random.default_rng(0)
    d, scale = 20, np.linspace(0.2, 2, 20)

    def draw(count):
        return rng.normal(size=(count, d)) * scale + 7

    true = np.mean([frechet_distance(draw(150), draw(100)) for _ in range(40)])
    assert small_sample_bias(draw(150), 100, repeats=10) == pytest.approx(true, rel=0.15)
    assert small_sample_bias(draw(150), 1000) < 0.8 * true


def test_bias_in_many_dimensions_is_a_lower_estimate_and_needs_no_full_size():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 20, 200))
    bias = small_sample_bias(x, 20)
    assert 0.3 * frechet_distance(x, y) < bias < frechet_distance(x, y)
    # an isometry into more dimensions changes nothing but which numbers are drawn
    isometry = np.linalg.qr(rng.normal(size=(300, 200)))[0].T
    assert small_sample_bias(x @ isometry, 20) == pytest.approx(bias, rel=0.2)


def test_a_warning_says_how_biased():
    text = sample_size_warning(*pair(0, 12, 15, 30))
    assert text.startswith("12 real and 15 synthetic samples are few for 30 dimensions")
    bias, value = map(float, re.search(r"FID of about (\S+) or more, and the FID here is (\S+)\. ", text).groups())
    assert value == pytest.approx(frechet_distance(*pair(0, 12, 15, 30)), rel=0.01)
    assert bias == pytest.approx(small_sample_bias(pair(0, 12, 15, 30)[0], 15, repeats=1), rel=0.01)


def test_enough_samples_give_no_warning_unless_the_sets_are_nearly_equal():
    assert sample_size_warning(*pair(0, 400, 400, 4, shift=1)) is None
    assert "or more" not in sample_size_warning(*pair(0, 400, 400, 4, shift=0, scale=1))


@pytest.mark.parametrize(("n", "m"), [(80, 80), (60, 120)])
def test_the_extrapolated_distance_is_nearer_the_true_one(n, m):
    d, shift, scale = 15, 0.4, 1.2
    true = d * (shift**2 + (scale - 1) ** 2)
    sets = [pair(seed, n, m, d, shift, scale) for seed in range(15)]
    plain = np.array([frechet_distance(*s) for s in sets])
    extrapolated = np.array([extrapolated_frechet_distance(*s) for s in sets])
    assert np.abs(extrapolated - true).mean() < 0.7 * np.abs(plain - true).mean()
    assert abs(extrapolated.mean() - true) < 0.3 * abs(plain.mean() - true)


def test_with_fewer_samples_than_dimensions_some_bias_stays():
    x, y = pair(0, 40, 40, 100, shift=0.1, scale=1)
    assert 1 < extrapolated_frechet_distance(x, y) < frechet_distance(x, y)
    assert extrapolated_frechet_distance(x, y, seed=1) != extrapolated_frechet_distance(x, y)


def test_extrapolation_draws_whole_images():
    x, y = pair(0, 40, 40, 3)
    plain = extrapolated_frechet_distance(x, y, seed=4)
    # every image twice: other covariances by a factor, n / (n - 1), so nearly the same line
    images = np.repeat(np.arange(40), 2)
    doubled = extrapolated_frechet_distance(
        x.repeat(2, 0), y.repeat(2, 0), seed=4, groups_real=images, groups_synthetic=images
    )
    assert doubled == pytest.approx(plain, rel=0.15)
    with pytest.raises(ValueError, match="there are 8 real and 40 synthetic images"):
        extrapolated_frechet_distance(x, y, groups_real=np.arange(40) // 5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resamples": 1}, "resamples is 1, expected a whole number from 2"),
        ({"resamples": 2.5}, r"resamples is 2\.5, expected"),
        ({"level": 0}, "level is 0, expected a share between 0 and 1"),
        ({"level": 1}, "level is 1, expected"),
        ({"level": 95}, "level is 95, expected"),
        ({"level": float("nan")}, "level is nan, expected"),
        ({"groups_real": [0] * 10}, "the real set has 1 images; an interval by halves needs 4 or more"),
        ({"groups_synthetic": [0, 1]}, r"groups_synthetic has shape \(2,\), expected \(10,\)"),
    ],
)
def test_bad_settings_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        bootstrap_interval(frechet_distance, *pair(0, 10, 10, 2), **options)


def test_too_few_samples_are_named():
    x, y = pair(0, 20, 20, 2)
    with pytest.raises(ValueError, match="the synthetic set has 3 images"):
        bootstrap_interval(frechet_distance, x, y[:3])
    with pytest.raises(ValueError, match=r"neighbours need sets of 4 samples or more.* 3 real and 10 synthetic"):
        bootstrap_interval(METRICS["recall"], x[:6], y)
    with pytest.raises(ValueError, match=r"there are 15 real and 20 synthetic images; .* needs 16 or more"):
        extrapolated_frechet_distance(x[:15], y)
    with pytest.raises(ValueError, match="points is 1, expected a whole number from 2"):
        extrapolated_frechet_distance(x, y, points=1)
    with pytest.raises(ValueError, match="repeats is 0, expected a whole number from 1"):
        small_sample_bias(x, 20, repeats=0)
    with pytest.raises(ValueError, match="synthetic_samples is 1, expected a whole number from 2"):
        small_sample_bias(x, 1)
    with pytest.raises(ValueError, match="real features have 1 sample"):
        sample_size_warning(x[:1], y)


def test_a_distance_that_is_not_finite_has_no_interval():
    with pytest.raises(ValueError, match="not finite for 10 of 10 halves, and nan for the full sets"):
        bootstrap_interval(lambda x, y: float("nan"), *pair(0), resamples=10)
