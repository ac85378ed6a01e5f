"""The report of a comparison: `report.json`, `report.csv` and `report.html`, a page that needs no other file."""

from __future__ import annotations

import itertools
import logging
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tools.evaluation.page import csv_text, json_text, number_text, page, versions, write_text
from tools.evaluation.plots import histograms_plot, layers_plot, png, spectrum_picture
from tools.evaluation.results import Comparison, Metric, Score, SetFacts, SpaceResult
from tools.evaluation.summary import SetSummary
from tools.evaluation.units import SIGNED, Unit
from tools.metrics.diversity import Diversity
from tools.metrics.labels import Statistic
from tools.metrics.layers import LayerScores
from tools.transforms.flat import is_flat

logger = logging.getLogger(__name__)

NAMES = {
    "fid": "FID",
    "fid_extrapolated": "FID, endless samples",
    "mmd": "MMD",
    "kid": "KID",
    "precision": "precision",
    "recall": "recall",
    "density": "density",
    "coverage": "coverage",
    "inception_score": "inception score",
    "kl_256": "KL divergence, 256 bins",
    "kl_3": "KL divergence, 3 bins",
    "correlation": "histogram correlation",
    "intersection": "histogram intersection",
    "spectral_correlation": "spectral correlation",
}
SMALLER_IS_BETTER = ("fid", "mmd", "kid", "kl_256", "kl_3")

PICTURED = 3
"""Images of every set in the montage."""

VERSIONS = ("torch", "monai", "numpy", "scipy")


@dataclass(frozen=True)
class Row:
    """One number of `report.csv`, whose columns are these.

    Attributes:
        images: model, set or method.
        metric: name of the score.
        feature_space: space that it is taken in.
        layer: number of the axial layer from 1 at the feet, or "average".
        value: score.
        low: lower end of its interval.
        high: upper end.
        real_against_real: score of one half of the real images against the other.
        ratio: value over that.
    """

    images: str
    metric: str
    feature_space: str | None = None
    layer: int | str | None = None
    value: float | None = None
    low: float | None = None
    high: float | None = None
    real_against_real: float | None = None
    ratio: float | None = None


COLUMNS = tuple(column.name for column in fields(Row))


@dataclass(frozen=True)
class Report:
    """All that a report says.

    Attributes:
        comparison: scores of the sets.
        sets: summaries that it was made of, "real" first.
        settings: settings of the measurement, for the reader.
        truth: errors by method and metric, where the truth is known.
        diversity: MS-SSIM within the sets.
        warnings: further sentences for the reader, after the comparison's.
        unit: unit of the sets, which grey values are shown in.
        title: title of the page.
        labels: statistics of the labels of samples by their names.
    """

    comparison: Comparison
    sets: Mapping[str, SetSummary]
    settings: Mapping[str, Any] = field(default_factory=dict)
    truth: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    diversity: Mapping[str, Diversity] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    unit: Unit = SIGNED
    title: str = "Synthetic against real images"
    labels: Mapping[str, Statistic] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """The content of `report.json`."""
        comparison = self.comparison.record()
        return {
            "title": self.title,
            "conclusion": self.comparison.conclusion,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "settings": dict(self.settings),
            "versions": versions(*VERSIONS),
            **comparison,
            "warnings": [*comparison["warnings"], *self.warnings],
            "diversity": {name: found._asdict() for name, found in self.diversity.items()},
            "truth": {method: dict(numbers) for method, numbers in self.truth.items()},
            **({"labels": {name: found._asdict() for name, found in self.labels.items()}} if self.labels else {}),
        }


def write_report(output_dir: str | os.PathLike, report: Report) -> None:
    """Write the three files, each as a whole, and say in the log what came out.

    Args:
        output_dir: folder, made if need be.
        report: content of the files.
    """
    output_dir = Path(output_dir)
    record = report.record()
    write_text(output_dir / "report.json", json_text(record))
    write_text(output_dir / "report.csv", csv_text(COLUMNS, map(astuple, _rows(report))))
    write_text(output_dir / "report.html", _page(report, record))
    logger.info("%s", report.comparison.conclusion)
    logger.info("wrote report.json, report.csv and report.html to %s", output_dir)


