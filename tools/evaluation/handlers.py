"""Distances between real and synthetic volumes as metrics of a MONAI evaluator.

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

Smaller is better, hence the `metric_cmp_fn`. Scores of histograms and spectra, and the diversity of a set, are metrics
too: `tools.metrics.set_scores`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from ignite.engine import Engine
from ignite.metrics import MetricsLambda
from monai.handlers import IgniteMetricHandler, from_engine
from monai.metrics import CumulativeIterationMetric
from monai.utils import evenly_divisible_all_gather

from tools.metrics.distances import frechet_distance, maximum_mean_discrepancy
from tools.metrics.volumes import check_counts, plain_volumes

logger = logging.getLogger(__name__)

DISTANCES = {"fid": frechet_distance, "mmd": maximum_mean_discrepancy}

# Interpolation and reduced precision overshoot a little; wrong units overshoot a lot.
RANGE_TOLERANCE = 0.1


class FeatureDistanceMetric(CumulativeIterationMetric):
    """Distances between the real and the synthetic volumes of an evaluation, from one set of features.

    A MONAI cumulative metric: call it on every batch, `aggregate()` at the end, `reset()` before the next round. The
    features (not the volumes) are kept, and gathered over processes, so that every process returns the distances
    of all volumes. A distributed sampler that repeats items to fill the last batch changes the result: turn that off.

    Args:
        features: the feature space, see `tools.features.space`; a module is moved to the volumes' device.
        distances: name -> function(real, synthetic) on feature matrices [samples, dims]; None: fid and mmd, see
            `tools.metrics.distances`.
        value_range: the values that `features` expects. Volumes more than a tenth of its width outside are an error:
            they are in other units (HU, say).

    Example::

        metric = FeatureDistanceMetric(UntrainedFeatures())
        for batch in loader:
            metric(y_pred=generator(batch["latent"]), y=batch["image"])
        metric.aggregate()  # {"fid": ..., "mmd": ...}
        metric.summary()  # the same with the feature space, the numbers of volumes and their value ranges
    """

    def __init__(
        self,
        features: Callable[[torch.Tensor], torch.Tensor],
        distances: Mapping[str, Callable[[torch.Tensor, torch.Tensor], float]] | None = None,
        value_range: tuple[float, float] = (-1.0, 1.0),
    ) -> None:
        if not isinstance(getattr(features, "name", None), str):
            raise ValueError(
                f"features must have a `name` that labels what is computed in them, {type(features).__name__} has none"
            )
        self.features = features
        self.distances = dict(DISTANCES if distances is None else distances)
        self.value_range = (float(value_range[0]), float(value_range[1]))
        super().__init__()

    @property
    def names(self) -> list[str]:
        """Names of the distances."""
        return list(self.distances)

    def reset(self) -> None:
        """Forget all volumes."""
        super().reset()
        self._summary: dict[str, Any] | None = None

    def _compute_tensor(self, y_pred: Iterable[torch.Tensor], y: Iterable[torch.Tensor] | None = None, **_: Any):
        """Features and [min, max] of every synthetic (y_pred) and real (y) volume: what the buffers hold.

        Both are [B, 1, D, H, W] or lists of [1, D, H, W].

        Raises:
            ValueError: volumes are missing, hold NaN or infinite values, or are in other units.
        """
        self._summary = None
        # All is checked before anything is computed, so that the message can name both ranges.
        synthetic, real = plain_volumes("synthetic", y_pred), plain_volumes("real", y)
        extents = {name: _extents(volumes) for name, volumes in (("real", real), ("synthetic", synthetic))}
        self._check_range(extents)
        return [self._extract(synthetic), self._extract(real), extents["synthetic"], extents["real"]]

    # A list differs from a batch only in that its volumes may differ in size.
    _compute_list = _compute_tensor

    def count(self) -> int:
        """Return how many volumes of each set all processes have seen."""
        own = 0 if self._buffers is None else len(self._buffers[0])
        return int(evenly_divisible_all_gather(torch.tensor([own])).sum())

    def aggregate(self) -> dict[str, float]:
        """The distances by name, over all processes.

        Raises:
            ValueError: all processes together, or one of them, have no volumes or fewer than 2.
        """
        return dict(self.summary()["distances"])

    def summary(self) -> dict[str, Any]:
        """Distances with all that is needed to read them.

        Returns:
            feature_space, note, distances {name: value}, and for "real" and "synthetic": volumes (number) and
            value_range [min, max].

        Raises:
            ValueError: too few volumes, see `aggregate`.
        """
        if self._summary is None:
            check_counts(volumes=0 if self._buffers is None else len(self._buffers[0]))
            synthetic, real, synthetic_extents, real_extents = self.get_buffer()
            self._summary = {
                "feature_space": self.features.name,
                "note": getattr(self.features, "note", ""),
                "distances": {name: distance(real, synthetic) for name, distance in self.distances.items()},
                "real": _describe(real_extents),
                "synthetic": _describe(synthetic_extents),
            }
            self._warn_of_narrow_range(self._summary["real"]["value_range"])
            logger.info("distances in feature space %s: %s", self.features.name, self._summary["distances"])
        return self._summary

    def _extract(self, volumes: list[torch.Tensor]) -> torch.Tensor:
        if isinstance(self.features, torch.nn.Module):
            self.features.to(volumes[0].device)
        with torch.no_grad():
            return torch.cat([self.features(volume[None]) for volume in volumes])

    def _check_range(self, extents: dict[str, torch.Tensor]) -> None:
        low, high = self.value_range
        slack = RANGE_TOLERANCE * (high - low)
        ranges = {name: _range(extent) for name, extent in extents.items()}
        if any(lo < low - slack or hi > high + slack for lo, hi in ranges.values()):
            found = " and ".join(f"{name} volumes from {lo:g} to {hi:g}" for name, (lo, hi) in ranges.items())
            raise ValueError(
                f"{found}: both must lie in [{low:g}, {high:g}], the range that feature space {self.features.name} "
                "expects. Compare before any transform back to HU, or rescale both in the same way "
                "(monai.transforms.ScaleIntensityRanged)"
            )

    def _warn_of_narrow_range(self, real: list[float]) -> None:
        low, high = self.value_range
        if real[1] - real[0] <= 0.5 * (high - low):
            logger.warning(
                "the real volumes cover only [%g, %g] of [%g, %g]: are they scaled like the synthetic ones?",
                *(*real, low, high),
            )


class SetMetric(IgniteMetricHandler):
    """A metric with several scores for an engine: `SetMetric(...)["kl_256"]` is the one to attach.

    All parts share one metric, which sees every volume once.

    Args:
        metric_fn: metric whose `aggregate()` is a dictionary of the numbers that its `names` announces.
        output_transform: `engine.state.output` -> (synthetic, real) volumes.
    """

    def __init__(
        self,
        metric_fn: CumulativeIterationMetric,
        output_transform: Callable = from_engine(["pred", "label"]),  # noqa: B008 - a function without state
    ) -> None:
        # save_details is for one score per image; these belong to the whole set.
        super().__init__(metric_fn=metric_fn, output_transform=output_transform, save_details=False)

    def __getitem__(self, name: str) -> MetricsLambda:
        if name not in self.metric_fn.names:
            raise KeyError(
                f"{type(self.metric_fn).__name__} has no {name!r}, choose from {sorted(self.metric_fn.names)}"
            )
        return super().__getitem__(name)


class FeatureDistances(SetMetric):
    """`FeatureDistanceMetric` for an engine: `FeatureDistances(...)["fid"]` is the metric to attach.

    When the distances are computed, `engine.state.feature_spaces[name of the space]` becomes the metric's `summary()`.
    Of a single volume there are none: they are nan, with a warning, so that a training on so little still ends.

    Args:
        features: feature space, see `FeatureDistanceMetric`.
        distances: names of distances, see `FeatureDistanceMetric`.
        output_transform: `engine.state.output` -> (synthetic, real) volumes.
        value_range: range of values, see `FeatureDistanceMetric`.
    """

    def __init__(
        self,
        features: Callable[[torch.Tensor], torch.Tensor],
        distances: Mapping[str, Callable[[torch.Tensor, torch.Tensor], float]] | None = None,
        output_transform: Callable = from_engine(["pred", "label"]),  # noqa: B008 - a function without state
        value_range: tuple[float, float] = (-1.0, 1.0),
    ) -> None:
        super().__init__(FeatureDistanceMetric(features, distances, value_range), output_transform)

    def started(self, engine: Engine) -> None:
        """Reset, and remember the engine: `compute` is not told, and the parts attach this without `attach`."""
        self._engine = engine
        super().started(engine)

    def compute(self) -> dict[str, float]:
        """The distances by name, and the summary into the engine's state."""
        if self.metric_fn.count() == 1:
            logger.warning("a distance between sets needs 2 volumes of each, there is 1: it is nan")
            return dict.fromkeys(self.metric_fn.names, math.nan)
        result = super().compute()
        if self._engine is not None:
            spaces = getattr(self._engine.state, "feature_spaces", {})
            summary = self.metric_fn.summary()
            self._engine.state.feature_spaces = {**spaces, summary["feature_space"]: summary}
        return result


def _extents(volumes: list[torch.Tensor]) -> torch.Tensor:
    """[B, 2]: the least and greatest value of every volume."""
    return torch.stack([torch.stack(volume.aminmax()).float() for volume in volumes])


def _range(extents: torch.Tensor) -> list[float]:
    return [extents[:, 0].min().item(), extents[:, 1].max().item()]


def _describe(extents: torch.Tensor) -> dict[str, Any]:
    return {"volumes": len(extents), "value_range": _range(extents)}
