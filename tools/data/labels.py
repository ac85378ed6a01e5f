"""Classes of volumes, for conditional generation."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path


def with_labels(datalist: Sequence[dict], labels_file: str | Path, num_classes: int) -> list[dict]:
    """Add "label" from a CSV file with the columns ``id`` and ``label`` (0 to num_classes - 1) to every item.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a column or a volume's label is missing, or a label is not a class.
    """
    path = Path(labels_file)
    if not path.is_file():
        raise FileNotFoundError(
            f"no {path}: {num_classes} classes need a CSV file with the columns 'id' (the name of the volume's file "
            "without its ending) and 'label'. Give it with --labels, or train without classes."
        )
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"id", "label"} <= set(rows[0]):
        raise ValueError(f"{path} has the columns {list(rows[0]) if rows else []}, expected 'id' and 'label'.")
    labels = {row["id"]: row["label"] for row in rows}
    missing = [item["id"] for item in datalist if item["id"] not in labels]
    if missing:
        raise ValueError(f"{path} has no label for {len(missing)} of {len(datalist)} volumes: {missing[:5]}.")
    classes = {str(c): c for c in range(num_classes)}
    wrong = {i: label for i, label in labels.items() if label not in classes}
    if wrong:
        raise ValueError(
            f"{path}: labels must be 0 to {num_classes - 1}, but {len(wrong)} are not: {list(wrong.items())[:5]}."
        )
    return [item | {"label": classes[labels[item["id"]]]} for item in datalist]
