"""Writes the metrics of an evaluation to files that say what was measured, in which feature space and on what."""

from __future__ import annotations

import csv
import io
import json
import logging
import math
import numbers
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import monai
import torch
from ignite.engine import Engine, Events

from tools.files import whole_file

logger = logging.getLogger(__name__)

COLUMNS = ("metric", "value", "feature_space", "real_volumes", "synthetic_volumes")


class MetricsReport:
    """Ignite handler that writes `metrics.json` and `metrics.csv` when an evaluator has completed.

    `metrics.json` holds every scalar metric of the engine, the summary of every feature space (label, note, distances,
    numbers of volumes and value ranges, see `tools.metrics.handlers.FeatureDistances`), the versions of torch and
    MONAI, the date (UTC) and the note. `metrics.csv` has a row per metric and feature space. Each file is replaced as
    a whole, by the first process only.

    Args:
        output_dir: folder for the files, made if need be.
        note: free text for the reader, such as which checkpoint and which data.
        filename: name of the files without suffix.

    Example::

        {"_target_": "tools.metrics.report.MetricsReport", "output_dir": "@output_dir"}
    """

    def __init__(self, output_dir: str | os.PathLike, note: str = "", filename: str = "metrics") -> None:
        self.output_dir = Path(output_dir)
        self.note = note
        self.filename = filename

    def attach(self, engine: Engine) -> None:
        """Write when `engine`, an evaluator, completes."""
        engine.add_event_handler(Events.COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Write the metrics in `engine.state` now."""
        if idist.get_rank() != 0:
            return
        spaces = getattr(engine.state, "feature_spaces", {})
        metrics = {
            name: _finite(value) for name, value in engine.state.metrics.items() if isinstance(value, numbers.Real)
        }
        report = {
            "metrics": metrics,
            "feature_spaces": spaces,
            "note": self.note,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": {"torch": torch.__version__, "monai": monai.__version__},
        }
        path = self.output_dir / f"{self.filename}.csv"
        with whole_file(path.with_suffix(".json")) as partial:
            partial.write_text(json.dumps(report, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        with whole_file(path) as partial:
            partial.write_text(_csv(_rows(metrics, spaces)), encoding="utf-8")
        logger.info("wrote %s and %s", path.with_suffix(".json"), path)


def _rows(metrics: dict[str, float | None], spaces: dict[str, dict[str, Any]]) -> list[tuple]:
    rows = [
        (name, value, label, space["real"]["volumes"], space["synthetic"]["volumes"])
        for label, space in spaces.items()
        for name, value in space["distances"].items()
    ]
    in_spaces = {row[0] for row in rows}
    return rows + [(name, value, "", "", "") for name, value in metrics.items() if name not in in_spaces]


def _csv(rows: list[tuple]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    return text.getvalue()


def _finite(value: numbers.Real) -> float | None:
    """JSON has no NaN; null says that there is no value."""
    return float(value) if math.isfinite(value) else None
