"""How large a study must be: power by simulated studies in which readers and pairs have effects of their own."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from scipy import optimize, stats

ALPHA = 0.05

READER_SD = 0.4
"""Logits; the CRF-GAN paper prints nothing from which it could be told. Two readers in three are then within 10 points
of the average share."""

PAIR_SD = 0.75
"""Logits. The CRF-GAN paper's votes per pair have a standard deviation of 2.66 of 12 (Table 2), where readers alone
would give 1.70: the rest, 0.18 in the share of votes, is that of pairs, and 0.75 in logits at a share of 0.6."""


def power(
    preference: float,
    readers: int,
    pairs: int,
    reader_sd: float = READER_SD,
    pair_sd: float = PAIR_SD,
    simulations: int = 1000,
    seed: int = 0,
) -> float:
    """Share of simulated studies in which `clustered_test` finds a preference, p < 0.05, on the right side.

    A vote is for the first model with logit m + reader effect + pair effect, both normal. m is such that the first
    model gets the given share of votes over all readers and pairs that there could be.

    Args:
        preference: share of votes for the first model; at 0.5 any finding counts, so that the result is the size.
        readers: number of readers, 2 at least; every reader reads every pair.
        pairs: number of pairs, 2 at least.
        reader_sd: standard deviation of readers' effects, in logits.
        pair_sd: standard deviation of pairs' effects.
        simulations: number of studies.
        seed: seed of the simulation.

    Raises:
        ValueError: numbers out of range.
    """
    if not 0 < preference < 1:
        raise ValueError(f"preference is {preference}, expected a share between 0 and 1, such as 0.6")
    if min(readers, pairs) < 2 or min(reader_sd, pair_sd) < 0 or simulations < 1:
        raise ValueError(
            f"got {readers} readers, {pairs} pairs, standard deviations {reader_sd} and {pair_sd} and {simulations} "
            "simulations; expected 2 readers and 2 pairs at least, no negative deviation and one simulation at least"
        )
    rng = np.random.default_rng(seed)
    logits = (
        _logit(preference, float(np.hypot(reader_sd, pair_sd)))
        + rng.normal(0, reader_sd, (simulations, readers, 1))
        + rng.normal(0, pair_sd, (simulations, 1, pairs))
    )
    choices = rng.random(logits.shape) < 1 / (1 + np.exp(-logits))
    statistic = clustered_statistics(choices)
    limit = stats.t.ppf(1 - ALPHA / 2, min(readers, pairs) - 1)
    if preference == 0.5:
        return float((np.abs(statistic) > limit).mean())
    return float((statistic * np.sign(preference - 0.5) > limit).mean())


def clustered_statistics(choices: np.ndarray) -> np.ndarray:
    """The t statistic of `tools.study.statistics.clustered_test` of many studies at once.

    Args:
        choices: [studies, readers, pairs], 1 for the first model, none missing.
    """
    readers, pairs = choices.shape[1:]
    share = choices.mean((1, 2))
    residuals = choices - share[:, None, None]
    votes = readers * pairs
    by_reader = (residuals.sum(2) ** 2).sum(1) * readers / (readers - 1) / votes**2
    by_pair = (residuals.sum(1) ** 2).sum(1) * pairs / (pairs - 1) / votes**2
    both = np.maximum(by_reader + by_pair - (residuals**2).sum((1, 2)) / votes**2, np.maximum(by_reader, by_pair))
    return (share - 0.5) / np.sqrt(np.where(both > 0, both, 0.25 / votes))


def power_table(
    preference: float,
    readers: Sequence[int],
    pairs: Sequence[int],
    wanted: float = 0.8,
    reader_sd: float = READER_SD,
    pair_sd: float = PAIR_SD,
    simulations: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Power for every number of readers and of pairs, and the studies that reach what is wanted.

    Returns:
        the settings; "power", {readers: {pairs: power}}; "smallest", the one with the fewest votes that reaches the
        wanted power, and "fewest_pairs", {readers: pairs}, None where none does.

    Raises:
        ValueError: numbers out of range.
    """
    if not 0 < wanted < 1 or not readers or not pairs:
        raise ValueError(f"power is {wanted}, expected a share between 0 and 1, such as 0.8, and readers and pairs")
    readers, pairs = sorted(set(readers)), sorted(set(pairs))
    found = {r: {p: power(preference, r, p, reader_sd, pair_sd, simulations, seed) for p in pairs} for r in readers}
    enough = [(r * p, r, p) for r in readers for p in pairs if found[r][p] >= wanted]
    smallest = min(enough, default=None)
    return {
        "preference": preference,
        "wanted": wanted,
        "alpha": ALPHA,
        "test": "t-test with standard errors clustered by reader and pair",
        "reader_sd": reader_sd,
        "pair_sd": pair_sd,
        "simulations": simulations,
        "power": found,
        "fewest_pairs": {r: min((p for p in pairs if found[r][p] >= wanted), default=None) for r in readers},
        "smallest": None if smallest is None else {"readers": smallest[1], "pairs": smallest[2], "votes": smallest[0]},
    }


def plan_text(table: dict[str, Any]) -> str:
    """The table for a terminal."""
    pairs = list(next(iter(table["power"].values())))
    lines = [
        f"Power to find a preference of {table['preference']:.0%} at p < {table['alpha']}, {table['simulations']} "
        f"simulated studies each; effects of readers {table['reader_sd']:g}, of pairs {table['pair_sd']:g} logits.",
        "readers " + "".join(f"{f'{n} pairs':>10}" for n in pairs),
    ]
    for readers, row in table["power"].items():
        marks = (f"{value:.0%}" + ("*" if value >= table["wanted"] else " ") for value in row.values())
        lines.append(f"{readers:>7} " + "".join(f"{mark:>10}" for mark in marks))
    smallest = table["smallest"]
    if smallest is None:
        lines.append(f"None of these reaches {table['wanted']:.0%}: try more readers or more pairs.")
    else:
        lines.append(
            f"* reaches {table['wanted']:.0%}. "
            f"Fewest votes: {smallest['readers']} readers and {smallest['pairs']} pairs."
        )
    return "\n".join(lines)


@cache
def _logit(share: float, sd: float) -> float:
    """The mean of a normal logit whose probabilities are ``share`` on average."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)

    def excess(mean: float) -> float:
        return float(weights @ (1 / (1 + np.exp(-(mean + sd * nodes)))) / weights.sum()) - share

    return float(optimize.brentq(excess, -60, 60))
