"""The papers' printed numbers, formulas by hand, and simulated readers."""

import numpy as np
import pytest
from scipy import stats

from tools.study.statistics import (
    fleiss_kappa,
    homogeneity_test,
    origin_test,
    preference_estimate,
    preference_test,
    proportion,
    survey_test,
)

# 30 pairs of 12 votes with all that the CRF-GAN paper prints of them (Table 2): 215 to 145, and, cut off after two
# decimals, means of 7.16 and 4.83 and a standard deviation of 2.66
FIRST = [12, 11, 11, 10, 10, 10, 10, 9, 9, 9, 9, 8, 8, 8, 7, 7, 7, 6, 6, 6, 6, 5, 5, 5, 5, 4, 4, 3, 3, 2]


def test_chi_squared_of_the_paper():
    """CRF-GAN, Table 2: 71.42 (1.93e-05), whose p is that of 29 degrees of freedom."""
    first = np.array(FIRST)
    assert (first.sum(), (12 - first).sum()) == (215, 145)
    assert int(first.mean() * 100) == 716
    assert int(first.std(ddof=1) * 100) == 266
    result = homogeneity_test(np.stack([first, 12 - first], 1))
    assert result.statistic == pytest.approx(71.42, abs=5e-3)
    assert result.degrees_of_freedom == 29
    assert result.p == pytest.approx(1.93e-5, abs=5e-8)
    share = 215 / 360
    by_hand = sum((votes - 12 * share) ** 2 for votes in FIRST) / (12 * share * (1 - share))
    assert result.statistic == pytest.approx(by_hand)


def test_pairs_that_differ_need_no_preference():
    votes = [[12, 0]] * 15 + [[0, 12]] * 15
    assert homogeneity_test(votes).p < 1e-50
    assert preference_test(180, 360).p == 1


def test_preference_of_the_paper():
    result = preference_test(215, 360)
    assert result.p == pytest.approx(2.65e-4, abs=5e-7)
    assert result.statistic == pytest.approx(0.597, abs=1e-3)
    assert result.degrees_of_freedom is None


def test_survey_two_of_the_paper():
    """Crespi et al., Tables 2 and 3: 66.7 and 53.5 percent right, p = 0.027."""
    assert pytest.approx((0.667, 0.535), abs=5e-4) == (44 / 66, 38 / 71)
    result = origin_test([[44, 66 - 44], [71 - 38, 38]])
    assert result.p == pytest.approx(0.027, abs=5e-4)
    assert result.degrees_of_freedom == 1


def test_other_surveys_of_the_paper():
    """Counts that give the percentages of Table 2 for real and for synthetic scans give five of the p of Table 3.

    They are one possible reading, no more: the percentages of all scans are not theirs in surveys 3 and 4, nor is the p
    between surveys 2 and 4.
    """
    real = {2: (44, 66), 3: (32, 54), 4: (31, 56)}  # called real, of all
    synthetic = {2: (38, 71), 3: (30, 54), 4: (26, 55)}  # called synthetic, of all
    assert [round(100 * a / n, 1) for a, n in real.values()] == [66.7, 59.3, 55.4]
    assert [round(100 * a / n, 1) for a, n in synthetic.values()] == [53.5, 55.6, 47.3]
    tables = {
        k: [[real[k][0], real[k][1] - real[k][0]], [synthetic[k][1] - synthetic[k][0], synthetic[k][0]]] for k in real
    }
    assert [round(origin_test(table).p, 3) for table in tables.values()] == [0.027, 0.178, 0.930]
    answers = {k: np.sum(table, axis=0) for k, table in tables.items()}
    assert round(survey_test(answers[2], answers[3]).p, 3) == 0.582
    assert round(survey_test(answers[3], answers[4]).p, 3) == 0.848
    everything = {k: round(100 * (real[k][0] + synthetic[k][0]) / (real[k][1] + synthetic[k][1]), 1) for k in real}
    assert everything == {2: 59.9, 3: 57.4, 4: 51.4}  # printed: 59.9, 57.5, 52.3
    assert round(survey_test(answers[2], answers[4]).p, 3) != 0.044


