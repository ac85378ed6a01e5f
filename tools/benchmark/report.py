"""Outcomes and the paper's values side by side, as Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from tools.benchmark.configs import dimensions
from tools.benchmark.processes import OK, OUT_OF_MEMORY, Outcome
from tools.benchmark.published import DOES_NOT_FIT, SOURCE, printed
from tools.files import whole_file

TITLES = {
    "parameters": "Learnable parameters (Table 3)",
    "memory": "Peak memory during training in MB (Table 4)",
    "speed": "Training iterations per second (section 3.3.1)",
}
"""The tables, in the order of the report."""

POWERS = {2: "²", 3: "³"}
"""By the dimensions of what a bundle makes."""

FAILED_CELL = "failed"


class Key(NamedTuple):
    """What an outcome is about; ``batch_size`` is None for parameters."""

    table: str
    image_size: int
    batch_size: int | None
    bundle: str


@dataclass(frozen=True)
class Row:
    """A bundle in one line of a table.

    Args:
        table: table, see ``Key``.
        image_size: voxels or pixels a side, see ``Key``.
        batch_size: volumes or slices in a batch, see ``Key``.
        bundle: name of the bundle, see ``Key``.
        value: median of the rounds; "-" if it does not fit into memory; "failed".
        low: least value of the rounds.
        high: largest value of the rounds.
        paper: value in the paper: a number, "-" or None.
        reference: bundle to which the ratios are, None where there are none.
        ratio: median of the ratios, pair by pair: round by round.
        ratio_low: least of the ratios.
        ratio_high: largest of the ratios.
        paper_ratio: the same of the paper's values.
        rounds: value of each round.
    """

    table: str
    image_size: int
    batch_size: int | None
    bundle: str
    value: float | str
    low: float | None
    high: float | None
    paper: float | str | None
    reference: str | None
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    paper_ratio: float | None
    rounds: list[float]


def make_rows(outcomes: Mapping[Key, Sequence[Outcome]], reference: str) -> list[Row]:
    """A row per key; every bundle but the reference gets ratios to it, where both have values."""
    return [_row(key, outcomes, reference) for key in outcomes]


def _row(key: Key, outcomes: Mapping[Key, Sequence[Outcome]], reference: str) -> Row:
    values = [outcome.value for outcome in outcomes[key]]
    stopped = [outcome.status for outcome in outcomes[key] if outcome.status != OK]
    if stopped:
        value, low, high = (DOES_NOT_FIT if stopped[0] == OUT_OF_MEMORY else FAILED_CELL), None, None
    else:
        value, low, high = spread(values)
    paper = printed(key.table, key.bundle, key.image_size, key.batch_size)
    other = key._replace(bundle=reference)
    paired = key.bundle != reference and other in outcomes
    theirs = [outcome.value for outcome in outcomes[other]] if paired else []
    ratio, ratio_low, ratio_high = spread(ratios(values, theirs))
    paper_ratios = ratios([paper], [printed(key.table, reference, key.image_size, key.batch_size)]) if paired else []
    return Row(
        **key._asdict(),
        value=value,
        low=low,
        high=high,
        paper=paper,
        reference=reference if paired else None,
        ratio=ratio,
        ratio_low=ratio_low,
        ratio_high=ratio_high,
        paper_ratio=paper_ratios[0] if paper_ratios else None,
        rounds=[v for v in values if v is not None],
    )


def ratios(values: Iterable[float | str | None], reference: Iterable[float | str | None]) -> list[float]:
    """Each value over the one of the reference that was measured next to it; pairs without two numbers are left out."""
    return [
        ours / theirs
        for ours, theirs in zip(values, reference, strict=False)  # the last round may not be complete yet
        if isinstance(ours, int | float) and isinstance(theirs, int | float)
    ]


def spread(values: Sequence[float]) -> tuple[float, float, float] | tuple[None, None, None]:
    """Median, lowest and highest."""
    return (median(values), min(values), max(values)) if values else (None, None, None)


def markdown(rows: Sequence[Row], bundles: Sequence[str], about: Mapping[str, Any]) -> str:
    """The report as tables, a line per size and batch, each of our values before the paper's."""
    blocks = ["# Cost of training", "\n".join(f"- {key}: {_listed(value)}" for key, value in about.items())]
    for table, title in TITLES.items():
        chosen = [row for row in rows if row.table == table]
        if chosen:
            blocks += [f"## {title}", _table(chosen, bundles)]
    blocks.append(
        f"Paper: {SOURCE}.\n"
        "Ratios are those of values measured one directly after the other; several rounds give median (lowest to "
        f'highest). "{DOES_NOT_FIT}" does not fit into memory.'
    )
    return "\n\n".join(blocks) + "\n"


