"""Distances between real and synthetic images as metrics of a MONAI evaluator.

The features of both sets are extracted once, however many distances are taken from them. In a config::

    "distances": {
        "_target_": "tools.evaluation.handlers.FeatureDistances",
        "features": {"_target_": "tools.features.untrained.UntrainedFeatures"},
        "output_transform": "$monai.handlers.from_engine(['pred', 'label'])"
    },
    "evaluator": {
        ...
        "key_val_metric": {"fid": "$@distances['fid']"},
        "additional_metrics": {"mmd": "$@distances['mmd']"},
        "metric_cmp_fn": "$lambda current, best: current < best"
    }

Smaller is better, hence the `metric_cmp_fn`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import torch
from ignite.engine import Engine
from ignite.metrics import MetricsLambda
from monai.handlers import IgniteMetricHandler, from_engine
from monai.metrics import CumulativeIterationMetric
from monai.utils import evenly_divisible_all_gather

from tools.evaluation.batches import check_counts, plain_volumes
from tools.evaluation.units import check_signed, doubt_of_narrow_range
from tools.features.space import FeatureSpace
from tools.metrics.distances import frechet_distance, maximum_mean_discrepancy

logger = logging.getLogger(__name__)

DISTANCES = {"fid": frechet_distance, "mmd": maximum_mean_discrepancy}


@dataclass(frozen=True)
class SeenSet:
    """A set that an evaluator has seen.

    Attributes:
        images: number of its images.
        value_range: least and greatest value.
    """

    images: int
    value_range: tuple[float, float]


@dataclass(frozen=True)
class DistanceSummary:
    """Distances with all that is needed to read them.

    Attributes:
        feature_space: name of the space that they are taken in.
        note: sentence on what a reader has to know of it.
        distances: values by name.
        real: set of real images.
        synthetic: set of synthetic images.
    """

    feature_space: str
    note: str
    distances: dict[str, float]
    real: SeenSet
    synthetic: SeenSet


class FeatureDistanceMetric(CumulativeIterationMetric):
    """Distances between the real and the synthetic images of an evaluation, from one set of features.

    A MONAI cumulative metric: call it on every batch, `aggregate()` at the end, `reset()` before the next round. The
    features (not the images) are kept, and gathered over processes, so that every process returns the distances
    of all images. A distributed sampler that repeats items to fill the last batch changes the result: turn that off.
    Images of several channels, as contrasts of MR, have the mean of the distances of each.

    Args:
        features: feature space; it is moved to the images' device.
        distances: function(real, synthetic) on feature matrices [samples, dims] by name; None: fid and mmd, see
            `tools.metrics.distances`. They are taken of what the space's normaliser, found from the real set, gives.

    Example::

        metric = FeatureDistanceMetric(UntrainedFeatures())
        for batch in loader:
            metric(y_pred=generator(batch["latent"]), y=batch["image"])
        metric.aggregate()  # {"fid": ..., "mmd": ...}
        metric.summary()  # the same with the feature space, the numbers of images and their value ranges
    """

    def __init__(
        self,
        features: FeatureSpace,
        distances: Mapping[str, Callable[[torch.Tensor, torch.Tensor], float]] | None = None,
    ) -> None:
        if not isinstance(features, FeatureSpace):
            raise ValueError(
                f"features must be a feature space, {type(features).__name__} is none; inherit from "
                "tools.features.space.FeatureSpace, which says what it has"
            )
        self.features = features
        self.distances = dict(DISTANCES if distances is None else distances)
        super().__init__()

    @property
    def names(self) -> list[str]:
        """Names of the distances."""
        return list(self.distances)

    def reset(self) -> None:
        """Forget all images."""
        super().reset()
        self._summary: DistanceSummary | None = None

    def _compute_tensor(self, y_pred: Iterable[torch.Tensor], y: Iterable[torch.Tensor] | None = None, **_: Any):
        """Features and [min, max] of every synthetic (y_pred) and real (y) image: what the buffers hold.

        Both are volumes [B, channels, D, H, W] or 2D images [B, channels, H, W], or lists of these without B, with
        values in [-1, 1].

        Raises:
            ValueError: images are missing, have another number of channels than others, hold NaN or infinite values, or
                are in other units.
        """
        self._summary = None
        # All is checked before anything is computed, so that the message can name both ranges.
        synthetic = plain_volumes("synthetic", y_pred, None)
        real = plain_volumes("real", y, len(synthetic[0]))
        extents = {name: _extents(volumes) for name, volumes in (("real", real), ("synthetic", synthetic))}
        check_signed({name: _range(extent) for name, extent in extents.items()}, f"feature space {self.features.name}")
        return [self._extract(synthetic), self._extract(real), extents["synthetic"], extents["real"]]

    # A list differs from a batch only in that its images may differ in size.
    _compute_list = _compute_tensor

    def count(self) -> int:
        """How many images of each set all processes have seen."""
        own = 0 if self._buffers is None else len(self._buffers[0])
        return int(evenly_divisible_all_gather(torch.tensor([own])).sum())

    def aggregate(self) -> dict[str, float]:
        """The distances by name, over all processes.

        Raises:
            ValueError: all processes together, or one of them, have no images or fewer than 2.
        """
        return dict(self.summary().distances)

    def summary(self) -> DistanceSummary:
        """Distances with all that is needed to read them.

        Raises:
            ValueError: too few volumes, see `aggregate`.
        """
        if self._summary is None:
            check_counts(images=0 if self._buffers is None else len(self._buffers[0]))
            synthetic, real, synthetic_extents, real_extents = self.get_buffer()
            of_channels = []
            for of_real, of_synthetic in zip(real.unbind(1), synthetic.unbind(1), strict=True):
                normalise = self.features.normaliser(of_real)
                of_channels.append((normalise(of_real), normalise(of_synthetic)))
            self._summary = DistanceSummary(
                self.features.name,
                self.features.note,
                {name: fmean(distance(*sets) for sets in of_channels) for name, distance in self.distances.items()},
                *(SeenSet(len(extents), _range(extents)) for extents in (real_extents, synthetic_extents)),
            )
            if (doubt := doubt_of_narrow_range(self._summary.real.value_range)) is not None:
                logger.warning("%s", doubt)
            logger.info("distances in feature space %s: %s", self.features.name, self._summary.distances)
        return self._summary

    def _extract(self, volumes: list[torch.Tensor]) -> torch.Tensor:
        """[rows, channels, dims]."""
        space = self.features.to(volumes[0].device)
        with torch.no_grad():
            return torch.cat([torch.stack([space(c[None, None]) for c in volume], dim=1) for volume in volumes])


class FeatureDistances(IgniteMetricHandler):
    """`FeatureDistanceMetric` for an engine: `FeatureDistances(...)["fid"]` is the metric to attach.

    All parts share one metric, which sees every image once. When the distances are computed,
    `engine.state.feature_spaces[name of the space]` becomes the metric's `summary()`. Of a single image there are none:
    they are nan, with a warning, so that a training on so little still ends.

    Args:
        features: feature space, see `FeatureDistanceMetric`.
        distances: functions by name, see `FeatureDistanceMetric`.
        output_transform: function from `engine.state.output` to (synthetic, real) images.
    """

    def __init__(
        self,
        features: FeatureSpace,
        distances: Mapping[str, Callable[[torch.Tensor, torch.Tensor], float]] | None = None,
        output_transform: Callable = from_engine(["pred", "label"]),  # noqa: B008 - a function without state
    ) -> None:
        # save_details is for one score per image; these belong to the whole set.
        metric = FeatureDistanceMetric(features, distances)
        super().__init__(metric_fn=metric, output_transform=output_transform, save_details=False)

    def __getitem__(self, name: str) -> MetricsLambda:
        if name not in self.metric_fn.names:
            raise KeyError(f"there is no distance {name!r}, choose from {sorted(self.metric_fn.names)}")
        return super().__getitem__(name)

    def started(self, engine: Engine) -> None:
        """Reset, and remember the engine: `compute` is not told, and the parts attach this without `attach`."""
        self._engine = engine
        super().started(engine)

    def compute(self) -> dict[str, float]:
        """The distances by name, and the summary into the engine's state."""
        if self.metric_fn.count() == 1:
            logger.warning("a distance between sets needs 2 images of each, there is 1: it is nan")
            return dict.fromkeys(self.metric_fn.names, math.nan)
        result = super().compute()
        if self._engine is not None:
            spaces = getattr(self._engine.state, "feature_spaces", {})
            summary = self.metric_fn.summary()
            self._engine.state.feature_spaces = {**spaces, summary.feature_space: summary}
        return result


def _extents(volumes: list[torch.Tensor]) -> torch.Tensor:
    """[B, 2]: the least and greatest value of every volume."""
    return torch.stack([torch.stack(volume.aminmax()).float() for volume in volumes])


def _range(extents: torch.Tensor) -> tuple[float, float]:
    return extents[:, 0].min().item(), extents[:, 1].max().item()
