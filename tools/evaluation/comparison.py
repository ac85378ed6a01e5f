"""Every score of one or several models' images against real ones, from the profiles of the sets."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from tools.evaluation.conclusion import conclusion
from tools.evaluation.profile import SetProfile
from tools.evaluation.unit import SIGNED, Unit
from tools.features.space import FeatureSpace
from tools.metrics.distances import (
    frechet_distance,
    kernel_distance,
    maximum_mean_discrepancy,
    median_distance,
)
from tools.metrics.inception import inception_score
from tools.metrics.layer_profile import beside_baseline, compare_layers
from tools.metrics.layers import layer_of
from tools.metrics.neighbours import density_coverage, precision_recall
from tools.metrics.uncertainty import (
    bootstrap_interval,
    extrapolated_frechet_distance,
    sample_size_warning,
)

logger = logging.getLogger(__name__)

LEVEL = 0.95
RANGE_GAP = 0.25
"""Share of [-1, 1] by which the bulk of two sets' values may differ before a reader is warned."""

NEIGHBOURS = {"precision_recall": 3, "density_coverage": 5}
"""k, as their authors chose it."""

FEWEST_FOR_INTERVAL = 4

FAR = 2.0
"""Times the real set's own median distance: where a model's bandwidth is more, MMD hardly tells how far it is."""

FAR_APART = (
    "the median distance of these images is many times that of the real set alone; MMD hardly tells how far such sets "
    "are, look at FID and KID, or give all models one bandwidth"
)

Distance = Callable[[np.ndarray, np.ndarray], float]


def compare(
    real: SetProfile,
    models: Mapping[str, SetProfile],
    spaces: Sequence[FeatureSpace] = (),
    resamples: int = 0,
    seed: int = 0,
    bandwidth: float | None = None,
    unit: Unit = SIGNED,
) -> dict[str, Any]:
    """Scores of every model against the real set, beside those of one half of the real set against the other.

    Args:
        real: profile of the real set, of two images or more.
        models: name -> profile of its images, two or more.
        spaces: the feature spaces of the profiles.
        resamples: number of bootstrap samples for intervals of the distances; 0 for none.
        seed: seed of the draws for intervals and extrapolation.
        bandwidth: bandwidth of the MMD's kernel, one for all models. None, the papers' way, takes for each model the
            median distance between the samples of the real set and its own, so that its MMD depends on nothing else in
            the report; a warning names a model so far from the real set that this hardly says how far.
        unit: unit of the sets, in which warnings speak of values.

    Returns:
        The content of `report.json`:

        - "conclusion": what came out, see `tools.evaluation.conclusion.conclusion`;
        - "sets": name -> images, shapes, value_range (in the set's own unit);
        - "spaces": name -> note, rows, dimensions, "baseline" (metric -> value for the halves of the real set, each of
          half the size, which raises a FID) and "models": name -> metric -> value, and for distances low and high, the
          ends of a 95 percent interval, and ratio, value / baseline, and for "mmd" its bandwidth;
        - "layers": model -> score -> see `tools.metrics.layer_profile.compare_layers`, and "fid [space]" for spaces of
          slices;
        - "warnings": sentences for the reader, each once for all feature spaces.

    Raises:
        ValueError: a set of fewer than two images, or sets whose slices differ in size.
    """
    sets = {"real": real, **models}
    _check(sets)
    warnings = _warnings(sets, unit)
    layers = {name: compare_layers(real.half_profiles, model.layer_profile) for name, model in models.items()}
    described, doubts = {}, _Doubts([space.name for space in spaces])
    for space in spaces:
        described[space.name] = _in_space(space, real, models, resamples, seed, bandwidth, doubts)
        if real.positions(space.name) is not None:
            for name, model in models.items():
                layers[name][f"fid [{space.name}]"] = _fid_of_layers(space.name, real, model)
    warnings += doubts.sentences()
    for warning in warnings:
        logger.warning("%s", warning)
    return {
        "conclusion": conclusion(described, layers, {name: model.images for name, model in models.items()}),
        "sets": {
            name: {
                "images": profile.images,
                "shapes": [list(shape) for shape in profile.shapes],
                "value_range": list(profile.value_range),
            }
            for name, profile in sets.items()
        },
        "spaces": described,
        "layers": layers,
        "warnings": warnings,
    }


