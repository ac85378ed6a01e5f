"""The report of a comparison: `report.json`, `.csv`, `.md` and `.html`, and its pictures, as files and in the page."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tools.compare.pictures import curves_figure, progress_picture, samples_picture
from tools.compare.results import START, Ranked, Results
from tools.evaluation.page import csv_text, json_text, number_text, page, write_text
from tools.evaluation.plots import as_svg, png
from tools.files import whole_file
from tools.transforms.planes import save_png

METRIC = "fid"
"""The distance by which bundles are ranked: all have equally many images, so that its bias is one for all."""

ALSO = {"kid": "KID", "mmd": "MMD", "precision": "precision", "recall": "recall", "density": "density"} | {
    "coverage": "coverage"
}
"""Scores that stand beside it, means over seeds."""

DOTS = 150
"""Pixels of an inch of a plot."""

COLUMNS = (
    *("bundle", "seed", "moment", "seconds", "images", "iteration"),
    *("feature_space", "metric", "value", "low", "high"),
)


def write_report(output_dir: str | os.PathLike, results: Results) -> str:
    """Write all files, each as a whole.

    Returns:
        The table as Markdown, with what came out in a sentence.
    """
    output_dir = Path(output_dir)
    record = record_of(results)
    samples, progress = samples_picture(results), progress_picture(results)
    save_png(output_dir / "samples.png", samples)
    save_png(output_dir / "progress.png", progress)
    figures = {space: curves_figure(results, space) for space in results.spaces}
    for space, figure in figures.items():
        with whole_file(output_dir / f"curves_{space}.png") as partial:
            figure.savefig(partial, dpi=DOTS)
    text = markdown(results, record)
    write_text(output_dir / "report.json", json_text(record))
    write_text(output_dir / "report.csv", csv_text(COLUMNS, _rows(results)))
    write_text(output_dir / "report.md", text)
    html = page(
        Path(__file__).with_name("report.html.j2"),
        record=record,
        tables=[{"space": space, **_table(results, space)} for space in results.spaces],
        plots={space: as_svg(figure) for space, figure in figures.items()},
        samples=png(samples),
        progress=png(progress),
        settings=_settings(results),
    )
    write_text(output_dir / "report.html", html)
    return text


def conclusion(results: Results) -> str:
    """What came out, in a sentence or two."""
    space = results.spaces[0]
    ranked = results.ranking(space, METRIC)
    if not ranked:
        return "No run has images that could be measured."
    (first, best), *rest = ranked.items()
    floor = results.floor(space, METRIC)
    against = f"; training images have {number_text(floor)}" if floor is not None else ""
    text = f"{first} has the least FID in {space}, {_shown(best)}{against}"
    if not rest:
        return text + "."
    second, other = rest[0]
    text += f", before {second} with {_shown(other)}."
    if not math.isnan(best.place.leads):
        text += f" It leads in {best.place.leads:.0%} of the draws."
    firsts = {s: next(iter(others)) for s in results.spaces[1:] if (others := results.ranking(s, METRIC))}
    if differing := {s: name for s, name in firsts.items() if name != first}:
        text += " Not all feature spaces agree: " + ", ".join(f"{n} leads in {s}" for s, n in differing.items()) + "."
    return text


def record_of(results: Results) -> dict[str, Any]:
    """The content of `report.json`."""
    return {
        "conclusion": conclusion(results),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "budget": results.settings.budget,
        "settings": results.settings.record(),
        "warnings": results.doubts(),
        "missing": results.missing,
        "ranking": {
            space: {bundle: found.record() for bundle, found in results.ranking(space, METRIC).items()}
            for space in results.spaces
        },
        "floor": {
            space: {metric: results.floor(space, metric) for metric in (METRIC, *ALSO)} for space in results.spaces
        },
        "runs": [dict(found) for found in results.runs.values()],
    }


def markdown(results: Results, record: dict[str, Any]) -> str:
    """A table for each feature space."""
    parts = [record["conclusion"], ""]
    for space in results.spaces:
        table = _table(results, space)
        parts += [f"Feature space {space}, after {results.settings.budget}:", ""]
        parts += [f"| {' | '.join(table['columns'])} |", "|" + "---|" * len(table["columns"])]
        parts += [f"| {' | '.join(row)} |" for row in table["rows"]] + [""]
    parts += [f"- {sentence}" for sentence in (*record["warnings"], *(f"missing: {m}" for m in record["missing"]))]
    return "\n".join(parts).rstrip() + "\n"


def _table(results: Results, space: str) -> dict[str, Any]:
    """Bundles by rank, with the floor above and what they were before they were trained below."""
    columns = ["bundle", "FID", "95 percent", "leads", "rank", "seeds", *ALSO.values()]
    columns += ["untrained FID", "iterations", "images", "million parameters"]
    floor = [number_text(results.floor(space, metric)) for metric in ALSO]
    rows = [["training images", number_text(results.floor(space, METRIC)), "", "", "", "", *floor, "", "", "", ""]]
    for bundle, found in results.ranking(space, METRIC).items():
        (mean, _, _, seeds), place = found
        ranks, leads = f"{place.rank:.3g}", "" if math.isnan(place.leads) else f"{place.leads:.0%}"
        if place.low < place.high:
            ranks += f" ({place.low:.3g} to {place.high:.3g})"
        runs = results.of(bundle)
        last = [list(run["moments"].values())[-1] for run in runs.values()]
        scores = [number_text(_mean([v.value for v in results.values(bundle, space, metric)])) for metric in ALSO]
        untrained = _mean([v.value for v in results.values(bundle, space, METRIC, START)])
        rows.append(
            [
                *(bundle, number_text(mean), _ends(found), leads, ranks, str(seeds)),
                *scores,
                number_text(untrained),
                f"{_mean([facts['iteration'] for facts in last]):.0f}",
                f"{_mean([facts['images'] for facts in last]):.0f}",
                f"{next(iter(runs.values()))['parameters'] / 1e6:.2f}",
            ]
        )
    return {"columns": columns, "rows": rows}


def _rows(results: Results) -> Iterator[list[Any]]:
    """One row for each number."""
    for run, found in results.runs.items():
        for space, of in found["spaces"].items():
            for moment, scores in of["models"].items():
                facts = found["moments"].get(moment, {})
                spent = [facts.get(key) for key in ("seconds", "images", "iteration")]
                for metric, s in scores.items():
                    numbers = [s.get(key) for key in ("value", "low", "high")]
                    yield [run.bundle, run.seed, moment, *spent, space, metric, *numbers]


def _settings(results: Results) -> dict[str, str]:
    """What a reader of the page should know of how it was made."""
    found = next(iter(results.runs.values()))
    images = found["images"]
    counts = f"{images['real']} real images that no run was trained on; {images.get('1', 0)} are made at each moment"
    shown = {key: value for key, value in results.settings.record().items() if value not in (None, {}, [])}
    return {
        "images": counts,
        **{key: str(value) for key, value in shown.items()},
        "runs at a time": str(found.get("processes", "")),
        "threads": str(found.get("threads") or "torch's choice"),
        **{key: str(value) for key, value in found["machine"].items()},
        **found["versions"],
    }


def _ends(found: Ranked) -> str:
    """Ends of the interval; no FID is below 0, which an interval does not know."""
    _, low, high, _ = found.estimate
    return "" if math.isnan(low) else f"{number_text(max(low, 0.0))} to {number_text(high)}"


def _shown(found: Ranked) -> str:
    ends = _ends(found)
    return number_text(found.estimate.value) + (f" ({ends})" if ends else "")


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
