"""The report: `report.html` that needs no other file, `report.json`, and a table with every number there is."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from tools.evaluation.page import csv_text, json_text, page, versions, write_text
from tools.evaluation.plots import COLOURS, MARKERS, REAL, STYLE, as_svg, png
from tools.transforms.outlines import COLOURS as OUTLINES
from tools.transforms.planes import save_png
from tools.usefulness import design
from tools.usefulness.design import Arm
from tools.usefulness.results import Estimate, Results
from tools.usefulness.samples import LabelledSet
from tools.usefulness.segmentations import Cuts, segmentations_picture, shown_arms
from tools.usefulness.tasks import Task

COLUMNS = ("way", "model", "patients", "seed", "case")
"""Columns of every number, before those of the task."""

TEMPLATE = Path(__file__).with_name("report.html.j2")

VERSIONS = ("torch", "monai", "numpy")


@dataclass(frozen=True)
class Report:
    """All that a report says.

    Attributes:
        task: use of the images.
        results: tables of all arms.
        arms: arms, in the order in which they are shown.
        sets: sets by name, "real" and "test" first.
        provenance: sentences on whom the generators were trained on.
        settings: settings, for the reader.
        cuts: place of the slice of each case of the test in a picture; None without one.
        sections: slices there of what the networks of the first seed say, by arm.
    """

    task: Task
    results: Results
    arms: Sequence[Arm]
    sets: Mapping[str, LabelledSet]
    provenance: Sequence[str]
    settings: Mapping[str, Any]
    cuts: Cuts | None = None
    sections: Mapping[Arm, np.ndarray] = field(default_factory=dict)

    @property
    def models(self) -> list[str]:
        """Names of the synthetic sets."""
        return [name for name in self.sets if name not in ("real", "test")]

    @property
    def amounts(self) -> list[int]:
        """Numbers of real patients."""
        return sorted({arm.amount for arm in self.arms if arm.way == design.REAL})


def shown(found: Estimate, sign: str = "") -> str:
    """A number with its interval, such as "0.784 (0.77 to 0.80)"."""
    return f"{found.value:{sign}.3f} ({found.low:{sign}.3f} to {found.high:{sign}.3f})"


def conclusion(report: Report) -> str:
    """What came out, a sentence or two for each model."""
    results, most, least = report.results, max(report.amounts), min(report.amounts)
    real = Arm(design.REAL, amount=most)
    task = report.task
    sentences = [
        f"A {task.learner} trained on {most} real patients reaches {_article(task.chief)} {task.chief} of "
        f"{shown(results.of(real))}."
    ]
    for model in report.models:
        alone, both = Arm(design.SYNTHETIC, model), Arm(design.BOTH, model, least)
        augmented = Arm(design.AUGMENTED, amount=least)
        parts = []
        if alone in report.arms:
            ratio = shown(results.ratio(alone, real))
            parts.append(f"On the images of {model} alone it reaches {shown(results.of(alone))}, {ratio} of that")
        if both in report.arms:
            gain = results.difference(both, Arm(design.REAL, amount=least))
            text = f"beside {least} real patients they change it by {shown(gain, '+')}"
            if augmented in report.arms:
                ordinary = results.difference(both, augmented)
                text += f", and by {shown(ordinary, '+')} against ordinary augmentation of these"
            parts.append(text if parts else f"The images of {model}: {text}")
        over = Arm(design.BOTH_AUGMENTED, model, least)
        if over in report.arms and augmented in report.arms:
            gain = shown(results.difference(over, augmented), "+")
            text = f"beside {least} real patients, all with ordinary augmentation, they change it by {gain}"
            parts.append(text if parts else f"The images of {model}: {text}")
        if parts:
            sentences.append("; ".join(parts) + ".")
    return " ".join(sentences)


def _article(name: str) -> str:
    return "an" if name[0] in "AEIOU" else "a"


def write_report(output_dir: str | os.PathLike, report: Report) -> None:
    """Write the three files and, of a segmenter, the picture of what it says, each as a whole.

    Args:
        output_dir: folder, made if need be.
        report: content of the files.
    """
    output_dir = Path(output_dir)
    record = _record(report)
    picture = _picture(report)
    contents = {
        "report.json": json_text(record),
        report.task.csv[0]: csv_text((*COLUMNS, *report.task.csv[1]), _rows(report)),
        "report.html": _page(report, record, picture),
    }
    if picture is not None:
        save_png(output_dir / "segmentations.png", picture)
    for name, text in contents.items():
        write_text(output_dir / name, text)


def _record(report: Report) -> dict[str, Any]:
    results = report.results
    rows = []
    for arm in report.arms:
        row: dict[str, Any] = {"way": arm.way, "model": arm.model, "patients": arm.amount}
        row |= {metric: results.of(arm, metric=metric)._asdict() for metric in results.metrics}
        by_class = {c: {m: results.of(arm, c, m)._asdict() for m in results.metrics} for c in results.classes}
        rows.append(row | {"classes": by_class})
    return {
        "conclusion": conclusion(report),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "settings": dict(report.settings),
        "versions": versions(*VERSIONS),
        "cases": {name: {"cases": len(of), "patients": len(set(of.subjects))} for name, of in report.sets.items()},
        "provenance": list(report.provenance),
        "arms": rows,
    }


def _rows(report: Report) -> Iterator[list[Any]]:
    """One row for each number."""
    for arm in report.arms:
        ids = report.sets[arm.model if arm.way == design.ON_SYNTHETIC else "test"].ids
        for seed, table in report.results.tables[arm].items():
            for case, row in zip(ids, table, strict=True):
                for rest in report.task.rows(row, report.results.classes):
                    yield [arm.way, arm.model, arm.amount or None, seed, case, *rest]


def _picture(report: Report) -> np.ndarray | None:
    """Segmentations of some cases of the test, None without what real images taught."""
    shown = {arm: report.sections[arm] for arm in shown_arms(report.arms) if arm in report.sections}
    if report.cuts is None or not any(arm.way == design.REAL for arm in shown):
        return None
    of, test = report.cuts, report.sets["test"]
    images, labels = of.sections(test.images[:, :1].numpy()), of.sections(test.labels.numpy())
    return segmentations_picture(images, labels, test.ids, shown, {arm: report.results.tables[arm][0] for arm in shown})


def _page(report: Report, record: Mapping[str, Any], picture: np.ndarray | None) -> str:
    results, titles = report.results, report.task.titles
    of_all = "mean " if report.task.name == "segmentation" else ""
    columns = [f"{of_all}{titles[metric]}" for metric in results.metrics]
    columns += [f"{titles[metric]} of {label}" for metric in results.metrics for label in results.classes]
    rows = []
    for arm in report.arms:
        cells = [shown(results.of(arm, metric=metric)) for metric in results.metrics]
        cells += [shown(results.of(arm, label, metric)) for metric in results.metrics for label in results.classes]
        rows.append({"way": arm.way, "model": arm.model, "amount": arm.amount or "", "cells": cells})
    plot = _plot(report) if report.amounts else ""
    colours = zip(results.classes, cycle(OUTLINES), strict=False)
    return page(
        TEMPLATE,
        record=record,
        task=report.task,
        rows=rows,
        columns=columns,
        plot=plot,
        picture=None if picture is None else png(picture),
        legend=[(name, f"rgb{colour}") for name, colour in colours],
    )


def _plot(report: Report) -> str:
    """The chief metric over the number of real patients, as SVG: real, augmented, with and on each model."""
    results, amounts = report.results, report.amounts
    curves = {"real": [Arm(design.REAL, amount=n) for n in amounts]}
    curves["real, augmented"] = [Arm(design.AUGMENTED, amount=n) for n in amounts]
    for way, words in {design.BOTH: "", design.BOTH_AUGMENTED: ", augmented"}.items():
        curves |= {f"real and {model}{words}": [Arm(way, model, n) for n in amounts] for model in report.models}
    with rc_context(STYLE):
        figure = Figure(figsize=(6.4, 3.6), layout="constrained")
        axes = figure.subplots()
        for number, (name, arms) in enumerate(curves.items()):
            if not set(arms) <= set(report.arms):
                continue
            found = [results.of(arm) for arm in arms]
            colour = REAL if number == 0 else COLOURS[(number - 1) % len(COLOURS)]
            spread = [[f.value - f.low for f in found], [f.high - f.value for f in found]]
            places = np.array(amounts) * (1 + 0.015 * (number - len(curves) / 2))  # beside each other
            marker = MARKERS[number % len(MARKERS)]
            values = [f.value for f in found]
            axes.errorbar(places, values, spread, marker=marker, color=colour, label=name, markersize=4, capsize=2)
        for number, model in enumerate(report.models):
            if Arm(design.SYNTHETIC, model) not in report.arms:
                continue
            value = results.of(Arm(design.SYNTHETIC, model)).value
            colour = COLOURS[(number + 1) % len(COLOURS)]
            axes.axhline(value, color=colour, linestyle="--", label=f"{model} alone")
        axes.set(xlabel="real patients", ylabel=f"{report.task.chief} on real patients", xscale="log")
        axes.set_xticks(amounts, map(str, amounts))
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8, frameon=False)
        return as_svg(figure)
