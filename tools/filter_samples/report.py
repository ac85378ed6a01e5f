"""The report: every sample with what it is rejected for, the ranges, and a page with both."""

from __future__ import annotations

import csv
import io
import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader
from matplotlib import rc_context
from matplotlib.figure import Figure

from tools.evaluation.plots import COLOURS, REAL, STYLE, as_svg, png
from tools.files import whole_file
from tools.filter_samples.ranges import Ranges

SIDE = 160
"""Pixels of the longer side of a picture."""


@dataclass(frozen=True)
class Judged:
    """A synthetic sample.

    Attributes:
        sample: id of the sample.
        measures: number by measure; empty if it cannot be read.
        reasons: sentences on what it is rejected for; empty if it is kept.
        picture: grey picture uint8 [h, w] of it; None without one.
    """

    sample: str
    measures: Mapping[str, float]
    reasons: tuple[str, ...]
    picture: np.ndarray | None


@dataclass(frozen=True)
class Report:
    """All that a report says.

    Attributes:
        ranges: ranges of the measures.
        real: measures of the real samples.
        samples: synthetic samples.
        settings: settings, for the reader.
    """

    ranges: Ranges
    real: Sequence[Mapping[str, float]]
    samples: Sequence[Judged]
    settings: Mapping[str, Any]


def conclusion(report: Report) -> str:
    """What came out."""
    ranges, count = report.ranges, len(report.samples)
    kept = sum(not one.reasons for one in report.samples)
    text = f"{kept} of {count} samples are kept."
    by = rejections(report)
    if by:
        most = ", ".join(f"{name} ({number})" for name, number in by.most_common(3))
        text += f" Most are rejected for: {most}."
    asked = report.settings["rate"]
    promise = (
        f" A sample like the {ranges.samples} real ones is rejected with a probability of {ranges.rate:.2g} at the most"
    )
    if ranges.rate > asked * 1.001:
        promise += f", which is more than the {asked:g} that was asked for: there are too few real samples"
    text += promise + "."
    if math.isfinite(ranges.outside):
        text += f" Of the real ones {ranges.outside:.1%} lie outside of the ranges of the others."
    return text


def rejections(report: Report) -> Counter[str]:
    """Number of samples by measure that lie outside of its range."""
    ends = report.ranges.ends
    outside = Counter()
    for one in report.samples:
        for name, (low, high) in ends.items():
            value = one.measures.get(name, math.nan)
            outside[name] += math.isfinite(value) and not low <= value <= high
        outside["cannot be read"] += not one.measures
    return Counter({name: number for name, number in outside.items() if number})


def picture_of(images: np.ndarray, label: np.ndarray | None) -> np.ndarray:
    """An axial slice through the middle of the labels, the first image beside itself with the labels over it: uint8.

    Args:
        images: [images, D, H, W].
        label: class indices [D, H, W]; None without labels.
    """
    image = images[0]
    places = None if label is None or not label.any() else np.flatnonzero(label.any((1, 2)))
    middle = len(image) // 2 if places is None else int(places[len(places) // 2])
    low, high = np.percentile(image, (1, 99.5))
    grey = np.clip((image[middle] - low) / max(high - low, 1e-9), 0, 1) * 255
    panes = [grey]
    if label is not None:
        classes = max(int(label.max()), 1)
        panes.append(np.where(label[middle] > 0, 90 + 165 * label[middle] / classes, grey * 0.6))
    times = max(1, SIDE // max(grey.shape))
    step = max(1, math.ceil(max(grey.shape) / (2 * SIDE)))
    shown = [np.kron(pane[::step, ::step], np.ones((times, times))) for pane in panes]
    line = np.full((len(shown[0]), 2), 255)
    return np.concatenate([shown[0], *(np.concatenate([line, pane], 1) for pane in shown[1:])], 1).astype(np.uint8)


def write_report(output_dir: str | os.PathLike, report: Report) -> None:
    """Write filter.csv, ranges.csv and filter.html, each as a whole.

    Args:
        output_dir: folder, made if need be.
        report: content of the files.
    """
    names = [*report.ranges.ends]
    rows = [["sample", "kept", "reasons", *names]]
    for one in report.samples:
        numbers = [_number(one.measures.get(name, math.nan)) for name in names]
        rows.append([one.sample, not one.reasons, "; ".join(one.reasons), *numbers])
    ranges = [["measure", "low", "high", "rejected"]]
    by = rejections(report)
    ranges += [[name, _number(low), _number(high), by[name]] for name, (low, high) in report.ranges.ends.items()]
    contents = {"filter.csv": _csv(rows), "ranges.csv": _csv(ranges), "filter.html": _page(report, by)}
    for name, text in contents.items():
        with whole_file(Path(output_dir) / name) as partial:
            partial.write_text(text, encoding="utf-8")


def _csv(rows: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _number(value: float) -> str:
    return f"{value:.6g}" if math.isfinite(value) else ""


def _page(report: Report, by: Mapping[str, int]) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    ranges = [
        {"name": name, "low": f"{low:.4g}", "high": f"{high:.4g}", "rejected": by.get(name, 0)}
        for name, (low, high) in report.ranges.ends.items()
    ]
    rejected = [one for one in report.samples if one.reasons]
    return environment.get_template("report.html.j2").render(
        conclusion=conclusion(report),
        ranges=ranges,
        plot=_plot(report),
        shown=[
            {"sample": one.sample, "reasons": one.reasons, "src": png(one.picture)}
            for one in rejected
            if one.picture is not None
        ],
        rejected=rejected,
        settings=report.settings,
    )


def _plot(report: Report) -> str:
    """Every measure as a line: its range as a bar, real samples as grey points, samples as coloured ones, as SVG."""
    ends = report.ranges.ends
    rng = np.random.default_rng(0)
    with rc_context(STYLE):
        figure = Figure(figsize=(7.2, 0.9 + 0.42 * len(ends)), layout="constrained")
        axes = figure.subplots()
        for place, (name, (low, high)) in enumerate(ends.items()):
            width = (high - low) or 1.0

            def shown(values: Sequence[float], low: float = low, width: float = width) -> np.ndarray:
                return np.clip((np.asarray(values, float) - low) / width, -1.0, 2.0)

            axes.barh(place, 1 if high > low else 0.02, height=0.62, color="#dddddd", zorder=0)
            for values, colour, label, shift in (
                ([one[name] for one in report.real], REAL, "real", -0.16),
                ([s.measures.get(name, math.nan) for s in report.samples if not s.reasons], COLOURS[0], "kept", 0.05),
                ([s.measures.get(name, math.nan) for s in report.samples if s.reasons], COLOURS[1], "rejected", 0.22),
            ):
                x = shown(values)
                y = place + shift + rng.uniform(-0.06, 0.06, len(x))
                axes.plot(x, y, ".", color=colour, markersize=3, label=label if place == 0 else None)
        axes.set_yticks(range(len(ends)), list(ends))
        axes.invert_yaxis()
        axes.set(xlim=(-1.1, 2.1), xlabel="place in the range, 0 to 1; what lies further out is shown at the edge")
        axes.legend(fontsize=8, frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=3)
        return as_svg(figure)