def test_yates_correction_is_that_of_the_formula():
    table = np.array([[30, 20], [18, 32]])
    expected = table.sum(1, keepdims=True) * table.sum(0) / table.sum()
    by_hand = ((abs(table - expected) - 0.5) ** 2 / expected).sum()
    assert origin_test(table).statistic == pytest.approx(by_hand)
    assert survey_test([30, 20], [18, 32]) == origin_test(table)
    multinomial = origin_test([[30, 20, 5], [18, 32, 9]])
    assert multinomial.degrees_of_freedom == 2


def test_wilson_interval_by_the_formula():
    estimate = proportion(44, 66)
    z, n, p = stats.norm.ppf(0.975), 66, 44 / 66
    middle, half = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    expected = (p, (middle - half) / (1 + z**2 / n), (middle + half) / (1 + z**2 / n))
    assert tuple(estimate) == pytest.approx(expected)


def simulated(rng, readers=12, pairs=30, preference=0.0, reader_sd=0.5, pair_sd=0.8):
    effects = preference + rng.normal(0, reader_sd, (readers, 1)) + rng.normal(0, pair_sd, pairs)
    return (rng.random((readers, pairs)) < 1 / (1 + np.exp(-effects))).astype(float)


def test_interval_covers_where_votes_share_readers_and_pairs():
    """The plain binomial test cries wolf in such studies; the cluster bootstrap does not."""
    rng = np.random.default_rng(0)
    covered, alarms = [], []
    for seed in range(150):
        choices = simulated(rng)
        estimate = preference_estimate(choices, resamples=300, seed=seed)
        covered.append(estimate.low <= 0.5 <= estimate.high)
        alarms.append(preference_test(int(choices.sum()), choices.size).p < 0.05)
    assert np.mean(covered) >= 0.92
    assert np.mean(alarms) > 0.2


def test_estimate_is_the_share_and_missing_answers_are_left_out():
    choices = simulated(np.random.default_rng(1), preference=1.0)
    choices[0, :3] = np.nan
    estimate = preference_estimate(choices)
    assert estimate.value == pytest.approx(np.nanmean(choices))
    assert estimate.low < estimate.value < estimate.high
    assert preference_estimate(choices) == estimate
    assert preference_estimate(choices, seed=1) != estimate


def test_kappa_of_fleiss_example():
    """Fleiss (1971): 14 raters, 10 subjects, 5 categories, kappa 0.21."""
    ratings = [
        [0, 0, 0, 0, 14],
        [0, 2, 6, 4, 2],
        [0, 0, 3, 5, 6],
        [0, 3, 9, 2, 0],
        [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0],
        [3, 2, 6, 3, 0],
        [2, 5, 3, 2, 2],
        [6, 5, 2, 1, 0],
        [0, 2, 2, 3, 7],
    ]
    assert fleiss_kappa(ratings) == pytest.approx(0.210, abs=5e-4)
    assert fleiss_kappa([[3, 0], [0, 3]]) == 1


def test_bad_counts_are_named():
    for votes, message in (
        ([[1, 2]], "2 of each at least"),
        ([[1, 2], [-1, 2]], "not negative"),
        ([[1.5, 2], [1, 2]], "whole numbers"),
        ([[0, 0], [1, 2]], "row 1 of votes has no counts"),
        ([[0, 3], [0, 2]], "column 1 of votes has no counts"),
    ):
        with pytest.raises(ValueError, match=message):
            homogeneity_test(votes)
    with pytest.raises(ValueError, match="got 5 of 4"):
        preference_test(5, 4)
    with pytest.raises(ValueError, match="1 for the first model"):
        preference_estimate([[0, 2], [1, 0]])
    with pytest.raises(ValueError, match="2 to 3 readers"):
        fleiss_kappa([[2, 0], [1, 2]])
    with pytest.raises(ValueError, match="one answer throughout"):
        fleiss_kappa([[3, 0], [3, 0]])
    with pytest.raises(ValueError, match="level is 95"):
        proportion(1, 2, 95)
