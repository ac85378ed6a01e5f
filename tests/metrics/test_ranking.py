"""Ranks against SciPy and against loops, draws against Student's t and the normal distribution."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from tools.metrics.ranking import (
    Estimate,
    Measure,
    agreement,
    counted,
    estimated,
    interval_draws,
    mean_places,
    over_seeds,
    places,
    seed_draws,
)

SEEDS = (0.31, 0.28, 0.4)


def test_mean_over_seeds_has_the_interval_of_a_t_test():
    found = over_seeds(SEEDS)
    low, high = stats.ttest_1samp(SEEDS, 0).confidence_interval(0.95)
    assert found == pytest.approx((np.mean(SEEDS), low, high, 3))


def test_trainings_without_a_number_are_left_out_of_the_mean():
    assert over_seeds((1.0, math.nan, 3.0))[::3] == (2.0, 2)
    alone = over_seeds((4.0,))
    assert alone.value == 4
    assert math.isnan(alone.low)
    assert alone.count == 1
    assert over_seeds(()).count == 0


def test_draws_over_seeds_are_students_t():
    drawn = seed_draws(SEEDS, draws=40_000)
    t = stats.t(2, np.mean(SEEDS), stats.sem(SEEDS))
    assert stats.kstest(drawn, t.cdf).statistic < 0.01


def test_metrics_of_the_same_trainings_are_drawn_together():
    drawn = [seed_draws(values, key=3) for values in (SEEDS, [2 * x + 1 for x in SEEDS], [-x for x in SEEDS])]
    np.testing.assert_allclose(drawn[1], 2 * drawn[0] + 1)
    np.testing.assert_allclose(drawn[2], -drawn[0])
    assert abs(np.corrcoef(stats.rankdata(drawn[0]), stats.rankdata(seed_draws(SEEDS, key=4)))[0, 1]) < 0.1


@pytest.mark.parametrize("values", [(1.0,), (1.0, math.nan)])
def test_too_few_trainings_give_no_draws(values):
    assert seed_draws(values) is None


def test_draws_of_an_interval_are_as_wide_as_it():
    drawn = interval_draws(5, 3, 7, draws=40_000)
    np.testing.assert_allclose(np.quantile(drawn, (0.025, 0.5, 0.975)), (3, 5, 7), atol=0.05)
    np.testing.assert_allclose(interval_draws(5, 3, 7, "higher") - 5, 5 - interval_draws(5, 3, 7))


@pytest.mark.parametrize("ends", [(2, 1), (math.nan, 1)])
def test_an_odd_interval_is_refused(ends):
    with pytest.raises(ValueError, match="the lower one first"):
        interval_draws(1, *ends)


def test_several_trainings_count_by_their_mean_whatever_their_intervals_are():
    found, drawn = estimated([Estimate(value, 0.0, 1.0, 1) for value in SEEDS], key=2)
    assert found == over_seeds(SEEDS)
    np.testing.assert_array_equal(drawn, seed_draws(SEEDS, key=2))


def test_a_single_training_counts_with_the_interval_of_its_images():
    found, drawn = estimated([Estimate(5.0, 3.0, 7.0, 1)], "higher", key=2)
    assert found == (5, 3, 7, 1)
    np.testing.assert_array_equal(drawn, interval_draws(5, 3, 7, "higher", key=2))


@pytest.mark.parametrize("ends", [(math.nan, math.nan), (2.0, 1.0), (0.0, math.inf)])
def test_a_single_training_without_an_interval_has_no_draws(ends):
    found, drawn = estimated([Estimate(5.0, *ends, 1)])
    assert found[::3] == (5, 1)
    assert math.isnan(found.low)
    assert drawn is None


@pytest.mark.parametrize(
    ("better", "expected"), [("lower", (1, 2.5, 2.5, 4)), ("higher", (4, 2.5, 2.5, 1)), (2.4, (2, 3.5, 3.5, 1))]
)
def test_ranks_follow_the_direction_of_the_metric(better, expected):
    values = dict(zip("abcd", (1.1, 4.0, 4.0, 3.0), strict=True))
    if better != 2.4:
        values["d"] = 5.0
    assert [place.rank for place in places(Measure("m", better, values)).values()] == [*expected]


def test_without_draws_nothing_is_said_of_who_leads():
    found = places(Measure("m", "lower", {"a": 1.0, "b": 2.0}))
    assert all(math.isnan(number) for place in found.values() for number in place[1:])


def test_who_leads_is_counted_over_the_draws():
    rng = np.random.default_rng(0)
    draws = {"a": rng.normal(1, 1, 500), "b": rng.normal(1.5, 1, 500), "c": None}
    values = {"a": 1.0, "b": 1.5, "c": 0.0}
    found = places(Measure("m", "lower", values, draws), draws=500)
    wins = {"a": 0, "b": 0, "c": 0}
    for a, b in zip(draws["a"], draws["b"], strict=True):
        drawn = {"a": a, "b": b, "c": 0.0}
        wins[min(drawn, key=drawn.get)] += 1
    assert {model: place.leads * 500 for model, place in found.items()} == pytest.approx(wins)
    assert found["a"].low >= 1
    assert found["b"].high <= 3


def test_ties_share_the_lead():
    same = {"a": np.zeros(10), "b": np.zeros(10)}
    found = places(Measure("m", "lower", {"a": 0.0, "b": 0.0}, same), draws=10)
    assert [place.leads for place in found.values()] == [0.5, 0.5]


def test_a_failed_training_is_last():
    found = places(Measure("m", "lower", {"a": math.inf, "b": 2.0, "c": 3.0}))
    assert found["a"].rank == 3


def test_ranks_over_metrics_are_means_of_those_that_all_models_have():
    fid = Measure("fid", "lower", {"a": 1.0, "b": 2.0, "c": 3.0})
    recall = Measure("recall", "higher", {"a": 0.2, "b": 0.9, "c": 0.1})
    lacking = Measure("dice", "higher", {"a": 0.2, "b": math.nan, "c": 0.9})
    assert counted([fid, recall, lacking]) == [fid, recall]
    assert [place.rank for place in mean_places([fid, recall, lacking]).values()] == [1.5, 1.5, 3]
    assert list(places(lacking)) == ["a", "c"]


def test_mean_ranks_are_those_of_every_draw():
    measures = [
        Measure(
            name,
            better,
            {model: float(k) for k, model in enumerate("abc")},
            {model: interval_draws(k, k - 2, k + 2, better, key=k, draws=50) for k, model in enumerate("abc")},
        )
        for name, better in (("x", "lower"), ("y", "higher"))
    ]
    found = mean_places(measures, draws=50)
    by_hand = []
    for draw in range(50):
        x, y = ([measure.draws[model][draw] for model in "abc"] for measure in measures)
        by_hand.append((stats.rankdata(x) + stats.rankdata([-v for v in y])) / 2)
    np.testing.assert_allclose([place.low for place in found.values()], np.quantile(by_hand, 0.025, axis=0))
    assert sum(place.leads for place in found.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Measure("m", "up", {}), 'expected "lower"'),
        (lambda: mean_places([Measure("m", "lower", {"a": 1.0, "b": math.nan})]), "known of all models"),
        (lambda: places(Measure("m", "lower", {"a": 1.0}, {"a": np.zeros(3)})), "3 draws"),
    ],
)
def test_what_cannot_be_ranked_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_agreement_counts_pairs_that_both_metrics_order_alike():
    """Kendall's tau-b by its definition: pairs in the same order less those in the other, ties taken out."""
    lower = Measure("a", "lower", {"x": 1.0, "y": 2.0, "z": 3.0, "u": 3.0, "only a": 0.0, "none": math.nan})
    higher = Measure("b", "higher", {"x": 9.0, "y": 3.0, "z": 4.0, "u": 1.0, "none": 1.0})
    same, ties = 0, 0
    for one, other in itertools.combinations("xyzu", 2):
        first = lower.values[one] - lower.values[other]
        second = higher.values[other] - higher.values[one]
        same += np.sign(first * second)
        ties += first == 0
    found = agreement(lower, higher)
    assert found.tau == pytest.approx(same / math.sqrt((6 - ties) * 6))
    assert found.models == 4
    assert agreement(lower, lower).tau == pytest.approx(1)


def test_agreement_by_chance_is_the_share_of_orders_as_far_away():
    """Of three models in the same order: two of six orders, the same and the opposite."""
    one = Measure("a", "lower", {"x": 1.0, "y": 2.0, "z": 3.0})
    assert agreement(one, Measure("b", "higher", {"x": 3.0, "y": 2.0, "z": 1.0}))[:2] == pytest.approx((1, 2 / 6))


def test_one_model_says_nothing_of_an_order():
    one = Measure("a", "lower", {"x": 1.0, "y": math.nan})
    found = agreement(one, Measure("b", "lower", {"x": 1.0, "y": 2.0}))
    assert math.isnan(found.tau)
    assert found.models == 1
