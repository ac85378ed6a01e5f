"""Every score of one or several models' images against real ones, from the summaries of the sets."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import torch

from tools.evaluation import units
from tools.evaluation.conclusion import conclusion
from tools.evaluation.results import Comparison, Metric, Score, SetFacts, SpaceResult
from tools.evaluation.settings import ComparisonSettings
from tools.evaluation.summary import SetSummary
from tools.evaluation.units import SIGNED, Unit
from tools.features.space import FeatureSpace
from tools.metrics.distances import (
    frechet_distance,
    kernel_distance,
    maximum_mean_discrepancy,
    median_distance,
)
from tools.metrics.inception import inception_score
from tools.metrics.layer_summary import compare_layers
from tools.metrics.layers import LayerScores, beside_baseline, layer_of
from tools.metrics.neighbours import density_coverage, precision_recall
from tools.metrics.uncertainty import (
    bootstrap_interval,
    extrapolated_frechet_distance,
    sample_size_warning,
)

logger = logging.getLogger(__name__)

LEVEL = 0.95

NEIGHBOURS = {"precision_recall": 3, "density_coverage": 5}
"""k, as their authors chose it."""

FEWEST_FOR_INTERVAL = 4

FAR = 2.0
"""Times the real set's own median distance: where a model's bandwidth is more, MMD hardly tells how far it is."""

FAR_APART = (
    "the median distance of these images is many times that of the real set alone; MMD hardly tells how far such sets "
    "are, look at FID and KID, or give all models one bandwidth"
)

HALVES = "real halves"
"""What the real set's own scores are called in warnings."""

Distance = Callable[[np.ndarray, np.ndarray], float]


def compare(
    real: SetSummary,
    models: Mapping[str, SetSummary],
    spaces: Sequence[FeatureSpace] = (),
    settings: ComparisonSettings = ComparisonSettings(),  # noqa: B008 - frozen
    unit: Unit = SIGNED,
) -> Comparison:
    """Scores of every model against the real set, beside those of one half of the real set against the other.

    Args:
        real: summary of the real set, of two images or more.
        models: summary by model, each of two images or more.
        spaces: feature spaces in which the summaries have features.
        settings: settings of the comparison; its layers are those of the summaries.
        unit: unit of the sets, in which warnings speak of values.

    Raises:
        ValueError: a set of fewer than two images, or sets whose slices differ in size.
    """
    sets = {"real": real, **models}
    _check(sets)
    warnings = _warnings(sets, unit)
    layers: dict[str, dict[Metric, LayerScores]] = {}
    for name, model in models.items():
        found = compare_layers(real.split_layers, model.layer_summary)
        layers[name] = {Metric(metric): scores for metric, scores in found.items()}
    described, doubts = {}, _Doubts([space.name for space in spaces])
    for space in spaces:
        described[space.name] = _InSpace(space, real, settings, doubts).result(models)
        if real.positions(space.name) is not None:
            for name, model in models.items():
                layers[name][Metric("fid", space.name)] = _fid_of_layers(space.name, real, model)
    warnings += doubts.sentences()
    for warning in warnings:
        logger.warning("%s", warning)
    return Comparison(
        conclusion(described, layers, {name: model.images for name, model in models.items()}),
        {name: SetFacts(of.images, list(of.shapes), of.value_range) for name, of in sets.items()},
        described,
        layers,
        warnings,
    )


def _check(sets: Mapping[str, SetSummary]) -> None:
    for name, summary in sets.items():
        if summary.images < 2:
            raise ValueError(f"the {name} set has {summary.images} image(s); a distribution needs at least 2")
    sizes = {name: next(iter(summary.shapes))[1:] for name, summary in sets.items()}
    if len(set(sizes.values())) > 1:
        found = ", ".join(f"{name} {h} x {w}" for name, (h, w) in sizes.items())
        raise ValueError(f"the sets have slices of different size ({found}); resample all to one size (image_size)")