def _rows(report: Report) -> list[Row]:
    """One row per number."""
    rows = []
    for name, space in report.comparison.spaces.items():
        for model, scores in space.models.items():
            for metric, s in scores.items():
                rows.append(Row(model, metric, name, None, s.value, s.low, s.high, s.baseline, s.ratio_of(metric)))
    for model, metrics in report.comparison.layers.items():
        for (metric, space), found in metrics.items():
            numbers = zip(found.scores, found.baseline, found.ratios, strict=True)
            for layer, (score, own, ratio) in enumerate(numbers, start=1):
                rows.append(Row(model, metric, space, layer, score, real_against_real=own, ratio=ratio))
            averages = {"real_against_real": found.baseline_average, "ratio": found.average_ratio}
            rows.append(Row(model, metric, space, "average", found.average, **averages))
    rows += [Row(name, "ms_ssim", value=found.ms_ssim) for name, found in report.diversity.items()]
    for name, of in report.labels.items():
        for model in report.comparison.layers:
            floor = of.real_against_real
            ratio = of.distance / floor if floor > 0 else None
            rows.append(Row(model, f"labels, {name}", value=of.distance, real_against_real=floor, ratio=ratio))
    for method, metrics in report.truth.items():
        rows += [Row(method, f"truth_{metric}", value=value) for metric, value in metrics.items()]
    return rows


def _page(report: Report, record: Mapping[str, Any]) -> str:
    comparison, sets = report.comparison, report.sets
    models = list(comparison.layers)
    scores = list(dict.fromkeys(metric for found in comparison.layers.values() for metric in found))
    layer_count = len(next(iter(comparison.layers[models[0]].values())).scores)
    measured = any(
        score.low is not None
        for space in comparison.spaces.values()
        for found in space.models.values()
        for score in found.values()
    )
    return page(
        Path(__file__).with_name("report.html.j2"),
        title=report.title,
        date=record["date"].replace("T", " ").replace("+00:00", " UTC"),
        conclusion=comparison.conclusion,
        summary=_summary(comparison.sets, report.unit),
        warnings=record["warnings"],
        space_tables=[_space_table(name, space) for name, space in comparison.spaces.items()],
        space_notes=_space_notes(comparison.spaces),
        intervals="Small figures below a distance are its 95 percent interval by resampling images."
        if measured
        else "",
        diversity=_diversity_rows(report.diversity),
        labels=_label_rows(report.labels),
        truth=_truth_table(report.truth),
        layer_count=layer_count,
        models=models,
        layer_rows=[_layer_row(metric, comparison.layers) for metric in scores],
        layer_plots=[_layer_plot(metric, comparison.layers) for metric in scores] if layer_count > 1 else [],
        views=list(dict.fromkeys(view for of in sets.values() for views in of.views.values() for view in views)),
        montage=_montage(sets),
        histograms=histograms_plot({name: of.layer_summary for name, of in sets.items()}, report.unit),
        spectra=[
            {"name": name, "src": src}
            for name, of in sets.items()
            if (src := spectrum_picture(of.layer_summary)) is not None
        ],
        settings=[(k, _shown(v)) for k, v in (record["settings"] | record["versions"]).items()],
    )


def _summary(sets: Mapping[str, SetFacts], unit: Unit) -> str:
    counts = ", ".join(
        f"{name}: {facts.images} images from {_ends(facts.value_range, unit)}" for name, facts in sets.items()
    )
    shapes = {tuple(shape) for facts in sets.values() for shape in facts.shapes}
    if len(shapes) > 1:
        return f"{counts}, of {len(shapes)} sizes."
    shape = shapes.pop()
    return f"{counts}, each {' x '.join(str(n) for n in (shape[1:] if is_flat(shape) else shape))}."


def _ends(values: Sequence[float], unit: Unit) -> str:
    low, high = (number_text(value) for value in values)
    return f"{low} to {high} HU" if unit.name == "HU" else f"{low} to {high}"


def _space_notes(spaces: Mapping[str, SpaceResult]) -> list[str]:
    """What must be known of feature spaces, each note once with the spaces that it is of."""
    notes: dict[str, list[str]] = {}
    for name, space in spaces.items():
        if space.note:
            notes.setdefault(space.note, []).append(name)
    return [f"{', '.join(names)}: {note}." for note, names in notes.items()]


