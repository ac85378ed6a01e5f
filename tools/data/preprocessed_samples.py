"""Labelled samples that `python -m tools preprocess` made: what is in the folder, as datalists have it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from tools.data.preprocessed import SAMPLES
from tools.data.stored_samples import STORED
from tools.datasets.record import Dataset
from tools.datasets.splitting import split
from tools.io.volume import VolumeError

CLASSES = ("class", "findings")
"""What the classes of the samples are, if they have any: of the scan, or the findings of each slice or scan."""


def stored_datalist(
    dataset: Dataset,
    folder: Path,
    info: Mapping[str, Any],
    section: str,
    classes: str | None = None,
    validation_folds: Collection[int] | None = None,
) -> list[dict[str, Any]]:
    """Datalist of one section of a preprocessed folder, split as the original is.

    Args:
        dataset: record of the dataset, which says how it is split.
        folder: folder.
        info: its manifest, see `tools.data.preprocessed.finished_info`.
        section: "training" or "validation".
        classes: one of `CLASSES` if each item must have them.
        validation_folds: numbers of the publisher's folders for validation; those of the record if None.

    Returns:
        ``[{"id", "subject", "stored": path of its description, ...}, ...]``, with "class", which is in the store, where
        ``classes`` are asked for.

    Raises:
        VolumeError: the folder holds no samples, or samples without these classes.
    """
    if info["kind"] not in SAMPLES:
        raise VolumeError.of(
            folder, f"it was preprocessed as {info['kind']}, expected labelled {' or '.join(SAMPLES)}, see --kind"
        )
    if classes is not None and info["classes"] != classes:
        has = f"the {info['classes']}" if info["classes"] else "no classes"
        raise VolumeError.of(folder, f"its samples have {has} of the dataset's table, expected the {classes}")

    def held_out(item: Mapping[str, Any]) -> bool:
        return dataset.holds_out(item["subject"], item["folders"], validation_folds)

    items = [{"id": name, **entry} for name, entry in sorted(info["volumes"].items())]
    rule, few = dataset.rule(validation_folds), dataset.share_few
    chosen = split(items, section, held_out, folder, "cases", rule, few, stacklevel=3)
    return [
        {"id": item["id"], "subject": item["subject"], STORED: str(folder / item["image"])}
        | ({} if classes is None else {"class": classes})
        for item in chosen
    ]
