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

from tools.data.found import Found, find
from tools.evaluation.plots import COLOURS, STYLE
from tools.files import whole_file
from tools.inspect_data.measure import CaseFacts, measured
from tools.inspect_data.stored import stored
from tools.io.volume import VolumeError
from tools.transforms.outlines import COLOURS as OUTLINES

SHOWN = 16
"""Classes of labels in the summary for a terminal; the page has all."""

AIR = -1100.0
"""HU from which on a histogram of CT is shown: below lies what fills a scan up."""

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
        try:
            facts["store"] = stored(found, store_dir, image_size, num_workers)
        except VolumeError as error:  # no case can be used, as the page says
            facts["remarks"].append(f"There is no store: {error}")
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
        "pictures": sum(len(case["names"]) for case in found.items) if found.is_pictures else None,
        "patients": len({case.subject for case in good if case.subject}) or None,
        "sections": dict(Counter(case.section for case in good)),
        "images": dict(Counter(name for case in good for name in case.images)),
        "labelled": sum(case.labelled for case in good),
        "classes": dict(Counter(case.class_name for case in good if case.class_name)),
        "findings": _findings(good),
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


def _findings(cases: Sequence[CaseFacts]) -> dict[str, dict[str, int | None]]:
    """How many scans show each finding, and how many slices, where a table says it of them."""
    said = [case for case in cases if case.findings]
    by_slice = [case for case in said if case.by_slice]
    return {
        name: {
            "cases_with_it": sum(case.findings[name] > 0 for case in said),
            "cases_said": len(said),
            "slices_with_it": sum(case.findings[name] for case in by_slice) if by_slice else None,
        }
        for name in (said[0].findings if said else ())
    }


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
    absent = [name for name, row in facts["labels_ml"].items() if row and not row["cases_with_it"]]
    absent += [name for name, row in facts["findings"].items() if not row["cases_with_it"]]
    if absent:
        said.append(f"No case that was read shows any of: {', '.join(absent)}.")
    for section in ("training", "validation"):
        number = facts["sections"].get(section, 0)
        if number < 2 and "any" not in facts["sections"]:
            said.append(f"For {section} there {'is 1 case' if number else 'is no case'}, by the dataset's own rule.")
    if facts["left_out"]:
        said.append(f"{_count(len(facts['left_out']), 'case')} cannot be used:")
        said[-1] += "".join(f" {name} ({reason});" for name, reason in [*facts["left_out"].items()][:3])
        said[-1] = said[-1][:-1] + (", and others below." if len(facts["left_out"]) > 3 else ".")
    return said


def text(facts: dict[str, Any]) -> str:
    """The summary for a terminal."""
    lines = [f"Recognised as {facts['recognised_as']}", *_counts(facts)]
    if facts["shape"]:
        unit = " pixels and pictures together" if facts["pictures"] else " voxels"
        lines.append(f"Size {_range(facts['shape'])}{unit}")
        lines[-1] += f", spacing {_range(facts['spacing_mm'])} mm" if facts["spacing_mm"] else ""
    lines += [
        f"{name}: in {row['cases_with_it']} of {_count(row['cases_said'], 'scan')}"
        + (f", {_count(row['slices_with_it'], 'slice')}" if row["slices_with_it"] is not None else "")
        for name, row in facts["findings"].items()
    ]
    labels = [
        f"{name}: in {row['cases_with_it']} of {_count(row['cases_labelled'], 'case')}"
        + (f", {_from_to(row['least'], row['greatest'])} ml" if "least" in row else "")
        for name, row in facts["labels_ml"].items()
        if row
    ]
    lines += labels if len(labels) <= SHOWN else [*labels[:SHOWN], f"and {len(labels) - SHOWN} more, on the page"]
    if store := facts.get("store"):
        made = f" ({store['made_per_second']} slices/s)" if store["made_per_second"] else ", a part was there before"
        lines.append(
            f"Store: {_count(store['slices'], 'slice')} of {store['image_size']} pixels in "
            f"{store['seconds_to_make']:g} s{made}, {store['megabytes']:g} MB; {store['read_per_second']} slices/s "
            "read in random order"
        )
    return "\n".join([*lines, *(f"Note: {remark}" for remark in facts["remarks"])])