def _table(rows: Sequence[Row], bundles: Sequence[str]) -> str:
    reference, others = bundles[0], bundles[1:]
    header = ["size", "batch"]
    for bundle in bundles:
        header += [bundle, "paper"]
    for bundle in others:
        header += [f"{bundle} / {reference}", "paper"]
    lines = [header, ["---:"] * len(header)]
    powers = {POWERS[dimensions(bundle)] for bundle in bundles}
    power = powers.pop() if len(powers) == 1 else ""
    for image_size, batch_size in dict.fromkeys((row.image_size, row.batch_size) for row in rows):
        by_bundle = {r.bundle: r for r in rows if (r.image_size, r.batch_size) == (image_size, batch_size)}
        line = [f"{image_size}{power}", str(batch_size or "")]
        for bundle in bundles:
            line += _values(by_bundle[bundle]) if bundle in by_bundle else ["", ""]
        for bundle in others:
            line += _ratios(by_bundle[bundle]) if bundle in by_bundle else ["", ""]
        lines.append(line)
    if rows[0].table == "parameters":  # have no batch
        lines = [line[:1] + line[2:] for line in lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _values(row: Row) -> list[str]:
    shown = {"parameters": "{:,}", "memory": "{:.0f}", "speed": "{:.3f}"}[row.table]
    in_paper = "{:.2f} M" if row.table == "parameters" else shown
    paper = row.paper / 1e6 if row.table == "parameters" and row.paper is not None else row.paper
    return [_cell(row.value, row.low, row.high, shown), _cell(paper, None, None, in_paper)]


def _ratios(row: Row) -> list[str]:
    return [
        _cell(row.ratio, row.ratio_low, row.ratio_high, "{:.3f}"),
        _cell(row.paper_ratio, None, None, "{:.3f}"),
    ]


def _cell(value: float | str | None, low: float | None, high: float | None, shown: str) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    text = shown.format(value)
    return text if low in (None, high) else f"{text} ({shown.format(low)} to {shown.format(high)})"


def _listed(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_listed(item)}" for key, item in value.items()) or "none"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def comma_separated(rows: Sequence[Row]) -> str:
    """The rows as CSV, all but what was measured in each round."""
    columns = [field.name for field in fields(Row) if field.name != "rounds"]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return text.getvalue()


def write_report(folder: Path, rows: Sequence[Row], bundles: Sequence[str], about: Mapping[str, Any]) -> str:
    """Write benchmark.md, .csv and .json, each as a whole, and return the first.

    Args:
        folder: folder of the report, made if need be.
        rows: result of ``make_rows``.
        bundles: bundles in the order of the columns, the reference first.
        about: machine, versions, settings and date.
    """
    texts = {
        "md": markdown(rows, bundles, about),
        "csv": comma_separated(rows),
        "json": json.dumps({**about, "paper": SOURCE, "rows": [asdict(row) for row in rows]}, indent=2) + "\n",
    }
    for ending, text in texts.items():
        with whole_file(folder / f"benchmark.{ending}") as partial:
            partial.write_text(text, encoding="utf-8")
    return texts["md"]
