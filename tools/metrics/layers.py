"""Comparing sets layer by layer along the body, and with what real scores against real (Crespi et al., 4.1)."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import numpy as np

LAYERS = 10
ROUNDING = 1e-12  # a baseline below this is that of equal sets


def axial_layers(num_slices: int, layers: int = LAYERS) -> np.ndarray:
    """The layer, 0 for the lowest, of every axial slice of a volume, in order from feet to head.

    The paper defines its layers by the organs in view; here a volume is cut into parts of equal height, which is the
    same where volumes show the same part of the body.

    Raises:
        ValueError: fewer slices than layers.
    """
    if layers < 1:
        raise ValueError(f"layers is {layers}, expected 1 or more")
    if num_slices < layers:
        raise ValueError(f"{num_slices} slices cannot be divided into {layers} layers; ask for fewer layers")
    return layer_of((np.arange(num_slices) + 0.5) / num_slices, layers)


def layer_of(positions: np.ndarray | Sequence[float], layers: int = LAYERS) -> np.ndarray:
    """The layer of slices at relative positions, 0 feet to 1 head.

    Raises:
        ValueError: a position outside [0, 1].
    """
    positions = np.asarray(positions, np.float64)
    if positions.size and not (positions.min() >= 0 and positions.max() <= 1):
        raise ValueError(f"positions must lie in [0, 1], got {positions.min():g} to {positions.max():g}")
    return np.minimum((positions * layers).astype(int), layers - 1)


def halves(ids: Sequence[str], seed: int = 0) -> tuple[list[str], list[str]]:
    """A set of real volumes cut in two at random, to compare real with real: the baseline.

    Raises:
        ValueError: fewer than two volumes, or one twice.
    """
    if len(set(ids)) != len(ids):
        raise ValueError("an id is there twice; the halves of a baseline must have nothing in common")
    if len(ids) < 2:
        raise ValueError(
            f"a baseline compares two halves of the real set, which needs 2 volumes or more; got {len(ids)}"
        )
    order = np.random.default_rng(seed).permutation(len(ids))
    middle = len(ids) // 2
    ordered = sorted(ids)
    return [ordered[i] for i in sorted(order[:middle])], [ordered[i] for i in sorted(order[middle:])]


def normalised_by_baseline(scores: Sequence[float], baseline: Sequence[float]) -> dict[str, object]:
    """Scores as multiples of what real images score against real ones, as in the paper's figures 5 to 7.

    Args:
        scores: a model's score in every layer.
        baseline: the real sets' score in every layer.

    Returns:
        "layers", the ratio in every layer; "average", the mean score over the mean baseline (not the mean of the
        ratios); NaN, with a warning, where a baseline is zero but for rounding, negative or not finite.

    Raises:
        ValueError: different numbers of layers.
    """
    if len(scores) != len(baseline):
        raise ValueError(f"{len(scores)} layers of scores and {len(baseline)} of the baseline do not correspond")
    return {
        "layers": [_ratio(s, b, f"layer {i + 1}") for i, (s, b) in enumerate(zip(scores, baseline, strict=True))],
        "average": _ratio(float(np.mean(scores)), float(np.mean(baseline)), "the average"),
    }


def _ratio(score: float, baseline: float, where: str) -> float:
    if not (math.isfinite(baseline) and baseline > ROUNDING):
        warnings.warn(f"the baseline of {where} is {baseline:g}, so scores cannot be divided by it", stacklevel=3)
        return math.nan
    return float(score) / float(baseline)