def _check(sets: Mapping[str, SetProfile]) -> None:
    for name, profile in sets.items():
        if profile.images < 2:
            raise ValueError(f"the {name} set has {profile.images} image(s); a distribution needs at least 2")
    sizes = {name: next(iter(profile.shapes))[1:] for name, profile in sets.items()}
    if len(set(sizes.values())) > 1:
        found = ", ".join(f"{name} {h} x {w}" for name, (h, w) in sizes.items())
        raise ValueError(f"the sets have slices of different size ({found}); resample all to one size (image_size)")


def _warnings(sets: Mapping[str, SetProfile], unit: Unit) -> list[str]:
    found = []
    for name, profile in sets.items():
        if profile.constant:
            shown = ", ".join(profile.constant[:5]) + (", ..." if len(profile.constant) > 5 else "")
            found.append(
                f"{len(profile.constant)} of {profile.images} images of {name} have one value throughout ({shown})"
            )
    depths = {name: sorted({shape[0] for shape in profile.shapes}) for name, profile in sets.items()}
    if len({tuple(d) for d in depths.values()}) > 1 or any(len(d) > 1 for d in depths.values()):
        shown = ", ".join(f"{name} {d[0]}" + (f" to {d[-1]}" if len(d) > 1 else "") for name, d in depths.items())
        found.append(
            f"volumes differ in their number of slices ({shown}); layers are parts of equal height of each volume"
        )
    bulk = {name: _bulk(profile) for name, profile in sets.items()}
    for name, ends in bulk.items():
        gap = max(abs(a - b) for a, b in zip(ends, bulk["real"], strict=True))
        if gap > 2 * RANGE_GAP:
            found.append(
                f"most values of {name} lie between {unit.between(*ends)}, and those of the real set between "
                f"{unit.between(*bulk['real'])}: are both in one unit?"
            )
    return found


def _bulk(profile: SetProfile) -> tuple[float, float]:
    """1st and 99th percentile of the values in [-1, 1], from the average histogram."""
    whole = profile.layer_profile
    histogram = np.mean([whole.histogram(layer) for layer in range(whole.layers)], axis=0)
    cumulative = np.cumsum(histogram) / histogram.sum()
    return tuple(float(np.searchsorted(cumulative, share) / len(histogram) * 2 - 1) for share in (0.01, 0.99))


