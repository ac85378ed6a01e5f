"""Histograms, spectra and diversity of sets of volumes as metrics of a MONAI evaluator.

In a config, with `LayerScoreMetric` for the scores of Crespi et al. and `DiversityMetric` for MS-SSIM::

    "layers": {
        "_target_": "tools.evaluation.handlers.SetMetric",
        "metric_fn": {"_target_": "tools.metrics.set_scores.LayerScoreMetric"},
        "output_transform": "$monai.handlers.from_engine(['pred', 'label'])"
    },
    "diversity": {
        "_target_": "IgniteMetricHandler",
        "metric_fn": {"_target_": "tools.metrics.set_scores.DiversityMetric"},
        "output_transform": "$monai.handlers.from_engine(['pred', 'label'])"
    },
    "evaluator": {
        ...
        "key_val_metric": ...,  # MONAI takes no other metrics without one
        "additional_metrics": {"kl_256": "$@layers['kl_256']", "ms_ssim": "@diversity"}
    }
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from monai.metrics import CumulativeIterationMetric
from monai.utils import evenly_divisible_all_gather

from tools.metrics.diversity import SuccessiveSimilarity
from tools.metrics.layer_profile import SCORES, LayerProfile, compare_layers
from tools.metrics.layers import LAYERS
from tools.metrics.volumes import check_counts, plain_volumes


class LayerScoreMetric(CumulativeIterationMetric):
    """Divergence, correlation and intersection of histograms, and correlation of spectra, in axial layers.

    Average histograms and spectra are kept, not the volumes, and added up over processes. Real volumes go by turns to
    two halves, whose scores against each other are the baseline (Crespi et al., section 4.1).

    Args:
        layers: number of axial layers of equal height; 1 takes whole volumes.
        value_range: range of the histograms; volumes are clipped to it.
    """

    names = tuple(SCORES)

    def __init__(self, layers: int = LAYERS, value_range: tuple[float, float] = (-1.0, 1.0)) -> None:
        self.layers = layers
        self.value_range = (float(value_range[0]), float(value_range[1]))
        super().__init__()
        self.reset()

    def reset(self) -> None:
        """Forget all volumes."""
        super().reset()
        self._synthetic, self._first, self._second = (LayerProfile(self.layers, self.value_range) for _ in range(3))

    def __call__(self, y_pred: Iterable[torch.Tensor], y: Iterable[torch.Tensor] | None = None, **_: Any) -> None:
        """Take in a batch.

        Args:
            y_pred: synthetic volumes [B, 1, D, H, W] or a list of [1, D, H, W], axial first, from feet to head.
            y: real volumes, as many or not.

        Raises:
            ValueError: unusable volumes, see `tools.metrics.volumes.plain_volumes` and `LayerProfile.add`.
        """
        synthetic, real = plain_volumes("synthetic", y_pred), plain_volumes("real", y)
        for volume in synthetic:
            self._synthetic.add(volume[0].float().cpu().numpy())
        for volume in real:
            half = self._first if self._first.volumes <= self._second.volumes else self._second
            half.add(volume[0].float().cpu().numpy())

    _compute_tensor = __call__  # sums take the place of MONAI's buffers

    def aggregate(self) -> dict[str, float]:
        """Each score's average over layers; NaN for one that no layer has.

        Raises:
            ValueError: too few volumes, see `summary`.
        """
        return {name: math.nan if s["average"] is None else s["average"] for name, s in self.summary().items()}

    def summary(self) -> dict[str, dict[str, Any]]:
        """Scores of every layer with baseline and ratios, over all processes: see `compare_layers`.

        Raises:
            ValueError: a process without synthetic volumes, or with fewer than two real ones.
        """
        check_counts(
            synthetic_volumes=self._synthetic.volumes,
            real_volumes=self._first.volumes,
            second_real_volume=self._second.volumes,
        )
        synthetic, first, second = (_over_processes(p) for p in (self._synthetic, self._first, self._second))
        return compare_layers((first, second), synthetic)


def _over_processes(profile: LayerProfile) -> LayerProfile:
    """The sum of all processes' profiles."""
    state = profile.state()
    gathered = {name: evenly_divisible_all_gather(torch.from_numpy(np.array(a))[None]) for name, a in state.items()}
    total = LayerProfile(profile.layers, profile.value_range)
    for rank in range(len(gathered["volumes"])):
        total += LayerProfile.of_state({name: parts[rank].cpu().numpy() for name, parts in gathered.items()})
    return total


class DiversityMetric(CumulativeIterationMetric):
    """Mean MS-SSIM of every synthetic volume and the one before it: the lower, the more they differ.

    Where volumes come in random order, as generated ones do, these are random pairs; one volume is held at a time, and
    no pair reaches from one process to another. `tools.metrics.ms_ssim_diversity` draws from all pairs of a set.

    Args:
        value_range: lowest and highest value, see `ms_ssim_diversity`.
        pairs: largest number of pairs, in each process; None for no limit. A pair of 128^3 voxels takes about a second
            on one core.
    """

    def __init__(self, value_range: tuple[float, float] = (-1.0, 1.0), pairs: int | None = None) -> None:
        self.similarity = SuccessiveSimilarity(value_range, pairs)
        super().__init__()

    def reset(self) -> None:
        """Forget all volumes."""
        super().reset()
        self.similarity.reset()

    def __call__(self, y_pred: Iterable[torch.Tensor], y: Iterable[torch.Tensor] | None = None, **_: Any) -> None:
        """Take in a batch.

        Args:
            y_pred: synthetic volumes [B, 1, D, H, W] or a list of [1, D, H, W], all of one shape.
            y: further images, which are not looked at.

        Raises:
            ValueError: unusable volumes, see `tools.metrics.volumes.plain_volumes` and `ms_ssim_diversity`.
        """
        for volume in plain_volumes("synthetic", y_pred):
            self.similarity.add(volume[0])

    _compute_tensor = __call__

    def aggregate(self) -> torch.Tensor:
        """The mean over the pairs of all processes, [].

        Raises:
            ValueError: a process has made fewer than two volumes.
        """
        check_counts(pairs_of_volumes=len(self.similarity.values))
        values = torch.tensor(self.similarity.values, dtype=torch.float64)
        return evenly_divisible_all_gather(values).mean()
