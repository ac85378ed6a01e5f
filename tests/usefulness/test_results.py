"""Means of Dice and their intervals, against numbers that are known."""

import numpy as np
import pytest

from tools.usefulness.design import REAL, SYNTHETIC, Arm
from tools.usefulness.results import Results


def test_means_leave_out_what_is_not_there():
    results, arm = Results(("a", "b")), Arm(REAL, amount=3)
    results.add(arm, 0, [[0.5, np.nan], [0.7, 0.9]])
    assert results.of(arm).value == pytest.approx((0.5 + 0.8) / 2)  # of cases, each the mean of its classes
    assert results.of(arm, "b").value == pytest.approx(0.9)
    assert results.of(arm).seeds == 1


def test_the_interval_of_a_mean_is_that_of_normal_theory():
    rng = np.random.default_rng(0)
    results, arm = Results(("a",)), Arm(REAL, amount=3)
    dice = rng.normal(0.8, 0.05, (60, 1))
    results.add(arm, 0, dice)
    found = results.of(arm)
    half = 1.96 * dice.std() / 60**0.5
    assert found.low == pytest.approx(dice.mean() - half, abs=0.003)
    assert found.high == pytest.approx(dice.mean() + half, abs=0.003)


def test_differences_are_of_the_same_patients_and_seeds():
    """Patients differ much more than arms do, so that only pairs tell them apart."""
    rng = np.random.default_rng(1)
    results, real, made = Results(("a",)), Arm(REAL, amount=3), Arm(SYNTHETIC, "gan")
    patients = rng.uniform(0.3, 0.9, (40, 1))
    for seed in range(3):
        results.add(real, seed, patients)
        results.add(made, seed, patients * 0.9)
    difference, ratio = results.difference(made, real), results.ratio(made, real)
    assert difference.value == pytest.approx(-0.1 * patients.mean())
    assert difference.high < 0
    assert ratio == pytest.approx((0.9, 0.9, 0.9, 3))
    assert results.of(made).high > results.of(real).low
