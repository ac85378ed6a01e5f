"""Results of single trainings in files of their own, for a run that is continued."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tools.evaluation.page import write_text
from tools.files import whole_file
from tools.usefulness.design import Arm
from tools.usefulness.samples import LabelledSet


class Kept:
    """The result of one training: its table, and what a picture shows of its predictions.

    Args:
        folder: folder for the files.
        arm: training, but for its seed.
        seed: its seed.
        settings: settings that a result depends on.
        sets: sets that it depends on.
    """

    def __init__(
        self, folder: Path, arm: Arm, seed: int, settings: Mapping[str, Any], sets: Sequence[LabelledSet]
    ) -> None:
        words = (arm.way, arm.model, str(arm.amount or ""), f"seed{seed}")
        self.path = folder / f"{'-'.join(filter(None, words)).replace(' ', '_')}.json"
        self.key = dict(settings) | {
            "cases": [len(of) for of in sets],
            "sum": [float(of.images.double().sum()) for of in sets],
            "labels": [int(of.labels.long().sum()) for of in sets],
        }

    def load(self) -> np.ndarray | None:
        """Table [cases, columns], None where there is none, or of other data or settings."""
        if not self.path.is_file():
            return None
        content = json.loads(self.path.read_text(encoding="utf-8"))
        return np.array(content["table"], float) if content["key"] == self.key else None

    def sections(self) -> np.ndarray | None:
        """Slices of the predictions, of a training whose table is there; None where none were kept."""
        if not self._sections.is_file():
            return None
        with np.load(self._sections) as content:
            return content["sections"]

    def save(self, table: np.ndarray, sections: np.ndarray | None = None) -> None:
        """Keep a table and slices of the predictions; the table is written last, and stands for both."""
        if sections is not None:
            with whole_file(self._sections) as partial, open(partial, "wb") as file:
                np.savez_compressed(file, sections=sections)
        rows = [[None if np.isnan(value) else value for value in row] for row in table.tolist()]
        write_text(self.path, json.dumps({"key": self.key, "table": rows}, indent=1))

    @property
    def _sections(self) -> Path:
        return self.path.with_suffix(".npz")
