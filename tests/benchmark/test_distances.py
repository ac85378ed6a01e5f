"""The comparison of the two routes to the Fréchet distance: what it prints and refuses, at a tiny size."""

import re

import numpy as np
import pytest

from tools.__main__ import main
from tools.benchmark.distances import (
    OURS,
    ROUTES,
    USUAL,
    Timing,
    benchmark_distances,
    by_matrix_square_root,
    measure,
    random_features,
    summary,
)


def test_the_command_prints_every_round_and_that_the_results_agree(capsys):
    main(["benchmark_distances", "--samples", "40", "--dims", "6", "--rounds", "2", "--decay", "0.5", "--seed", "3"])
    shown = capsys.readouterr().out
    assert "40 and 40 samples of 6 dimensions, decay 0.5, seed 3" in shown
    assert re.findall(r"round (\d): this project \S+ s, matrix square root \S+ s", shown) == ["1", "2"]
    assert re.search(r"ratio of times: median \S+ \(\S+ to \S+\)", shown)
    assert float(re.search(r"relative difference of the distances: (\S+)", shown)[1]) < 1e-8


def test_the_routes_alternate_on_the_same_features(monkeypatch):
    calls = []
    for name in list(ROUTES):
        monkeypatch.setitem(ROUTES, name, lambda x, y, name=name: calls.append((name, x.shape, x.sum())) or 1.0)
    real, synthetic = random_features(10, 100, 0, 0)
    timings = list(measure(real, synthetic, 3))
    assert [set(t) for t in timings] == [{OURS, USUAL}] * 3
    whole = [call for call in calls if call[1] == (10, 100)]
    assert [name for name, *_ in whole] == [OURS, USUAL, USUAL, OURS, OURS, USUAL]
    assert {call[2] for call in whole} == {real.sum()}


def test_summary_gives_the_median_ratio_and_its_range():
    times = [(1.0, 8.0), (2.0, 8.0), (1.0, 5.0)]
    text = summary([{OURS: Timing(a, 2.0), USUAL: Timing(b, 2.5)} for a, b in times])
    assert "this project: median 1 s, distance 2" in text
    assert "ratio of times: median 5.00 (4.00 to 8.00)" in text
    assert "relative difference of the distances: 2.0e-01" in text


def test_features_are_seeded():
    first, again, other = (random_features(5, 3, 0, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first[0], other[0])
    assert not np.array_equal(first[0], first[1])


def test_one_dimension_is_the_textbook_case():
    x, y = np.array([[0.0], [2.0], [4.0]]), np.array([[1.0], [2.0], [3.0]])
    assert by_matrix_square_root(x, y) == pytest.approx((2 - 1) ** 2)


@pytest.mark.parametrize(
    ("option", "value"), [("samples", 1), ("dims", 0), ("rounds", 0), ("rounds", 1.5), ("seed", -1)]
)
def test_bad_numbers_are_named(option, value):
    with pytest.raises(ValueError, match=f"^{option} is {value}, expected a whole number from"):
        benchmark_distances(**{option: value})


@pytest.mark.parametrize("decay", [-1, 5, "fast"])
def test_a_bad_decay_is_named(decay):
    with pytest.raises(ValueError, match=f"^decay is '?{decay}'?, expected a number from 0 to 4"):
        benchmark_distances(decay=decay)


def test_decay_scales_the_dimensions():
    even, falling = random_features(5, 3, 0, 1), random_features(5, 3, 2, 1)
    for a, b in zip(even, falling, strict=True):
        np.testing.assert_allclose(a * [1, 1 / 4, 1 / 9], b)
