"""The report of a comparison: `report.json`, `report.csv` and `report.html`, a page that needs no other file."""

from __future__ import annotations

import csv
import io
import json
import logging
import math
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader

from tools.evaluation.plots import histograms_plot, layers_plot, png, spectrum_picture
from tools.evaluation.profile import SetProfile
from tools.evaluation.unit import SIGNED, Unit
from tools.evaluation.views import VIEWS
from tools.files import whole_file

logger = logging.getLogger(__name__)

COLUMNS = ("images", "metric", "feature_space", "layer", "value", "low", "high", "real_against_real", "ratio")

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


def write_report(
    output_dir: str | os.PathLike,
    comparison: Mapping[str, Any],
    sets: Mapping[str, SetProfile],
    settings: Mapping[str, Any],
    truth: Mapping[str, Mapping[str, float]] | None = None,
    diversity: Mapping[str, Mapping[str, float]] | None = None,
    title: str = "Synthetic against real images",
    unit: Unit = SIGNED,
) -> None:
    """Write the three files, each as a whole, and say in the log what came out.

    Args:
        output_dir: folder of the report, made if need be.
        comparison: result of `tools.evaluation.comparison.compare`.
        sets: the profiles it was made of, "real" first.
        settings: settings of the measurement, for the reader.
        truth: method -> metric -> value, where the truth is known.
        diversity: set -> fields of `tools.metrics.diversity.Diversity`.
        title: title of the page.
        unit: unit of the sets, in which grey values are shown.
    """
    output_dir = Path(output_dir)
    report = {
        "title": title,
        "conclusion": comparison["conclusion"],
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "settings": dict(settings),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in VERSIONS}},
        **comparison,
        "diversity": dict(diversity or {}),
        "truth": dict(truth or {}),
    }
    _write(output_dir / "report.json", json.dumps(_plain(report), indent=2, allow_nan=False) + "\n")
    _write(output_dir / "report.csv", _csv(_rows(report)))
    _write(output_dir / "report.html", _page(report, sets, unit))
    logger.info("%s", comparison["conclusion"])
    logger.info("wrote report.json, report.csv and report.html to %s", output_dir)


def _rows(report: Mapping[str, Any]) -> list[tuple]:
    """One row per number, see `COLUMNS`."""
    rows = []
    for space, content in report["spaces"].items():
        baseline = content["baseline"]
        for model, metrics in content["models"].items():
            for metric, number in metrics.items():
                own = baseline.get(metric)
                rows.append(
                    (
                        model,
                        metric,
                        space,
                        None,
                        *(number.get(k) for k in ("value", "low", "high")),
                        own,
                        number.get("ratio"),
                    )
                )
    for model, scores in report["layers"].items():
        for metric, result in scores.items():
            name, space = _split(metric)
            layers = zip(result["scores"], result["baseline"], result["ratios"], strict=True)
            for layer, (score, own, ratio) in enumerate(layers, start=1):
                rows.append((model, name, space, layer, score, None, None, own, ratio))
            averages = (result["average"], None, None, result["baseline_average"], result["average_ratio"])
            rows.append((model, name, space, "average", *averages))
    for name, diversity in report["diversity"].items():
        rows.append((name, "ms_ssim", None, None, diversity["ms_ssim"], None, None, None, None))
    for method, metrics in report["truth"].items():
        rows += [(method, f"truth_{k}", None, None, value, None, None, None, None) for k, value in metrics.items()]
    return rows