def _counts(facts: dict[str, Any]) -> list[str]:
    if facts["pictures"]:
        return [_count(facts["pictures"], "picture")]
    line = _count(facts["cases"], "case")
    line += f" of {_count(facts['patients'], 'patient')}" if facts["patients"] else ""
    for counts in (facts["sections"], facts["classes"]):
        if counts.keys() - {"any"}:
            line += "; " + ", ".join(f"{n} {name}" for name, n in counts.items())
    images = ", ".join(f"{name} in {n}" for name, n in facts["images"].items())
    return [f"{line}; {facts['labelled']} with labels, voxels of {facts['read']} read", f"Images: {images}"]


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _from_to(least: float, greatest: float) -> str:
    """A range, or one number."""
    a, b = _short(least), _short(greatest)
    return a if a == b else f"{a} to {b}"


def _short(number: float) -> str:
    """Three digits, or all before the point."""
    return f"{number:.3g}" if abs(number) < 1000 else f"{number:,.0f}"


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
        counts=_counts(facts)[0],
        frequent=_most_frequent,
        short=_short,
        plots=[_histogram(name, found.voxels.get(name), cases) for name in found.images if facts["intensities"][name]],
        legend=[(name, f"rgb{OUTLINES[number % len(OUTLINES)]}") for number, name in enumerate(found.classes)],
        shown=[(_caption(case), _png(case.picture)) for case in shown[::step][:pictures]],
    )


def _most_frequent(spread: dict[str, Any]) -> str:
    """The most frequent row, where more than one case has it and not all do."""
    if spread["so_many"] == 1 or spread["least"] == spread["greatest"]:
        return ""
    return f"; most often {' x '.join(f'{n:g}' for n in spread['most_frequent'])}, in {spread['so_many']}"


def _caption(case: CaseFacts) -> str:
    """A case and what it is said to show."""
    shows = [name for name, number in case.findings.items() if number]
    return f"{case.id}: {', '.join(shows)}" if shows else case.id


def _png(picture: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def _histogram(name: str, kind: str | None, cases: Sequence[CaseFacts]) -> str:
    """Histograms of up to 40 scans over one another, as SVG; of scans without a common unit, each in its own."""
    values = [case.intensities[name] for case in cases if name in case.intensities]
    values = values[:: max(1, len(values) // 40)]
    unit = f"{name}, HU" if kind == "CT" else name
    bright = [float(np.percentile(one, 99.5)) for one in values]
    if min(bright) > 0 and max(bright) > SPREAD * min(bright):
        values = [one / high for one, high in zip(values, bright, strict=True)]
        unit = f"{name}, as a share of each scan's 99.5th percentile"
    pooled = np.concatenate(values)
    low, high = np.percentile(pooled, [0.1, 99.9])
    low = max(low, AIR) if kind == "CT" else low
    edges = np.linspace(low, max(high, low + 1e-6), 101)
    with rc_context(STYLE):
        figure = Figure(figsize=(6.4, 2.6), layout="constrained")
        axes = figure.subplots()
        for one in values:
            share, _ = np.histogram(one, edges)
            axes.plot((edges[1:] + edges[:-1]) / 2, share / len(one), color=COLOURS[0], alpha=0.35, linewidth=0.8)
        axes.set(xlabel=unit, ylabel="share of voxels", yscale="log")
        axes.grid(alpha=0.3)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    svg = buffer.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    return svg[svg.index("<svg") :].replace("<svg", f'<svg role="img" aria-label="histogram of {html.escape(name)}"', 1)
