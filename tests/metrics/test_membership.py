"""Tests of membership: areas and rates by loops, what chance gives by simulation, and intervals that hold."""

import numpy as np
import pytest
from scipy import stats

from tools.metrics.copies import area_under_curve, score_interval
from tools.metrics.membership import by_patient, membership


def test_rates_are_those_of_loops():
    rng = np.random.default_rng(0)
    members, others = rng.normal(1.0, 1, 40), rng.normal(0, 1, 250)
    found = membership(members, others, rate=0.01)
    allowed = [t for t in others if sum(o > t for o in others) <= 0.01 * 250]
    threshold = min(allowed)
    assert found.caught.value == sum(m > threshold for m in members) / 40
    assert found.accused.value == sum(o > threshold for o in others) / 250 == 2 / 250
    assert found.accused.high == pytest.approx(stats.beta.ppf(0.975, 3, 248))
    assert found.auc == area_under_curve(members, others)
    assert (found.members, found.others) == (40, 250)


@pytest.mark.parametrize(("n", "m", "rate"), [(30, 12, 0.01), (20, 250, 0.02)])
def test_what_chance_gives_is_what_scores_that_tell_nothing_have(n, m, rate):
    """The mean share above the threshold, and how often an area is notable, over 2,000 draws."""
    rng = np.random.default_rng(1)
    found = [membership(rng.normal(size=n), rng.normal(size=m), rate) for _ in range(2000)]
    shares = np.array([one.caught.value for one in found])
    assert shares.mean() == pytest.approx(found[0].by_chance, abs=4 * shares.std() / 2000**0.5)
    notable = np.mean([abs(one.auc.value - 0.5) > one.notable - 0.5 for one in found])
    assert notable == pytest.approx(0.05, abs=0.025)


def test_a_perfect_score_has_an_interval_as_wide_as_few_patients_make_it():
    few, many = (area_under_curve(np.arange(n) + 100.0, np.arange(n)) for n in (5, 100))
    assert few.value == few.high == many.value == 1
    assert 0.5 < few.low < many.low < 1
    a = few.low
    variance = a * (1 - a) / 25 * (1 + 4 * ((1 - a) / (2 - a) + a / (1 + a)))
    assert (1 - a) ** 2 == pytest.approx(1.96**2 * variance, rel=1e-6)
    assert score_interval(0.0, 5, 5) == pytest.approx((0, 1 - few.low))


def test_patients_count_once():
    assert by_patient([1, 3, 10, 2], ["b", "b", "a", "c"]).tolist() == [10, 2, 2]


@pytest.mark.parametrize(
    ("members", "others", "rate", "said"),
    [
        ([1.0], [0.0, 1.0], 0.01, "1 members and 2 others"),
        ([1.0, np.nan], [0.0, 1.0], 0.01, "not finite"),
        ([1.0, 2.0], [0.0, 1.0], 1.0, "expected a share"),
    ],
)
def test_what_cannot_be_tested_is_refused(members, others, rate, said):
    with pytest.raises(ValueError, match=said):
        membership(members, others, rate)
