"""Average histograms against SciPy and OpenCV."""

import cv2
import numpy as np
import pytest
import torch
from scipy.stats import entropy

from tools.metrics.histograms import (
    average_histogram,
    histogram_correlation,
    histogram_intersection,
    intersection_of_histograms,
    kl_divergence,
    kl_of_histograms,
)


@pytest.fixture
def sets():
    rng = np.random.default_rng(0)
    return rng.normal(0, 0.3, (7, 20, 20)).clip(-1, 1), rng.normal(0.1, 0.4, (5, 16, 30)).clip(-1, 1)


def by_hand(images, bins, low, high):
    total = np.zeros(bins)
    for image in images:
        counts = np.zeros(bins)
        for value in image.ravel():
            counts[min(int((value - low) / (high - low) * bins), bins - 1)] += 1
        total += counts / image.size
    return total / len(images)


@pytest.mark.parametrize("bins", [256, 3])
def test_average_histogram_by_hand(sets, bins):
    assert average_histogram(sets[0], bins) == pytest.approx(by_hand(sets[0], bins, -1, 1))


@pytest.mark.parametrize("bins", [3, 20])
def test_kl_is_scipys(sets, bins):
    p, q = (by_hand(s, bins, -1, 1) for s in sets)
    assert kl_divergence(*sets, bins, (-1, 1)) == pytest.approx(entropy(p, q), rel=1e-9)
    assert kl_divergence(sets[0], sets[0], bins) == 0


def test_kl_of_disjoint_values_is_infinite_or_bounded_as_asked():
    low, high = np.zeros((2, 4, 4)), np.ones((2, 4, 4))
    assert kl_divergence(low, high, 2) == np.inf == entropy([1, 0], [0, 1])
    p, q = np.array([1.01, 0.01]) / 1.02, np.array([0.01, 1.01]) / 1.02
    assert kl_divergence(low, high, 2, pseudocount=0.01) == pytest.approx(entropy(p, q))
    assert kl_of_histograms([2, 2], [1, 1]) == 0


@pytest.mark.parametrize("bins", [256, 3])
def test_correlation_and_intersection_are_opencvs(sets, bins):
    p, q = (by_hand(s, bins, -1, 1).astype(np.float32) for s in sets)
    assert histogram_correlation(*sets, bins, (-1, 1)) == pytest.approx(
        cv2.compareHist(p, q, cv2.HISTCMP_CORREL), abs=1e-5
    )
    assert histogram_intersection(*sets, bins, (-1, 1)) == pytest.approx(
        cv2.compareHist(p, q, cv2.HISTCMP_INTERSECT), abs=1e-5
    )


def test_range_is_that_of_both_sets(sets):
    low, high = min(s.min() for s in sets), max(s.max() for s in sets)
    assert histogram_intersection(*sets) == histogram_intersection(*sets, value_range=(low, high))
    assert histogram_correlation(torch.from_numpy(sets[0]), sets[0]) == pytest.approx(1)


def test_bad_input_is_named(sets):
    with pytest.raises(ValueError, match=r"lie outside the range \[-1, 1\]"):
        kl_divergence(sets[0] * 1000, sets[1], value_range=(-1, 1))
    with pytest.raises(ValueError, match="got none"):
        kl_divergence(sets[0][:0], sets[1])
    bad = sets[0].copy()
    bad[3, 0, 0] = np.nan
    with pytest.raises(ValueError, match="image 3 of 7"):
        kl_divergence(bad, sets[1])
    with pytest.raises(ValueError, match="all values the same"):
        kl_divergence(np.ones((2, 3, 3)), np.ones((2, 3, 3)))
    with pytest.raises(ValueError, match="is this one image"):
        kl_divergence(sets[0][0], sets[1])
    with pytest.raises(ValueError, match="3 and 1 bins"):
        intersection_of_histograms(np.ones(3), np.ones(1))
    with pytest.raises(ValueError, match="pseudocount is -1"):
        kl_divergence(*sets, pseudocount=-1)
    with pytest.warns(UserWarning, match="the synthetic set is one image"):
        histogram_intersection(sets[0], sets[1][:1])
