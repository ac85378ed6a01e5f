import math

import numpy as np
import pytest

from tools.metrics.layers import axial_layers, beside_baseline, default_layers, layer_of, split


@pytest.mark.parametrize("num_slices", [10, 28, 95])
def test_layers_are_of_equal_height_from_feet_to_head(num_slices):
    layers = axial_layers(num_slices)
    assert (np.diff(layers) >= 0).all()
    counts = np.bincount(layers, minlength=10)
    assert counts.sum() == num_slices
    assert counts.max() - counts.min() <= 1


def test_positions():
    assert layer_of([0, 0.05, 0.1, 0.95, 1]).tolist() == [0, 0, 1, 9, 9]
    with pytest.raises(ValueError, match=r"\[0, 1\], got 0 to 1.2"):
        layer_of([0, 1.2])
    with pytest.raises(ValueError, match="layers is 0"):
        axial_layers(9, 0)
    with pytest.raises(ValueError, match="9 slices cannot be divided into 10"):
        axial_layers(9)


def test_the_two_parts_share_nothing_and_follow_from_the_seed():
    ids = [f"v{i}" for i in range(7)]
    a, b = split(ids, seed=1)
    assert not set(a) & set(b)
    assert set(a) | set(b) == set(ids)
    assert (len(a), len(b)) == (3, 4)
    assert split(ids[::-1], seed=1) == (a, b) != split(ids, seed=2)
    with pytest.raises(ValueError, match="got 1"):
        split(["a"])
    with pytest.raises(ValueError, match="twice"):
        split(["a", "a"])


def test_average_is_the_ratio_of_averages():
    result = beside_baseline([2, 6], [1, 2])
    assert result.ratios == (2, 3)
    assert (result.average, result.baseline_average) == (4, 1.5)
    assert result.average_ratio == pytest.approx(8 / 3)


def test_a_layer_without_score_or_baseline_counts_for_no_average():
    result = beside_baseline([2, math.nan, 6, 5], [1, 3, 2, math.nan])
    assert (result.average, result.baseline_average, result.average_ratio) == (4, 1.5, pytest.approx(8 / 3))
    assert np.isnan(result.ratios).tolist() == [False, True, False, True]
    nothing = beside_baseline([math.nan], [1])
    assert math.isnan(nothing.average)
    assert math.isnan(nothing.average_ratio)


def test_a_baseline_of_zero_gives_no_silent_number():
    with pytest.warns(UserWarning, match="baseline of layer 3 is 0"):
        result = beside_baseline([2, math.nan, 6], [1, 1, 0])
    assert math.isnan(result.ratios[2])
    assert result.average_ratio == 8
    with pytest.warns(UserWarning, match="baseline of layer 1 is 4e-18"):  # as equal histograms may round
        assert math.isnan(beside_baseline([0.1, 1], [4e-18, 1]).ratios[0])
    with pytest.raises(ValueError, match="do not correspond"):
        beside_baseline([1], [1, 2])


def test_volumes_have_ten_layers_and_2d_images_one():
    assert (default_layers(1), default_layers(2), default_layers(256)) == (1, 10, 10)
