"""Comparing sets layer by layer along the body, and with what real scores against real (Crespi et al., 4.1)."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LAYERS = 10
ROUNDING = 1e-12  # a baseline below this is that of equal sets


def default_layers(depth: int) -> int:
    """Number of layers for volumes of so many slices: ten, or one for 2D images."""
    return 1 if depth == 1 else LAYERS


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


def split(ids: Sequence[str], seed: int = 0) -> tuple[list[str], list[str]]:
    """A set of real volumes split in two at random, to compare real with real: the baseline.

    Raises:
        ValueError: fewer than two volumes, or one twice.
    """
    if len(set(ids)) != len(ids):
        raise ValueError("an id is there twice; the two parts of a baseline must have nothing in common")
    if len(ids) < 2:
        raise ValueError(
            f"a baseline compares one half of the real set with the other and needs 2 volumes or more; got {len(ids)}"
        )
    order = np.random.default_rng(seed).permutation(len(ids))
    middle = len(ids) // 2
    ordered = sorted(ids)
    return [ordered[i] for i in sorted(order[:middle])], [ordered[i] for i in sorted(order[middle:])]


@dataclass(frozen=True)
class LayerScores:
    """A model's score in every layer beside what real scores against real; NaN where there is none.

    Attributes:
        scores: score of the model in each layer.
        baseline: score of one half of the real set against the other.
        average: mean score over the layers that have both.
        baseline_average: mean baseline over the same layers.
        ratios: multiples of the baseline, the normalised scores of the paper's figures 5 to 7.
        average_ratio: mean score over mean baseline, which is not the mean of the ratios.
    """

    scores: tuple[float, ...]
    baseline: tuple[float, ...]
    average: float
    baseline_average: float
    ratios: tuple[float, ...]
    average_ratio: float


def beside_baseline(scores: Sequence[float], baseline: Sequence[float]) -> LayerScores:
    """Scores of layers with their averages, and as multiples of the baseline.

    Args:
        scores: score in each layer; NaN where there is none.
        baseline: the same of real against real.

    Returns:
        Ratios are NaN, with a warning, where a baseline is zero but for rounding, or negative.

    Raises:
        ValueError: different numbers of layers.
    """
    if len(scores) != len(baseline):
        raise ValueError(f"{len(scores)} layers of scores and {len(baseline)} of the baseline do not correspond")
    known = np.isfinite(scores) & np.isfinite(baseline)
    pairs = enumerate(zip(scores, baseline, strict=True), start=1)
    ratios = tuple(_ratio(s, b, f"layer {i}") if known[i - 1] else math.nan for i, (s, b) in pairs)
    average = average_baseline = average_ratio = math.nan
    if known.any():
        average, average_baseline = (float(np.mean(np.asarray(values)[known])) for values in (scores, baseline))
        average_ratio = _ratio(average, average_baseline, "the average")
    return LayerScores(
        tuple(map(float, scores)), tuple(map(float, baseline)), average, average_baseline, ratios, average_ratio
    )


def _ratio(score: float, baseline: float, where: str) -> float:
    if not baseline > ROUNDING:
        warnings.warn(f"the baseline of {where} is {baseline:g}, so scores cannot be divided by it", stacklevel=3)
        return math.nan
    return float(score) / float(baseline)
