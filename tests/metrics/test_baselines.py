"""The baselines against what defines them."""

import numpy as np
import pytest

from tools.metrics.baselines import best_constants, matched_histogram


def test_matched_histogram_is_the_reference_where_the_map_is_monotone():
    rng = np.random.default_rng(0)
    ct = rng.normal(0, 300, (6, 7, 8))
    mr = 5 + np.arctan(ct / 200)
    matched = matched_histogram(mr, ct)
    assert np.abs(matched - ct).mean() < 3
    assert matched.dtype == np.float32


def test_matched_histogram_gives_the_references_quantiles():
    rng = np.random.default_rng(1)
    mr, ct = rng.random((20, 20, 20)), rng.gamma(2, 100, (15, 10, 10)) - 1000
    levels = np.linspace(0.05, 0.95, 10)
    assert np.quantile(matched_histogram(mr, ct), levels) == pytest.approx(np.quantile(ct, levels), abs=2)


def test_equal_intensities_share_a_value():
    mr = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    assert matched_histogram(mr, np.arange(8.0)).tolist() == [1.75] * 4 + [5.25] * 4


def test_best_constants_cannot_be_improved():
    """By moving any class's constant: tried one by one."""
    rng = np.random.default_rng(2)
    mr = rng.random((8, 9, 10))
    truth = 400 * np.sin(6 * mr) + rng.normal(0, 50, mr.shape)
    made = best_constants(mr, truth, classes=4)
    assert len(np.unique(made)) == 4
    error = np.abs(made - truth).mean()
    for constant in np.unique(made):
        for shift in (-40, -5, 5, 40):
            assert np.abs(np.where(made == constant, made + shift, made) - truth).mean() >= error
    assert np.abs(best_constants(mr, truth, classes=1) - truth).mean() > error


def test_classes_separate_tissues():
    """Three well separated tissues: each gets its own HU."""
    rng = np.random.default_rng(3)
    tissue = rng.integers(0, 3, (6, 20, 20))
    mr = np.choose(tissue, [10.0, 60.0, 500.0]) + rng.random(tissue.shape)
    truth = np.choose(tissue, [-1000.0, 900.0, 40.0])
    assert np.array_equal(best_constants(mr, truth, classes=3), truth.astype(np.float32))


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="one value, 3"):
        best_constants(np.full((4, 4), 3.0), np.zeros((4, 4)))
    with pytest.raises(ValueError, match=r"truth of shape \(2,\)"):
        best_constants(np.zeros(2), np.array([0, np.nan]))
    with pytest.raises(ValueError, match="share a grid"):
        best_constants(np.eye(2), np.zeros((2, 3)))