def _in_space(
    space: FeatureSpace,
    real: SetProfile,
    models: Mapping[str, SetProfile],
    resamples: int,
    seed: int,
    bandwidth: float | None,
    doubts: _Doubts,
) -> dict[str, Any]:
    """All that is measured in one feature space."""
    of_real, groups = real.features(space.name), real.groups(space.name)
    by = getattr(space, "normalise_by", None)
    normalise = (lambda rows: rows) if by is None else by(of_real)
    of_real = np.asarray(normalise(of_real))
    of_models = {name: np.asarray(normalise(model.features(space.name))) for name, model in models.items()}
    first = real.half(space.name)
    missing = partial(doubts.add, space.name)
    own = _bandwidth(bandwidth, of_real, "real halves", missing)
    baseline = _values(_distances(own), of_real[first], of_real[~first], "real halves", missing)
    measured = {}
    for name, model in models.items():
        enough = min(real.images, model.images) >= FEWEST_FOR_INTERVAL
        if resamples and not enough:
            reason = f"there are no intervals, which take {FEWEST_FOR_INTERVAL} images or more in each set"
            missing(reason, name)
        rows = of_models[name]
        width = _bandwidth(bandwidth, np.concatenate([of_real, rows]), name, missing)
        if own and width and width > FAR * own:
            missing(FAR_APART, f"{name} {width / own:.1f} times")
        distances = _distances(width)
        values = _values(distances, of_real, rows, name, missing)
        result: dict[str, dict[str, float | None]] = {m: {"value": v} for m, v in values.items()}
        for metric, distance in distances.items():
            halves = baseline.get(metric, math.nan)
            result[metric]["ratio"] = values[metric] / halves if halves > 0 else None
            if resamples and enough:
                low, high = bootstrap_interval(
                    distance,
                    of_real,
                    rows,
                    resamples=resamples,
                    level=LEVEL,
                    seed=seed,
                    groups_real=groups,
                    groups_synthetic=model.groups(space.name),
                )
                result[metric] |= {"low": low, "high": high}
        if width is not None:
            result["mmd"]["bandwidth"] = width
        if (text := sample_size_warning(of_real, rows)) is not None:
            doubts.few(space.name, name, text)
        try:
            endless = extrapolated_frechet_distance(
                of_real, rows, seed=seed, groups_real=groups, groups_synthetic=model.groups(space.name)
            )
            result["fid_extrapolated"] = {"value": endless}
        except ValueError as error:
            missing(str(error), name)
        if hasattr(space, "probabilities"):
            probabilities = space.probabilities(torch.from_numpy(model.features(space.name)))
            result["inception_score"] = {"value": inception_score(probabilities.double().numpy())}
        measured[name] = result
    if hasattr(space, "probabilities"):
        probabilities = space.probabilities(torch.from_numpy(real.features(space.name)))
        baseline["inception_score"] = inception_score(probabilities.double().numpy())
    return {
        "note": getattr(space, "note", ""),
        "rows": getattr(space, "rows", "volume"),
        "dimensions": of_real.shape[1],
        "mmd_estimator": "unbiased",
        "mmd_kernel": "exp(-d^2 / bandwidth^2)",
        "baseline": baseline,
        "models": measured,
    }


def _bandwidth(given: float | None, rows: np.ndarray, name: str, missing: Callable[[str, str], None]) -> float | None:
    """Bandwidth of the MMD's kernel: that given, or the median distance of the samples; None where all are alike."""
    if given is not None:
        return given
    try:
        return median_distance(rows)
    except ValueError:
        missing("MMD needs images that differ, most of these have the same features", name)
        return None


def _distances(bandwidth: float | None) -> dict[str, Distance]:
    """The distances by name; MMD where it has a bandwidth."""
    if bandwidth is None:
        return {"fid": frechet_distance, "kid": kernel_distance}
    mmd = partial(maximum_mean_discrepancy, bandwidth=bandwidth)
    return {"fid": frechet_distance, "mmd": mmd, "kid": kernel_distance}


def _values(
    distances: Mapping[str, Distance],
    real: np.ndarray,
    synthetic: np.ndarray,
    name: str,
    missing: Callable[[str, str], None],
) -> dict[str, float]:
    """Distances and neighbourhood scores. What a set is too small for is left out; `missing` says why and where."""
    values = {}
    if min(len(real), len(synthetic)) < 2:
        return values
    values.update({name: distance(real, synthetic) for name, distance in distances.items()})
    for function in (precision_recall, density_coverage):
        k = NEIGHBOURS[function.__name__]
        if min(len(real), len(synthetic)) > k:
            values.update(function(real, synthetic, k)._asdict())
        else:
            what = function.__name__.replace("_", " and ")
            missing(f"{what} look at {k} neighbours and need more samples than that", name)
    return values


def _fid_of_layers(space: str, real: SetProfile, model: SetProfile) -> dict[str, Any]:
    """FID of the slices of every layer, laid out as by `compare_layers`."""
    count = real.layer_profile.layers
    of_real, first, of_model = real.features(space), real.half(space), model.features(space)
    places, model_places = real.positions(space), model.positions(space)

    def in_layer(positions: np.ndarray, layer: int) -> np.ndarray:
        axial = np.isfinite(positions)
        return axial & (layer_of(np.where(axial, positions, 0), count) == layer)

    def fid(a: np.ndarray, b: np.ndarray) -> float:
        return frechet_distance(a, b) if min(len(a), len(b)) > 1 else math.nan

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
