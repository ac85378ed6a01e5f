"""A streamed summary equals the functions on all slices of a layer at once."""

import numpy as np
import pytest

from tools.metrics.histograms import histogram_correlation, histogram_intersection, kl_divergence
from tools.metrics.layer_summary import PSEUDOCOUNT, LayerSummary, compare_layers
from tools.metrics.spectra import log_spectrum, spectral_correlation


def volumes(count, seed, noise=0.0, depth=22):
    """Two tissues in a background, with texture, and noise on request."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:24, :24] - 11.5
    tissue = np.where(x**2 + y**2 < 100, np.where(x > 3, 0.1, 0.4), -0.9)
    drift = np.linspace(-0.1, 0.1, depth)[:, None, None]
    shape = (depth, 24, 24)
    return [
        np.clip(tissue + drift + 0.03 * rng.normal(size=shape) + noise * rng.normal(size=shape), -1, 1)
        for _ in range(count)
    ]


def summary(given, **options):
    made = LayerSummary(**options)
    for volume in given:
        made.add(volume)
    return made


def of_layer(given, layer, layers=10):
    depth = len(given[0])
    rows = [i for i in range(depth) if int((i + 0.5) / depth * layers) == layer]
    return np.concatenate([volume[rows] for volume in given])


def test_scores_are_those_of_the_layers_slices():
    first, second, made = volumes(2, 0), volumes(3, 1), volumes(2, 2, noise=0.2)
    result = compare_layers((summary(first), summary(second)), summary(made))
    for layer in (0, 4, 9):
        real, synthetic = of_layer(first + second, layer), of_layer(made, layer)
        span = {"value_range": (-1, 1)}
        expected = {
            "kl_256": kl_divergence(real, synthetic, 256, pseudocount=PSEUDOCOUNT, **span),
            "kl_3": kl_divergence(real, synthetic, 3, pseudocount=PSEUDOCOUNT, **span),
            "correlation": histogram_correlation(real, synthetic, **span),
            "intersection": histogram_intersection(real, synthetic, **span),
            "spectral_correlation": spectral_correlation(real, synthetic),
        }
        assert {name: scores.scores[layer] for name, scores in result.items()} == pytest.approx(expected)
        halves = of_layer(first, layer), of_layer(second, layer)
        assert result["intersection"].baseline[layer] == pytest.approx(histogram_intersection(*halves, **span))
    intersection = result["intersection"]
    assert intersection.average_ratio == pytest.approx(np.mean(intersection.scores) / np.mean(intersection.baseline))


def test_more_noise_scores_worse():
    real = summary(volumes(3, 0)), summary(volumes(3, 1))
    results = [compare_layers(real, summary(volumes(3, 2, noise))) for noise in (0, 0.2, 0.5)]
    for name in ("kl_256", "kl_3"):
        assert results[0][name].average < results[1][name].average < results[2][name].average
    for name in ("correlation", "intersection", "spectral_correlation"):
        assert results[0][name].average > results[1][name].average > results[2][name].average


def test_blank_slices_count_for_histograms_only():
    volume = volumes(1, 0)[0]
    volume[:] = np.where(np.arange(22)[:, None, None] == 4, -1, volume)
    made = summary([volume])
    assert made.histogram(2)[0] > 1 / 3  # one of the layer's three slices
    assert made.spectrum(2) == pytest.approx((log_spectrum(volume[5]) + log_spectrum(volume[6])) / 2)
    with pytest.raises(ValueError, match="layer 1 has no slice"):
        summary([np.full((10, 4, 4), 0.5)]).spectrum(0)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="9 slices cannot be divided"):
        summary([np.zeros((9, 4, 4))])
    with pytest.raises(ValueError, match=r"\(4, 5\) do not fit"):
        summary([np.zeros((10, 4, 4)), np.zeros((10, 4, 5))])
    with pytest.raises(ValueError, match="got 1, 0 and 1 volumes"):
        compare_layers((summary(volumes(1, 0)), summary([])), summary(volumes(1, 0)))
    with pytest.raises(ValueError, match="NaN"):
        summary([np.full((10, 4, 4), np.nan)])
