"""The report of an audit: `privacy.json`, `suspects.csv` and `privacy.html`, a page that needs no other file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from tools.evaluation.page import csv_text, json_text, page, versions, write_text
from tools.evaluation.plots import COLOURS, REAL, STYLE, as_svg, png
from tools.privacy.attacks import Attack, conclusion_of, record_of, row_of
from tools.privacy.audit import PATTERN, Audit, Finding
from tools.privacy.images import Images, pictures_of

COLUMNS = ("sample", "training", "suspect", "probability", "by", "distance", "ratio", "how", "path", "training_path")

MOST_SUSPECTS = 200
"""Suspects that a page shows in pictures, however few were asked for; all are in `suspects.csv`."""

TEMPLATE = Path(__file__).with_name("report.html.j2")

VERSIONS = ("torch", "monai", "numpy", "scipy")


@dataclass(frozen=True)
class Report:
    """All that a report says.

    Attributes:
        found: result of the audit.
        sets: sets by name, "training", "synthetic" and perhaps "held-out".
        settings: settings, for the reader.
        pictures: number of pairs to show.
        attacks: attacks that guess membership.
    """

    found: Audit
    sets: Mapping[str, Images]
    settings: Mapping[str, Any] = field(default_factory=dict)
    pictures: int = 20
    attacks: tuple[Attack, ...] = ()


def conclusion(report: Report) -> str:
    """What came out, in a few sentences."""
    found, sets = report.found, report.sets
    count, training = len(sets["synthetic"]), len(sets["training"])
    if found.suspects:
        first = found.suspects[0]
        what = (
            f"{len(found.suspects)} of {count} samples are nearer to one of {training} training images than images of "
            f"different people come, such as {sets['synthetic'].files[first.sample].id}, which is like "
            f"{sets['training'].files[first.training].id}."
        )
    else:
        what = (
            f"No sample of {count} is nearer to one of {training} training images than images of different people come."
        )
    if found.doubles:
        what += f" {len(found.doubles)} samples are doubles of other samples."
    if found.planted:
        hit, total = (sum(numbers) for numbers in zip(*found.planted.values(), strict=True))
        what += f" Of {total} planted copies {hit} were found."
        if hit == 0:
            what += " So this audit, on these images, shows nothing."
    what += f" A generator that copies in up to {found.most_missed:.2g} of its images could have given this."
    return what + conclusion_of(report.attacks)


def write_report(output_dir: str | os.PathLike, report: Report) -> None:
    """Write the three files, each as a whole.

    Args:
        output_dir: folder, made if need be.
        report: content of the files.
    """
    output_dir = Path(output_dir)
    rows = [_row(report, one) for one in report.found.findings]
    contents = {
        "privacy.json": json_text(_record(report)),
        "suspects.csv": csv_text(COLUMNS, ([row[column] for column in COLUMNS] for row in rows)),
        "privacy.html": _page(report),
    }
    for name, text in contents.items():
        write_text(output_dir / name, text)


def _row(report: Report, one: Finding) -> dict[str, Any]:
    sample, case = report.sets["synthetic"].files[one.sample], report.sets["training"].files[one.training]
    row = {"sample": sample.id, "training": case.id, "suspect": one.probability <= report.found.limit}
    row |= {key: getattr(one, key) for key in ("probability", "by", "distance", "ratio", "how")}
    return row | {"path": sample.path, "training_path": case.path}


def _double(report: Report, one: Finding) -> dict[str, Any]:
    files = report.sets["synthetic"].files
    row = {"sample": files[one.sample].id, "other": files[one.training].id}
    return row | {key: getattr(one, key) for key in ("probability", "by", "distance", "how")}


def _record(report: Report) -> dict[str, Any]:
    found = report.found
    spaces = {}
    for name, space in found.spaces.items():
        distances = {key: _quantiles(getattr(space, key)) for key in ("distances", "own", "held_out")}
        scores = {key: getattr(space, key) for key in SCORES if getattr(space, key) is not None}
        spaces[name] = {"distances": distances} | {key: score._asdict() for key, score in scores.items()}
    return {
        "conclusion": conclusion(report),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "settings": dict(report.settings),
        "versions": versions(*VERSIONS),
        "images": {name: len(images) for name, images in report.sets.items()},
        "rate": found.rate,
        "limit": found.limit,
        "share_of_copies_at_most": found.most_missed,
        "suspects": [_row(report, one) for one in found.suspects],
        "doubles": [_double(report, one) for one in found.doubles],
        "planted": {kind: {"found": hit, "of": total} for kind, (hit, total) in found.planted.items()},
        "membership": [record_of(attack) for attack in report.attacks],
        "spaces": spaces,
    }


def _quantiles(values: np.ndarray) -> dict[str, float] | None:
    if not len(values):
        return None
    return dict(
        zip(("least", "5%", "median", "95%"), map(float, np.quantile(values, (0, 0.05, 0.5, 0.95))), strict=True)
    )


def _page(report: Report) -> str:
    record = _record(report)
    number = max(report.pictures, 0)
    # every suspect is shown, if anything is
    shown = report.found.findings[: max(number, min(len(report.found.suspects), MOST_SUSPECTS)) if number else 0]
    return page(
        TEMPLATE,
        record=record,
        pairs=[_row(report, one) | {"pictures": _side_by_side(report, one, "training")} for one in shown],
        doubles=[
            _double(report, one) | {"pictures": _side_by_side(report, one, "synthetic")}
            for one in _once(report.found.doubles)[:number]
        ],
        plots=[{"name": name, "svg": _plot(name, space)} for name, space in report.found.spaces.items()],
        scores=_scores(report),
        attacks=[row_of(attack) for attack in report.attacks],
        pattern=PATTERN,
    )


def _once(doubles: Sequence[Finding]) -> list[Finding]:
    """Doubles without those that say of the other one of a pair what was said of the first."""
    pairs: dict[frozenset[int], Finding] = {}
    for one in doubles:
        pairs.setdefault(frozenset((one.sample, one.training)), one)
    return list(pairs.values())


def _side_by_side(report: Report, one: Finding, other: str) -> list[dict[str, Any]]:
    """Views of a sample and of what it is like, an image of the set ``other``."""
    sides = (report.sets["synthetic"].files[one.sample], report.sets[other].files[one.training])
    names = ("sample", "training image" if other == "training" else "other sample")
    return [
        {"of": of, "views": [png(v) for v in pictures_of(file).values()]} for of, file in zip(names, sides, strict=True)
    ]


SCORES = {
    "close": ("nearer to the training set than 95 percent of held-out images", "0.05"),
    "nearer": ("nearer to the training than to the held-out set", "0.5"),
    "identifiability": ("training images nearer to a sample than to each other (epsilon-identifiability)", "0.5"),
}
"""Scores of whole sets: what they say, and what independent samples have."""


def _scores(report: Report) -> Sequence[dict[str, str]]:
    rows = []
    for name, space in report.found.spaces.items():
        for key, (what, independent) in SCORES.items():
            score = getattr(space, key)
            if score is not None:
                rows.append(
                    {
                        "space": name,
                        "what": what,
                        "value": f"{score.value:.3f}",
                        "interval": f"{score.low:.3f} to {score.high:.3f}",
                        "independent": independent,
                    }
                )
    return rows


def _plot(name: str, space) -> str:
    """Distances to the training set of samples, held-out images, and training images among themselves, as SVG."""
    with rc_context(STYLE):
        figure = Figure(figsize=(6.4, 2.6), layout="constrained")
        axes = figure.subplots()
        sets = {
            "training images to each other": space.own,
            "held-out images": space.held_out,
            "samples": space.distances,
        }
        sets = {label: values[np.isfinite(values)] for label, values in sets.items() if len(values)}
        ends = (min(v.min() for v in sets.values()), max(v.max() for v in sets.values()))
        bins = np.linspace(ends[0], max(ends[1], ends[0] + 1e-9), 41)
        for (label, values), colour in zip(sets.items(), (REAL, COLOURS[0], COLOURS[1]), strict=False):
            axes.hist(
                values, bins, weights=np.full(len(values), 1 / len(values)), histtype="step", color=colour, label=label
            )
        axes.plot(space.distances, np.full(len(space.distances), -0.01), "|", color=COLOURS[1], markersize=6)
        axes.set(xlabel=f"distance to the nearest training image ({name})", ylabel="share")
        axes.legend(fontsize=8, frameon=False)
        return as_svg(figure)