def _warnings(sets: Mapping[str, SetSummary], unit: Unit) -> list[str]:
    found = []
    for name, summary in sets.items():
        if summary.constant:
            shown = ", ".join(summary.constant[:5]) + (", ..." if len(summary.constant) > 5 else "")
            found.append(
                f"{len(summary.constant)} of {summary.images} images of {name} have one value throughout ({shown})"
            )
    depths = {name: sorted({shape[0] for shape in summary.shapes}) for name, summary in sets.items()}
    if len({tuple(d) for d in depths.values()}) > 1 or any(len(d) > 1 for d in depths.values()):
        shown = ", ".join(f"{name} {d[0]}" + (f" to {d[-1]}" if len(d) > 1 else "") for name, d in depths.items())
        found.append(
            f"volumes differ in their number of slices ({shown}); layers are parts of equal height of each volume"
        )
    return found + units.doubts({name: _bulk(summary) for name, summary in sets.items()}, unit)


def _bulk(summary: SetSummary) -> tuple[float, float]:
    """1st and 99th percentile of the values in [-1, 1], from the average histogram."""
    whole = summary.layer_summary
    histogram = np.mean([whole.histogram(layer) for layer in range(whole.layers)], axis=0)
    cumulative = np.cumsum(histogram) / histogram.sum()
    low, high = (float(np.searchsorted(cumulative, share) / len(histogram) * 2 - 1) for share in (0.01, 0.99))
    return low, high


class _InSpace:
    """All that is measured in one feature space.

    Args:
        space: feature space.
        real: summary of the real set.
        settings: settings of the comparison.
        doubts: takes what a reader must know.
    """

    def __init__(self, space: FeatureSpace, real: SetSummary, settings: ComparisonSettings, doubts: _Doubts) -> None:
        self.space, self.real, self.settings, self.doubts = space, real, settings, doubts
        features = real.features(space.name)
        self.normalise = space.normaliser(features)
        self.features = np.asarray(self.normalise(features))
        self.missing = partial(doubts.add, space.name)
        self.bandwidth = self._bandwidth(self.features, HALVES)
        first = real.in_first(space.name)
        self.baseline = self._values(_distances(self.bandwidth), self.features[first], self.features[~first], HALVES)
        if (own := self._inception_score(real)) is not None:
            self.baseline["inception_score"] = own

    def result(self, models: Mapping[str, SetSummary]) -> SpaceResult:
        """Baseline and scores of all models."""
        measured = {name: self._scores(name, model) for name, model in models.items()}
        return SpaceResult(self.space.note, self.space.rows, self.features.shape[1], self.baseline, measured)

    def _scores(self, name: str, model: SetSummary) -> dict[str, Score]:
        """Scores of one model by metric."""
        settings, real = self.settings, self.features
        rows = np.asarray(self.normalise(model.features(self.space.name)))
        groups = {
            "groups_real": self.real.groups(self.space.name),
            "groups_synthetic": model.groups(self.space.name),
        }
        enough = min(self.real.images, model.images) >= FEWEST_FOR_INTERVAL
        if settings.resamples and not enough:
            self.missing(f"there are no intervals, which take {FEWEST_FOR_INTERVAL} images or more in each set", name)
        width = self._bandwidth(np.concatenate([real, rows]), name)
        if self.bandwidth and width and width > FAR * self.bandwidth:
            self.missing(FAR_APART, f"{name} {width / self.bandwidth:.1f} times")
        distances = _distances(width)
        values = self._values(distances, real, rows, name)
        ends: dict[str, tuple[float, float]] = {}
        if settings.resamples and enough:
            options = {"resamples": settings.resamples, "level": LEVEL, "seed": settings.seed, **groups}
            ends = {metric: bootstrap_interval(of, real, rows, **options) for metric, of in distances.items()}
        if (text := sample_size_warning(real, rows)) is not None:
            self.doubts.few(self.space.name, name, text)
        try:
            values["fid_extrapolated"] = extrapolated_frechet_distance(real, rows, seed=settings.seed, **groups)
        except ValueError as error:
            self.missing(str(error), name)
        if (own := self._inception_score(model)) is not None:
            values["inception_score"] = own
        return {
            metric: Score(
                value,
                self.baseline.get(metric),
                *ends.get(metric, (None, None)),
                bandwidth=width if metric == "mmd" else None,
            )
            for metric, value in values.items()
        }

    def _bandwidth(self, rows: np.ndarray, name: str) -> float | None:
        """Bandwidth of MMD's kernel: what is given, or the samples' median distance; None if they are all alike."""
        if self.settings.bandwidth is not None:
            return self.settings.bandwidth
        try:
            return median_distance(rows)
        except ValueError:
            self.missing("MMD needs images that differ, most of these have the same features", name)
            return None

    def _values(
        self, distances: Mapping[str, Distance], real: np.ndarray, synthetic: np.ndarray, name: str
    ) -> dict[str, float]:
        """Distances and neighbourhood scores. What a set is too small for is left out, with the reason."""
        values = {}
        fewest = min(len(real), len(synthetic))
        if fewest < 2:
            return values
        values.update({metric: distance(real, synthetic) for metric, distance in distances.items()})
        for function in (precision_recall, density_coverage):
            k = NEIGHBOURS[function.__name__]
            if fewest > k:
                values.update(function(real, synthetic, k)._asdict())
            else:
                what = function.__name__.replace("_", " and ")
                self.missing(f"{what} look at {k} neighbours and need more samples than that", name)
        return values

    def _inception_score(self, of: SetSummary) -> float | None:
        """None in a space that knows no classes."""
        probabilities = self.space.probabilities(torch.from_numpy(of.features(self.space.name)))
        return None if probabilities is None else inception_score(probabilities.double().numpy())


