"""The report: a table for each part."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tools.benchmark.processes import FAILED, OUT_OF_MEMORY, Outcome
from tools.benchmark.published import DOES_NOT_FIT, SOURCE, printed
from tools.files import whole_file
from tools.gpu.life import Step
from tools.gpu.plan import Measurement

PARTS = {
    "life": ("Life at a small size", ("bundle", "step", "result")),
    "equality": (
        "Equality with the CPU",
        ("bundle", "size", "of", "precision", "difference", "at most", "result"),
    ),
    "speed": (
        "A training step in batches of 2",
        ("bundle", "size", "form", "precision", "seconds", "peak, MB"),
    ),
    "memory": (
        "Peak memory of training beside the paper's Table 4",
        ("bundle", "size", "batch", "MB", "paper, MB"),
    ),
    "generation": (
        "Generating a volume",
        ("bundle", "size", "form", "precision", "seconds", "peak, MB"),
    ),
}
"""Title and columns of every part."""

NOTES = {
    "equality": "Losses and gradients of a step are compared with the CPU's in double precision, each by its Euclidean "
    "norm, and relative to it; outputs with the CPU's in fp32, as the largest difference of a voxel in [-1, 1].",
    "speed": "fp32 without and tf32 with factors rounded to 10 bits; torch's default lets convolutions do so.",
    "memory": f"What torch's tensors took at most, in MB of 2^20 bytes, in torch's default precision. Paper: {SOURCE}.",
}


@dataclass(frozen=True)
class Line:
    """A line of a table.

    Args:
        cells: cells as they are shown.
        value: measured value; None where nothing was measured.
        peak: MB held at most; None where nothing was measured.
        problem: reason why it is not as it should be; empty if it is.
    """

    cells: tuple[str, ...]
    value: float | None = None
    peak: float | None = None
    problem: str = ""

    def __str__(self) -> str:
        return ", ".join(cell for cell in self.cells if cell) + (f": {self.problem}" if self.problem else "")


def life_line(step: Step) -> Line:
    """Return what a bundle did."""
    result = "failed" if step.problem else "done"
    return Line((step.bundle, step.name, result), step.seconds, problem=step.problem)


def measured_line(measurement: Measurement, outcome: Outcome) -> Line:
    """Return what became of a measurement. That something does not fit into memory is a result."""
    case = measurement.case
    problem = outcome.message if outcome.status == FAILED else ""
    value = outcome.value
    dash = DOES_NOT_FIT if outcome.status == OUT_OF_MEMORY else "failed"
    if case.table == "memory":
        paper = printed("memory", case.bundle, case.image_size, case.batch_size)
        shown = dash if value is None else f"{value:.0f}"
        cells = (case.bundle, f"{case.image_size}", f"{case.batch_size}", shown, "" if paper is None else str(paper))
        return Line(cells, value, value, problem)
    if measurement.bound is not None:
        within = value is not None and value <= measurement.bound  # NaN is not
        if value is not None and not within:
            problem = f"differs by {value:.1e}, at most {measurement.bound:.0e} is allowed"
        shown = dash if value is None else f"{value:.1e}"
        result = "equal" if within else dash if value is None else "differs"
        form, precision = measurement.form, measurement.precision
        cells = (case.bundle, f"{case.image_size}", form, precision, shown, f"{measurement.bound:.0e}", result)
        return Line(cells, value, outcome.peak, problem)
    if value is not None and case.table == "speed":
        value = 1 / value
    shown = dash if value is None else f"{value:.3g}"
    peak = "" if outcome.peak is None else f"{outcome.peak:.0f}"
    cells = (case.bundle, f"{case.image_size}", measurement.form, measurement.precision, shown, peak)
    return Line(cells, value, outcome.peak, problem)


def markdown(lines: Mapping[str, Sequence[Line]], about: Mapping[str, Any]) -> str:
    """All tables, under the name of the card."""
    machine = about["machine"]
    blocks = [f"# On {machine.get('gpu', machine['cpu'])}"]
    blocks.append("\n".join(f"- {key}: {_listed(value)}" for key, value in about.items()))
    for part, rows in lines.items():
        title, columns = PARTS[part]
        table = [columns, ("---",) * len(columns), *(row.cells for row in rows)]
        blocks += [f"## {title}", "\n".join(f"| {' | '.join(cells)} |" for cells in table)]
        blocks += [NOTES[part]] if part in NOTES else []
    return "\n\n".join(blocks) + "\n"


def _listed(value: Any) -> str:
    return ", ".join(f"{key} {item}" for key, item in value.items()) if isinstance(value, Mapping) else str(value)


def write_report(folder: Path, lines: Mapping[str, Sequence[Line]], about: Mapping[str, Any]) -> str:
    """Write gpu.md and gpu.json, each as a whole, and return the first."""
    text = markdown(lines, about)
    record = {**about, "parts": {part: [asdict(row) for row in rows] for part, rows in lines.items()}}
    for ending, content in (("md", text), ("json", json.dumps(record, indent=2) + "\n")):
        with whole_file(folder / f"gpu.{ending}") as partial:
            partial.write_text(content, encoding="utf-8")
    return text
