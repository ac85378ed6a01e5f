"""Means of Dice, AUC and F1 and their intervals, against numbers that are known."""

import numpy as np
import pytest

from tools.usefulness.design import REAL, SYNTHETIC, Arm
from tools.usefulness.results import Results, class_auc, class_f1
from tools.usefulness.tasks import CLASSIFICATION


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


def loops(scores, positive, predicted):
    """Area under the ROC curve and F1 by counting pairs and cases."""
    pairs = [
        (a, b)
        for a, p in zip(scores, positive, strict=True)
        if p
        for b, q in zip(scores, positive, strict=True)
        if not q
    ]
    area = sum(1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs) / len(pairs)
    hits = false = missed = 0
    for said, true in zip(predicted, positive, strict=True):
        hits, false, missed = hits + (said and true), false + (said and not true), missed + (true and not said)
    return area, 2 * hits / (2 * hits + false + missed)


def test_auc_and_f1_are_those_of_counted_pairs_and_cases():
    """Of three classes with ties between scores; a case that was drawn several times counts as several."""
    rng = np.random.default_rng(2)
    true = rng.integers(0, 3, 30)
    probabilities = rng.dirichlet(np.ones(3), 30).round(1)
    results, arm = Results(("a", "b", "c"), CLASSIFICATION.metrics), Arm(REAL, amount=3)
    results.add(arm, 0, np.column_stack([true, probabilities]))
    expected = [loops(probabilities[:, c], true == c, probabilities.argmax(1) == c) for c in range(3)]
    for name, (area, score) in zip("abc", expected, strict=True):
        assert results.of(arm, name, "auc").value == pytest.approx(area)
        assert results.of(arm, name, "f1").value == pytest.approx(score)
    assert results.of(arm).value == pytest.approx(np.mean([area for area, _ in expected]))
    assert results.of(arm, metric="f1").value == pytest.approx(np.mean([score for _, score in expected]))
    drawn = rng.integers(0, 30, 30)
    area, score = loops(probabilities[drawn, 1], true[drawn] == 1, probabilities[drawn].argmax(1) == 1)
    table, weights = np.column_stack([true, probabilities]), np.bincount(drawn, minlength=30)[None].astype(float)
    assert class_auc(table, weights, 1) == pytest.approx([area])
    assert class_f1(table, weights, 1) == pytest.approx([score])


def test_of_two_classes_f1_is_that_of_the_second_and_patients_are_drawn_with_all_their_slices():
    true, said = np.array([0, 0, 1, 1, 1]), np.array([0.2, 0.6, 0.7, 0.4, 0.9])
    table = np.repeat(np.column_stack([true, 1 - said, said]), 8, 0)
    results, arm, apart = Results(("no", "yes"), CLASSIFICATION.metrics), Arm(REAL, amount=3), Arm(REAL, amount=4)
    results.add(arm, 0, table, [f"patient {row // 8}" for row in range(40)])
    results.add(apart, 0, table)
    assert results.of(arm, metric="f1").value == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))
    assert results.of(arm).value == pytest.approx(5 / 6) == results.of(apart).value
    assert results.of(arm).low < results.of(apart).low < 5 / 6