def _space_table(name: str, space: SpaceResult) -> dict[str, Any]:
    metrics = [metric for metric in NAMES if any(metric in scores for scores in space.models.values())]
    rows = [{"name": "real", "real": True, "cells": [{"value": number_text(space.baseline.get(m))} for m in metrics]}]
    for model, scores in space.models.items():
        rows.append({"name": model, "cells": [_cell(metric, scores.get(metric)) for metric in metrics]})
    return {"space": name, "columns": [NAMES[m] for m in metrics], "rows": rows}


def _cell(metric: str, score: Score | None) -> dict[str, str]:
    if score is None:
        return {"value": number_text(None), "interval": ""}
    if score.low is None:
        return {"value": number_text(score.value), "interval": ""}
    low = max(score.low, 0.0) if metric == "fid" else score.low  # an interval knows no ends of a scale
    return {"value": number_text(score.value), "interval": f"{number_text(low)} to {number_text(score.high)}"}


Layers = Mapping[str, Mapping[Metric, LayerScores]]


def _layer_row(metric: Metric, layers: Layers) -> dict[str, Any]:
    found = [scores[metric] for scores in layers.values()]
    return {
        "name": _layer_name(metric),
        "baseline": number_text(found[0].baseline_average),
        "cells": [f"{number_text(of.average)} ({number_text(of.average_ratio)})" for of in found],
        "better": "smaller" if metric.name in SMALLER_IS_BETTER else "larger",
    }


def _layer_plot(metric: Metric, layers: Layers) -> dict[str, str]:
    name = _layer_name(metric)
    ratios = {model: scores[metric].ratios for model, scores in layers.items()}
    if any(map(math.isfinite, itertools.chain(*ratios.values()))):
        svg = layers_plot(ratios, "ratio to real against real", 1.0)
    else:
        # no baseline to divide by: the scores themselves
        svg = layers_plot({model: scores[metric].scores for model, scores in layers.items()}, "score")
    averages = ", ".join(f"{model} {number_text(scores[metric].average)}" for model, scores in layers.items())
    return {"title": name, "alt": f"{name} over layers; averages: {averages}", "svg": svg}


def _montage(sets: Mapping[str, SetSummary]) -> list[dict[str, Any]]:
    return [
        {"set": name, "image": image, "cells": [{"view": view, "src": png(shown)} for view, shown in views.items()]}
        for name, of in sets.items()
        for image, views in list(of.views.items())[:PICTURED]
    ]


def _diversity_rows(diversity: Mapping[str, Diversity]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "real": name == "real",
            "value": number_text(d.ms_ssim),
            "std": number_text(d.std),
            "pairs": d.pairs,
        }
        for name, d in diversity.items()
    ]


def _label_rows(labels: Mapping[str, Statistic]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "real": f"{number_text(of.real)} ± {number_text(of.real_std)}",
            "synthetic": f"{number_text(of.synthetic)} ± {number_text(of.synthetic_std)}",
            "floor": number_text(of.real_against_real),
            "distance": number_text(of.distance),
        }
        for name, of in labels.items()
    ]


def _truth_table(truth: Mapping[str, Mapping[str, float]]) -> dict[str, Any] | None:
    if not truth:
        return None
    names = list(dict.fromkeys(name for numbers in truth.values() for name in numbers))
    rows = [
        {"name": name.replace("_", " "), "cells": [number_text(numbers.get(name)) for numbers in truth.values()]}
        for name in names
    ]
    note = (
        "Means over images. mae and me: mean absolute and mean error, synthetic minus true; path length mm: mean "
        "absolute difference of water-equivalent path length along beams; through plane change: relative to that of "
        "the truth."
    )
    return {"methods": [m.replace("_", " ") for m in truth], "rows": rows, "note": note}


def _layer_name(metric: Metric) -> str:
    return NAMES.get(metric.name, metric.name) + (f", {metric.space}" if metric.space else "")


def _shown(value: Any) -> str:
    return ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, Mapping) else str(value)
