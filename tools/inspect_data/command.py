"""The command: look at a folder, say what is in it, write a page and a JSON."""

from __future__ import annotations

import base64
import html
import io
import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader
from matplotlib import rc_context
from matplotlib.figure import Figure
from PIL import Image

from tools.evaluation.plots import COLOURS, STYLE
from tools.files import whole_file
from tools.inspect_data.found import Found, find
from tools.inspect_data.measure import CaseFacts, measured
from tools.inspect_data.stored import stored
from tools.transforms.outlines import COLOURS as OUTLINES

SPREAD = 20
"""Ratio of the scans' 99.5th percentiles from which on a page says that each needs a scale of its own."""


def inspect_data(
    folder: str,
    output_dir: str = "inspected",
    most: int = 200,
    pictures: int = 24,
    num_workers: int = 0,
    store_dir: str | None = None,
    image_size: int = 128,
) -> None:
    """See what a folder of images holds before training on it.

    Says what it was recognised as; counts cases, patients, images and labels, and how they are split; sizes, spacings,
    intensities and volumes of labels; what cannot be used, and why; and shows slices with their labels outlined. Writes
    output_dir/data.html, a page that needs no other file, and data.json with all numbers.

    Args:
        folder: folder of a dataset in its published layout, of volumes under any names, or of pictures; or a zip of
            pictures.
        output_dir: folder for the page and the JSON.
        most: greatest number of cases whose voxels are read, evenly spread; headers of all are.
        pictures: number of cases to show.
        num_workers: number of processes that read.
        store_dir: folder for a store of slices that is filled with the cases, to see how many slices there are and how
            fast they are made and read; None makes none.
        image_size: side of these slices in pixels.
    """
    for option, value in (("--most", most), ("--pictures", pictures), ("--image_size", image_size)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{option} is {value!r}, expected a whole number from 1")
    found = find(folder)
    cases = measured(found, most, num_workers)
    facts = summary(found, cases)
    if store_dir is not None:
        facts["store"] = stored(found, store_dir, image_size, num_workers)
    output = Path(output_dir)
    with whole_file(output / "data.json") as partial:
        partial.write_text(json.dumps(facts, indent=1), encoding="utf-8")
    with whole_file(output / "data.html") as partial:
        partial.write_text(page(folder, found, cases, facts, pictures), encoding="utf-8")
    print(text(facts))
    print(f"Wrote {output / 'data.html'} and {output / 'data.json'}")


def summary(found: Found, cases: Sequence[CaseFacts]) -> dict[str, Any]:
    """All numbers, ready for JSON."""
    good = [case for case in cases if not case.reason]
    read = [case for case in good if case.intensities]
    facts: dict[str, Any] = {
        "recognised_as": found.what,
        "cases": len(good),
        "patients": len({case.subject for case in good if case.subject}) or None,
        "sections": dict(Counter(case.section for case in good)),
        "images": dict(Counter(name for case in good for name in case.images)),
        "labelled": sum(case.labelled for case in good),
        "read": len(read),
        "shape": _spread([case.shape for case in good if case.shape]),
        "spacing_mm": _spread([case.spacing for case in good if case.spacing]),
        "intensities": {name: _intensities(read, name) for name in found.images},
        "labels_ml": {name: _volumes(read, name) for name in found.classes},
        "left_out": {case.id: case.reason for case in cases if case.reason},
    }
    facts["remarks"] = _remarks(facts)
    return facts


def _spread(rows: Sequence[Sequence[float]]) -> dict[str, Any] | None:
    """Least, median and greatest along each axis, and the most frequent."""
    if not rows:
        return None
    columns = list(zip(*rows, strict=True))
    (common, times), *_ = Counter(map(tuple, rows)).most_common(1)
    return {
        "least": [min(column) for column in columns],
        "median": [median(column) for column in columns],
        "greatest": [max(column) for column in columns],
        "most_frequent": list(common),
        "so_many": times,
    }


def _intensities(cases: Sequence[CaseFacts], name: str) -> dict[str, Any] | None:
    values = [case.intensities[name] for case in cases if name in case.intensities]
    if not values:
        return None
    high = [float(np.percentile(one, 99.5)) for one in values]
    pooled = np.concatenate(values)
    points = (0, 0.5, 25, 50, 75, 99.5, 100)
    return {
        "percentiles": {str(p): float(v) for p, v in zip(points, np.percentile(pooled, points), strict=True)},
        "scans_99.5": {"least": min(high), "median": median(high), "greatest": max(high)},
    }


def _volumes(cases: Sequence[CaseFacts], name: str) -> dict[str, Any] | None:
    there = [case.millilitres[name] for case in cases if case.millilitres.get(name)]
    labelled = sum(name in case.millilitres for case in cases)
    if not labelled:
        return None
    spread = {"least": min(there), "median": median(there), "greatest": max(there)} if there else {}
    return {"cases_with_it": len(there), "cases_labelled": labelled, **spread}


def _remarks(facts: dict[str, Any]) -> list[str]:
    """What a user should know before training."""
    said = []
    for name, values in facts["intensities"].items():
        if values and values["scans_99.5"]["least"] > 0:
            ratio = values["scans_99.5"]["greatest"] / values["scans_99.5"]["least"]
            if ratio > SPREAD:
                said.append(
                    f"The brightest voxels (99.5th percentile) of {name} differ {ratio:,.0f} fold between scans: each "
                    "needs a scale of its own, such as a percentile."
                )
    for name, volumes in facts["labels_ml"].items():
        if volumes and volumes["cases_with_it"] == 0:
            said.append(f"No case that was read shows {name}.")
    for section in ("training", "validation"):
        number = facts["sections"].get(section, 0)
        if number < 2 and "any" not in facts["sections"]:
            said.append(f"For {section} there {'is 1 case' if number else 'is no case'}, by the dataset's own rule.")
    if facts["left_out"]:
        said.append(f"{len(facts['left_out'])} cases cannot be used; the reasons are below.")
    return said


def text(facts: dict[str, Any]) -> str:
    """The summary for a terminal."""
    shape, spacing = facts["shape"], facts["spacing_mm"]
    lines = [f"Recognised as {facts['recognised_as']}", f"{facts['cases']} cases"]
    if facts["patients"]:
        lines[-1] += f" of {facts['patients']} patients"
    lines[-1] += "; " + ", ".join(f"{n} {section}" for section, n in facts["sections"].items())
    lines[-1] += f"; {facts['labelled']} with labels, voxels of {facts['read']} read"
    if shape:
        lines.append(f"Size {_range(shape)} voxels" + (f", spacing {_range(spacing)} mm" if spacing else ""))
    for name, volumes in facts["labels_ml"].items():
        if volumes:
            ml = f", {volumes['least']:g} to {volumes['greatest']:g} ml" if "least" in volumes else ""
            lines.append(f"{name}: in {volumes['cases_with_it']} of {volumes['cases_labelled']} cases{ml}")
    if store := facts.get("store"):
        lines.append(
            f"Store: {store['slices']} slices of {store['image_size']} pixels in {store['seconds_to_make']:g} s, "
            f"{store['megabytes']:g} MB; {store['read_per_second']} slices/s read in random order"
        )
    return "\n".join([*lines, *(f"Note: {remark}" for remark in facts["remarks"])])


def _range(spread: dict[str, Any]) -> str:
    pairs = zip(spread["least"], spread["greatest"], strict=True)
    return " x ".join(f"{a:g}" if a == b else f"{a:g}-{b:g}" for a, b in pairs)


def page(folder: str, found: Found, cases: Sequence[CaseFacts], facts: dict[str, Any], pictures: int) -> str:
    """The page, which needs no other file."""
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True)
    shown = [case for case in cases if case.picture is not None]
    step = max(1, len(shown) // pictures)
    return environment.get_template("page.html.j2").render(
        folder=folder,
        facts=facts,
        range=_range,
        plots=[_histogram(name, cases) for name in found.images if facts["intensities"][name]],
        legend=[(name, f"rgb{OUTLINES[number % len(OUTLINES)]}") for number, name in enumerate(found.classes)],
        shown=[(case.id, _png(case.picture)) for case in shown[::step][:pictures]],
    )


def _png(picture: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def _histogram(name: str, cases: Sequence[CaseFacts]) -> str:
    """Histograms of up to 40 scans over one another, as SVG."""
    values = [case.intensities[name] for case in cases if name in case.intensities]
    values = values[:: max(1, len(values) // 40)]
    pooled = np.concatenate(values)
    low, high = np.percentile(pooled, [0.1, 99.9])
    edges = np.linspace(low, max(high, low + 1e-6), 101)
    with rc_context(STYLE):
        figure = Figure(figsize=(6.4, 2.6), layout="constrained")
        axes = figure.subplots()
        for one in values:
            share, _ = np.histogram(one, edges)
            axes.plot((edges[1:] + edges[:-1]) / 2, share / len(one), color=COLOURS[0], alpha=0.35, linewidth=0.8)
        axes.set(xlabel=name, ylabel="share of voxels", yscale="log")
        axes.grid(alpha=0.3)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    svg = buffer.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    return svg[svg.index("<svg") :].replace("<svg", f'<svg role="img" aria-label="histogram of {html.escape(name)}"', 1)