def _csv(rows: list[tuple]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(["" if value is None else value for value in row] for row in rows)
    return text.getvalue()


def _page(report: Mapping[str, Any], sets: Mapping[str, SetProfile], unit: Unit) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    models = list(report["layers"])
    scores = list(dict.fromkeys(metric for model in report["layers"].values() for metric in model))
    measured = any(
        "low" in m for s in report["spaces"].values() for model in s["models"].values() for m in model.values()
    )
    return environment.get_template("report.html.j2").render(
        title=report["title"],
        date=report["date"].replace("T", " ").replace("+00:00", " UTC"),
        conclusion=report["conclusion"],
        summary=_summary(report, unit),
        warnings=report["warnings"],
        space_tables=[_space_table(name, space) for name, space in report["spaces"].items()],
        space_notes=_space_notes(report["spaces"]),
        intervals="Small figures below a distance are its 95 percent interval by resampling images."
        if measured
        else "",
        diversity=_diversity_rows(report["diversity"]),
        truth=_truth_table(report["truth"]),
        layer_count=len(next(iter(report["layers"][models[0]].values()))["scores"]),
        models=models,
        layer_rows=[_layer_row(metric, report["layers"]) for metric in scores],
        layer_plots=[_layer_plot(metric, report["layers"]) for metric in scores],
        views=VIEWS,
        montage=_montage(sets),
        histograms=histograms_plot({name: profile.layer_profile for name, profile in sets.items()}, unit),
        spectra=[
            {"name": name, "src": src}
            for name, profile in sets.items()
            if (src := spectrum_picture(profile.layer_profile)) is not None
        ],
        settings=[(k, _shown(v)) for k, v in (report["settings"] | report["versions"]).items()],
    )


def _summary(report: Mapping[str, Any], unit: Unit) -> str:
    counts = ", ".join(
        f"{name}: {described['images']} images from {_ends(described['value_range'], unit)}"
        for name, described in report["sets"].items()
    )
    shapes = {tuple(shape) for described in report["sets"].values() for shape in described["shapes"]}
    if len(shapes) == 1:
        return f"{counts}, each {' x '.join(str(n) for n in shapes.pop())}."
    return f"{counts}, of {len(shapes)} sizes."


def _ends(values: Sequence[float], unit: Unit) -> str:
    low, high = (_number(value) for value in values)
    return f"{low} to {high} HU" if unit.name == "HU" else f"{low} to {high}"


def _space_notes(spaces: Mapping[str, Any]) -> list[str]:
    """Return what must be known of feature spaces, each note once with the spaces that it is of."""
    notes: dict[str, list[str]] = {}
    for name, space in spaces.items():
        if space["note"]:
            notes.setdefault(space["note"], []).append(name)
    return [f"{', '.join(names)}: {note}." for note, names in notes.items()]


def _space_table(name: str, space: Mapping[str, Any]) -> dict[str, Any]:
    metrics = [m for m in NAMES if any(m in model for model in space["models"].values())]
    rows = [{"name": "real", "real": True, "cells": [{"value": _number(space["baseline"].get(m))} for m in metrics]}]
    for model, numbers in space["models"].items():
        cells = []
        for metric in metrics:
            number = numbers.get(metric, {})
            low, high = number.get("low"), number.get("high")
            low = max(low, 0.0) if low is not None and metric == "fid" else low  # an interval knows no ends of a scale
            interval = f"{_number(low)} to {_number(high)}" if low is not None else ""
            cells.append({"value": _number(number.get("value")), "interval": interval})
        rows.append({"name": model, "cells": cells})
    return {"space": name, "columns": [NAMES[m] for m in metrics], "rows": rows}


def _layer_row(metric: str, layers: Mapping[str, Any]) -> dict[str, Any]:
    results = [model[metric] for model in layers.values()]
    cells = [f"{_number(r['average'])} ({_number(r['average_ratio'])})" for r in results]
    better = "smaller" if _split(metric)[0] in SMALLER_IS_BETTER else "larger"
    return {
        "name": _layer_name(metric),
        "baseline": _number(results[0]["baseline_average"]),
        "cells": cells,
        "better": better,
    }


def _layer_plot(metric: str, layers: Mapping[str, Any]) -> dict[str, str]:
    name = _layer_name(metric)
    ratios = {model: scores[metric]["ratios"] for model, scores in layers.items()}
    if any(value is not None for curve in ratios.values() for value in curve):
        svg = layers_plot(ratios, "ratio to real against real", 1.0)
    else:
        # no baseline to divide by: the scores themselves
        curves = {model: scores[metric]["scores"] for model, scores in layers.items()}
        svg = layers_plot(curves, "score")
    averages = ", ".join(f"{model} {_number(s[metric]['average'])}" for model, s in layers.items())
    return {"title": name, "alt": f"{name} over layers; averages: {averages}", "svg": svg}


def _montage(sets: Mapping[str, SetProfile]) -> list[dict[str, Any]]:
    return [
        {"set": name, "image": image, "cells": [{"view": view, "src": png(views[view])} for view in VIEWS]}
        for name, profile in sets.items()
        for image, views in list(profile.views.items())[:PICTURED]
    ]


def _diversity_rows(diversity: Mapping[str, Mapping[str, float]]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "real": name == "real",
            "value": _number(d["ms_ssim"]),
            "std": _number(d["std"]),
            "pairs": d["pairs"],
        }
        for name, d in diversity.items()
    ]


def _truth_table(truth: Mapping[str, Mapping[str, float]]) -> dict[str, Any] | None:
    if not truth:
        return None
    names = list(dict.fromkeys(name for numbers in truth.values() for name in numbers))
    rows = [
        {"name": name.replace("_", " "), "cells": [_number(numbers.get(name)) for numbers in truth.values()]}
        for name in names
    ]
    note = (
        "Means over images. mae and me: mean absolute and mean error, synthetic minus true; path length mm: mean "
        "absolute difference of water-equivalent path length along beams; through plane change: relative to that of "
        "the truth."
    )
    return {"methods": [m.replace("_", " ") for m in truth], "rows": rows, "note": note}


def _layer_name(metric: str) -> str:
    name, space = _split(metric)
    return NAMES.get(name, name) + (f", {space}" if space else "")


def _split(metric: str) -> tuple[str, str | None]:
    """ "fid [space]" -> ("fid", "space")."""
    name, _, rest = metric.partition(" [")
    return name, rest.removesuffix("]") or None


def _number(value: float | None) -> str:
    """Write a number for a table: four significant figures."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.0f}" if 10_000 <= abs(value) < 10_000_000 else f"{value:.4g}"


def _shown(value: Any) -> str:
    return ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, Mapping) else str(value)


def _plain(value: Any) -> Any:
    """Make a value fit for JSON, which has no NaN: null says that there is no value."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _write(path: Path, text: str) -> None:
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")
