"""Ranks and their uncertainty, against numbers that are known in closed form."""

import numpy as np
import pytest
from scipy.stats import norm, t

from tools.compare.ranking import Value, ranking


def test_single_runs_are_ranked_by_normal_theory():
    found = {"b": [Value(11.0, 2.0)], "a": [Value(10.0, 1.5)]}
    places = ranking(found, draws=40_000)
    assert list(places) == ["a", "b"]
    expected = norm.cdf((11 - 10) / np.hypot(2.0, 1.5))
    assert places["a"].leads == pytest.approx(expected, abs=0.01)
    assert places["a"].leads + places["b"].leads == pytest.approx(1)
    assert places["b"].low == pytest.approx(11 - 1.96 * 2, abs=0.08)
    assert places["b"].high == pytest.approx(11 + 1.96 * 2, abs=0.08)
    assert (places["a"].rank, places["a"].best, places["a"].worst) == (1, 1, 2)


def test_seeds_spread_as_the_mean_of_so_many_does():
    """Runs that lie 10 percent around their means: the mean of n lies 10 / sqrt(n) percent around it."""
    rng = np.random.default_rng(0)
    means = {"a": 100.0, "b": 104.0, "c": 150.0}
    found = {name: [Value(v) for v in rng.normal(mean, 0.1 * mean, 30)] for name, mean in means.items()}
    places = ranking(found, draws=20_000)
    for name, place in places.items():
        numbers = np.array([one.value for one in found[name]])
        assert place.mean == pytest.approx(numbers.mean())
        assert place.seeds == 30
        assert (place.high - place.low) / 2 == pytest.approx(1.96 * 0.1 * numbers.mean() / 30**0.5, rel=0.15)
    spread = 0.1 * np.hypot(places["a"].mean, places["b"].mean) / 30**0.5
    expected = norm.cdf((places["b"].mean - places["a"].mean) / spread)
    assert places["a"].leads == pytest.approx(expected, abs=0.04)
    assert (places["c"].rank, places["c"].best, places["c"].worst, places["c"].leads) == (3, 3, 3, 0)


def test_two_runs_lend_their_spread_to_a_bundle_of_one():
    """By hand: shares +-0.1 of two runs, widened by sqrt(2), are the only residuals."""
    found = {"a": [Value(90.0), Value(110.0)], "b": [Value(200.0, 1.0)]}
    places = ranking(found, draws=20_000)
    wide = 0.1 * 2**0.5
    assert (places["b"].low, places["b"].high) == pytest.approx((200 * (1 - wide), 200 * (1 + wide)))
    assert (places["a"].low, places["a"].high) == pytest.approx((100 * (1 - wide), 100 * (1 + wide)))
    assert places["a"].leads == 1


def test_nothing_is_said_where_no_spread_is_known():
    places = ranking({"a": [Value(1.0)], "b": [Value(2.0)]})
    assert (places["a"].low, places["a"].high) == (None, None)


def test_the_spread_of_an_interval_is_taken_out_of_it():
    half = t.ppf(0.975, 19) * 3
    assert Value.of(10.0, 10 - half, 10 + half, 20).spread == pytest.approx(3)
    assert Value.of(10.0, None, None, 20).spread is None


def test_distances_of_nothing_are_refused():
    with pytest.raises(ValueError, match="a has the distances"):
        ranking({"a": [Value(0.0)]})
