"""How sets of images are compared: what command, handlers and report share."""

from __future__ import annotations

from dataclasses import dataclass

from tools.metrics.diversity import PAIRS


@dataclass(frozen=True)
class ComparisonSettings:
    """How sets are compared.

    Attributes:
        layers: number of axial layers; None takes ten of volumes and one of 2D images.
        seed: random seed of the split of the real set, of resampling, and of the order in which pairs are taken.
        resamples: number of draws for the intervals of distances; 0 for none.
        pairs: number of pairs of successive images, at most, whose MS-SSIM is the measure of diversity; 0 for none.
        bandwidth: bandwidth of MMD's kernel, one for all models. None, the papers' way, takes for each model the median
            distance between the samples of the real set and its own, so that its MMD depends on nothing else in the
            report; a model so far from the real set that this hardly says how far is warned of.
    """

    layers: int | None = None
    seed: int = 0
    resamples: int = 100
    pairs: int = PAIRS
    bandwidth: float | None = None
