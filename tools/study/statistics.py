"""The statistics of reader studies: the papers' tests under their right names, and those that should stand beside them.

Two-alternative forced choice: Shiri et al. (CRF-GAN), section 2.3.2 and Table 2. Blind survey: Crespi et al., section
4.2, Tables 2 and 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

Counts = np.ndarray | Sequence[Sequence[int]]


class TestResult(NamedTuple):
    """Outcome of a test.

    Attributes:
        statistic: Chi-squared; of an exact test the observed share.
        degrees_of_freedom: degrees of freedom of the Chi-squared distribution; None for an exact test.
        p: probability of so great a deviation, or a greater one, if the null hypothesis holds.
    """

    statistic: float
    degrees_of_freedom: int | None
    p: float


class Estimate(NamedTuple):
    """A number with its interval."""

    value: float
    low: float
    high: float


def homogeneity_test(votes: Counts) -> TestResult:
    """Test whether the pairs of a study differ from each other in how their votes are divided.

    Pearson's Chi-squared test of homogeneity. This is the test whose result the CRF-GAN paper prints (71.42, p =
    1.93e-05, 29 degrees of freedom). It does not say which model is preferred, nor whether one is: votes of 12 to 0 for
    one model in half of the pairs and for the other model in the rest are as inhomogeneous as can be and no preference.
    That is `preference_test`'s question.

    Args:
        votes: [pairs, models], numbers of votes; 2 pairs and 2 models at least.

    Raises:
        ValueError: another shape, negative or broken numbers, or a pair or a model without any vote.
    """
    table = _counts(votes, "votes", "[pairs, models]")
    result = stats.chi2_contingency(table, correction=False)
    return TestResult(float(result.statistic), int(result.dof), float(result.pvalue))


def preference_test(wins: int, total: int) -> TestResult:
    """Test whether one of two models is preferred: exact two-sided binomial test of `wins` in `total` votes against a
    half.

    It takes votes for independent, which those of one reader, or of one pair, are not: it is too sure. See
    `preference_estimate`.

    Raises:
        ValueError: no votes, or more wins than votes.
    """
    _check_wins(wins, total)
    return TestResult(wins / total, None, float(stats.binomtest(int(wins), int(total)).pvalue))


def origin_test(counts: Counts) -> TestResult:
    """Test whether readers answer differently about real and about synthetic images (Crespi et al., Table 3).

    Pearson's Chi-squared test. A table of two by two gets Yates' correction, as by SciPy's default.

    Args:
        counts: [origin, answer]: a row for real and one for synthetic images, a column for every answer: "real" and
            "synthetic" (the paper's binomial version), or also "cannot tell" (multinomial).

    Raises:
        ValueError: the table is refused, see `homogeneity_test`; a column that nobody chose has to be left out.
    """
    result = stats.chi2_contingency(_counts(counts, "counts", "[origin, answer]"))
    return TestResult(float(result.statistic), int(result.dof), float(result.pvalue))


def survey_test(first: Sequence[int], second: Sequence[int]) -> TestResult:
    """Test whether the answers of two surveys are divided differently (Crespi et al., Table 3); see `origin_test`.

    Args:
        first: numbers of every answer, or of right and wrong answers, in one survey.
        second: numbers of the same answers in the other survey, in the same order.
    """
    if len(first) != len(second):
        raise ValueError(f"surveys with {len(first)} and {len(second)} kinds of answers cannot be compared")
    return origin_test([first, second])


def proportion(count: int, total: int, level: float = 0.95) -> Estimate:
    """A share with Wilson's score interval (Wilson 1927), for percentages right, sensitivity and specificity.

    Raises:
        ValueError: no answers, or more than there are.
    """
    _check_wins(count, total)
    interval = stats.binomtest(int(count), int(total)).proportion_ci(_checked_level(level), method="wilson")
    return Estimate(count / total, float(interval.low), float(interval.high))


def preference_estimate(choices: np.ndarray, level: float = 0.95, resamples: int = 2000, seed: int = 0) -> Estimate:
    """Share of votes for the first model, with an interval that respects that votes share readers and pairs.

    Two-way cluster bootstrap (Owen 2007, the pigeonhole bootstrap): readers and pairs are drawn with replacement,
    independently of each other, and a vote counts as often as its reader was drawn times its pair was. The interval is
    that of percentiles. It is a little too wide rather than too narrow.

    Args:
        choices: [readers, pairs], 1 for the first model, 0 for the second, NaN for no answer.
        level: confidence level of the interval.
        resamples: number of draws.
        seed: seed of the draws.

    Raises:
        ValueError: another shape, other values, or fewer than 2 readers or pairs.
    """
    choices = _checked_choices(choices)
    answered = np.isfinite(choices)
    rng = np.random.default_rng(seed)
    readers, pairs = choices.shape
    reader_weights = rng.multinomial(readers, np.full(readers, 1 / readers), resamples)
    pair_weights = rng.multinomial(pairs, np.full(pairs, 1 / pairs), resamples)
    wins = np.einsum("br,rp,bp->b", reader_weights, np.where(answered, choices, 0), pair_weights)
    votes = np.einsum("br,rp,bp->b", reader_weights, answered.astype(float), pair_weights)
    shares = wins[votes > 0] / votes[votes > 0]
    tail = (1 - _checked_level(level)) / 2
    low, high = np.quantile(shares, (tail, 1 - tail))
    return Estimate(float(choices[answered].mean()), float(low), float(high))


def clustered_test(choices: np.ndarray) -> TestResult:
    """Test whether the first of two models is preferred, respecting that votes share readers and pairs.

    A t-test of the share of votes against a half with a standard error clustered by reader and by pair (Cameron,
    Gelbach and Miller 2011; never below either one-way error), with one degree of freedom less than there
    are readers or pairs, whichever are fewer. With 3 readers it is timid, and says nothing about a weak preference.

    Args:
        choices: answers, see `preference_estimate`.

    Returns:
        the t statistic, its degrees of freedom and the two-sided p.
    """
    choices = _checked_choices(choices)
    answered = np.isfinite(choices)
    votes = answered.sum()
    share = choices[answered].mean()
    residuals = np.where(answered, choices - share, 0)

    def variance(sums: np.ndarray) -> float:
        return (sums**2).sum() * sums.size / (sums.size - 1) / votes**2

    by_reader, by_pair = variance(residuals.sum(1)), variance(residuals.sum(0))
    both = max(by_reader + by_pair - (residuals**2).sum() / votes**2, by_reader, by_pair)
    # all votes for one model have no variance of their own: that of a fair coin stands in
    statistic = float((share - 0.5) / np.sqrt(both if both > 0 else 0.25 / votes))
    degrees = min(choices.shape) - 1
    return TestResult(statistic, degrees, float(2 * stats.t.sf(abs(statistic), degrees)))


def fleiss_kappa(ratings: Counts) -> float:
    """Agreement of readers beyond chance (Fleiss 1971): 1 for full agreement, 0 for that of chance.

    Args:
        ratings: [images, answers], how many readers gave each answer about each image; the same number of readers for
            all images, 2 at least.

    Raises:
        ValueError: another shape, different numbers of readers, or one answer throughout, of which chance agreement is
            complete and kappa undefined.
    """
    table = np.asarray(ratings, float)
    if table.ndim != 2 or table.shape[1] < 2 or len(table) < 1 or (table < 0).any():
        raise ValueError(f"ratings have shape {table.shape}, expected [images, answers], numbers of readers")
    readers = table.sum(1)
    if len(set(readers)) > 1 or readers[0] < 2:
        raise ValueError(
            f"images were read by {readers.min():g} to {readers.max():g} readers; kappa needs the same number for all, "
            "2 at least: leave out images or readers with missing answers"
        )
    n = readers[0]
    observed = ((table**2).sum(1) - n).mean() / (n * (n - 1))
    expected = ((table.sum(0) / table.sum()) ** 2).sum()
    if expected == 1:
        raise ValueError("all readers gave one answer throughout, so kappa is not defined")
    return float((observed - expected) / (1 - expected))


def _counts(counts: Counts, name: str, axes: str) -> np.ndarray:
    table = np.asarray(counts, float)
    if table.ndim != 2 or min(table.shape, default=0) < 2:
        raise ValueError(f"{name} have shape {table.shape}, expected {axes}, 2 of each at least")
    if not np.isfinite(table).all() or (table < 0).any() or (table != np.round(table)).any():
        raise ValueError(f"{name} must be whole numbers, not negative")
    for axis, what in ((1, "row"), (0, "column")):
        empty = np.flatnonzero(table.sum(axis) == 0)
        if len(empty):
            raise ValueError(f"{what} {empty[0] + 1} of {name} has no counts; leave it out")
    return table


def _check_wins(wins: int, total: int) -> None:
    if total < 1 or not 0 <= wins <= total or wins != int(wins) or total != int(total):
        raise ValueError(f"expected whole numbers 0 <= count <= total and total >= 1, got {wins} of {total}")


def _checked_choices(choices: np.ndarray) -> np.ndarray:
    choices = np.asarray(choices, float)
    if choices.ndim != 2 or min(choices.shape) < 2:
        raise ValueError(f"choices have shape {choices.shape}, expected [readers, pairs], 2 of each at least")
    answered = np.isfinite(choices)
    if not np.isin(choices[answered], (0, 1)).all() or not answered.any():
        raise ValueError("choices must be 1 for the first model, 0 for the second or NaN for no answer")
    return choices


def _checked_level(level: float) -> float:
    if not 0 < level < 1:
        raise ValueError(f"level is {level}, expected a share between 0 and 1, such as 0.95")
    return level