def _distances(bandwidth: float | None) -> dict[str, Distance]:
    """The distances by name; MMD where it has a bandwidth."""
    if bandwidth is None:
        return {"fid": frechet_distance, "kid": kernel_distance}
    mmd = partial(maximum_mean_discrepancy, bandwidth=bandwidth)
    return {"fid": frechet_distance, "mmd": mmd, "kid": kernel_distance}


def _fid_of_layers(space: str, real: SetSummary, model: SetSummary) -> LayerScores:
    """FID of the slices of every layer."""
    count = real.layer_summary.layers
    of_real, first, of_model = real.features(space), real.in_first(space), model.features(space)
    places, model_places = real.positions(space), model.positions(space)

    def in_layer(positions: np.ndarray, layer: int) -> np.ndarray:
        axial = np.isfinite(positions)
        return axial & (layer_of(np.where(axial, positions, 0), count) == layer)

    def fid(a: np.ndarray, b: np.ndarray) -> float:
        return frechet_distance(a, b) if min(len(a), len(b)) > 1 else np.nan

    scores, baseline = [], []
    for layer in range(count):
        here = in_layer(places, layer)
        scores.append(fid(of_real[here], of_model[in_layer(model_places, layer)]))
        baseline.append(fid(of_real[here & first], of_real[here & ~first]))
    return beside_baseline(scores, baseline)


class _Doubts:
    """What a reader must know of the numbers: each reason once, with the models and feature spaces that it is about."""

    def __init__(self, spaces: Sequence[str]) -> None:
        self.spaces = list(spaces)
        self.found: dict[str, dict[str, list[str]]] = {}
        self.small: dict[str, dict[str, str]] = {}

    def add(self, space: str, reason: str, name: str) -> None:
        """A reason that a model has in a space."""
        self.found.setdefault(reason, {}).setdefault(space, []).append(name)

    def few(self, space: str, name: str, text: str) -> None:
        """A model, or the real set, has few samples for a space."""
        self.small.setdefault(space, {})[name] = text

    def sentences(self) -> list[str]:
        """All of it."""
        found = [f"{reason} ({self._places(where)})" for reason, where in self.found.items()]
        if not self.small:
            return found
        space, models = next(iter(self.small.items()))
        (name, text), *others = models.items()
        rest = {space: [other for other, _ in others]} if others else {}
        rest |= {other: list(names) for other, names in self.small.items() if other != space}
        same = f" The same holds for {self._places(rest)}." if rest else ""
        return [f"{space}, {name}: {text}{same}", *found]

    def _places(self, where: Mapping[str, list[str]]) -> str:
        """ "a, b" where that is so in every space, else "a in X; b in Y, Z"."""
        by_names: dict[str, list[str]] = {}
        for space, names in where.items():
            by_names.setdefault(", ".join(dict.fromkeys(names)), []).append(space)
        if len(by_names) == 1 and len(where) == len(self.spaces):
            return next(iter(by_names))
        return "; ".join(f"{names} in {', '.join(spaces)}" for names, spaces in by_names.items())
