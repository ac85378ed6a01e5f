"""The pictures of a comparison: learning curves, and samples of the same seeds side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from PIL import Image

from tools.compare.design import Run, RunFolder
from tools.compare.measuring import REAL
from tools.compare.results import END, START, Results
from tools.evaluation.plots import COLOURS, MARKERS, STYLE
from tools.evaluation.plots import REAL as GREY
from tools.transforms.planes import grid, headed, resized

VIEWS = ("axial 50%", "coronal", "sagittal", "image")
"""Views of an image that are shown, of those that it has."""

SEEDS = 2
"""Images of each bundle in the picture of samples."""

SIDE = 128
"""Pixels that the longer side of a view has at least."""


def curves_figure(results: Results, space: str, metric: str = "fid") -> Figure:
    """A distance over the budget that was spent: the mean of a bundle's runs, and each run as a thin line."""
    by_time = results.settings.seconds is not None
    with rc_context(STYLE):
        figure = Figure(figsize=(7.2, 4.2), layout="constrained")
        axes = figure.subplots()
        for number, bundle in enumerate(results.bundles):
            colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
            line = ("-", "--", ":")[number // len(COLOURS) % 3]
            curves = [curve(results, run, space, metric) for run in results.runs if run.bundle == bundle]
            for places, values in curves:
                axes.plot(places, values, color=colour, linewidth=0.7, alpha=0.5, linestyle=line)
            places, values = mean_curve(curves)
            axes.plot(places, values, color=colour, marker=marker, markersize=4, linestyle=line, label=bundle)
        if (floor := results.floor(space, metric)) is not None and floor > 0:
            axes.axhline(floor, color=GREY, linestyle="--", label="training images")
        spent = "minutes of training" if by_time else "images of training"
        axes.set(xlabel=spent, ylabel=f"{metric.upper()} in {space}", yscale="log")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8, frameon=False)
    return figure


def curve(results: Results, run: Run, space: str, metric: str) -> tuple[list[float], list[float]]:
    """What a run had spent at its moments (minutes, or images), and its distance then, above 0 alone."""
    places, values = [], []
    for name, facts in results.runs[run]["moments"].items():
        value = results.value(run, space, metric, name)
        if value is not None and value.value > 0:
            spent = facts["images"] if results.settings.seconds is None else facts["seconds"] / 60
            places.append(spent)
            values.append(value.value)
    return places, values


def mean_curve(curves: Sequence[tuple[Sequence[float], Sequence[float]]]) -> tuple[np.ndarray, np.ndarray]:
    """Mean over runs of place and value, of as many moments as all of them have."""
    length = min(len(places) for places, _ in curves)
    return tuple(np.mean([numbers[part][-length:] for numbers in curves], axis=0) for part in (0, 1))


def samples_picture(results: Results) -> np.ndarray:
    """Real images, and at the end of the budget the images of the same seeds of every bundle, one in a row."""
    rows, titles, columns = [], [], []
    for run, folder in _first_runs(results).items():
        pictures = load(folder)
        if not rows:
            rows.append(_row(pictures, REAL, columns))
            titles.append("real")
        rows.append(_row(pictures, END, columns))
        titles.append(run.bundle)
    return headed(grid(rows, titles), columns)


def progress_picture(results: Results) -> np.ndarray:
    """The image of one seed at every moment of the training of every bundle, one bundle in a row."""
    runs = _first_runs(results)
    names = sorted({name for run in runs for name in results.runs[run]["moments"]}, key=float)  # some have not all
    rows = []
    for folder in runs.values():
        pictures = load(folder)
        shown = [_views(pictures, name, 0) for name in names]
        empty = np.zeros_like(next(views[0] for views in shown if views))
        middle = 1 if any(len(views) > 1 for views in shown) else 0  # coronal, in which most is seen
        rows.append([views[middle] if views else empty for views in shown])
    words = ["untrained" if name == START else f"{float(name):.4g} of budget" for name in names]
    return headed(grid(rows, [run.bundle for run in runs]), words)


def load(folder: RunFolder) -> dict[str, np.ndarray]:
    """Views of a run's first images, by "moment/number/view"."""
    with np.load(folder.path / RunFolder.PICTURES) as file:
        return dict(file)


def _first_runs(results: Results) -> dict[Run, RunFolder]:
    """The run of the first seed of every bundle."""
    runs: dict[str, Run] = {}
    for run in results.runs:
        if run.bundle not in runs or run.seed < runs[run.bundle].seed:
            runs[run.bundle] = run
    return {run: results.folders[run] for run in runs.values()}


def _row(pictures: Mapping[str, np.ndarray], moment: str, columns: list[str]) -> list[np.ndarray]:
    row = []
    for number in range(SEEDS):
        views = {view: pictures[key] for view in VIEWS if (key := f"{moment}/{number}/{view}") in pictures}
        row += [_enlarged(view) for view in views.values()]
        if len(columns) < SEEDS * len(views):
            columns += [f"{view.partition(' ')[0]}, {number + 1}" for view in views]
    return row


def _views(pictures: Mapping[str, np.ndarray], moment: str, number: int) -> list[np.ndarray]:
    keys = [f"{moment}/{number}/{view}" for view in VIEWS]
    return [_enlarged(pictures[key]) for key in keys if key in pictures]


def _enlarged(picture: np.ndarray) -> np.ndarray:
    times = max(1, -(-SIDE // max(picture.shape)))
    return resized(picture, picture.shape[0] * times, picture.shape[1] * times, Image.Resampling.NEAREST)
