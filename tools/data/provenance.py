"""Where training data come from, for a checkpoint."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from typing import Any

from tools.data.preprocessed import SETTINGS, phantom_info, preprocessed_info
from tools.data.store import mean_field_of_view
from tools.datasets.published import dataset_of_ids
from tools.transforms.spatial import FIELD_OF_VIEW


def subject_digest(subject: str) -> str:
    """Twelve hexadecimal digits that stand for a subject: who knows its name can tell whether it is meant."""
    return hashlib.sha256(str(subject).encode()).hexdigest()[:12]


def data_provenance(
    dataset_dir: str | os.PathLike | None,
    datalist: Sequence[dict[str, str]],
    fields_of_view: Sequence[Sequence[float]] | None = None,
) -> dict[str, Any]:
    """Describe where training data come from: numbers, strings, lists and dicts only.

    Args:
        dataset_dir: folder of the data; None where data of one's own need none.
        datalist: items that are trained on.
        fields_of_view: extent [axial, rows, columns] in mm of each cube that the networks see, where they see cubes of
            whole volumes. Cutting away blank slices, or all around a head, changes what space a cube covers, so that
            the headers of originals do not tell; see `Cubes.fields_of_view`.

    Returns:
        `kind`: "phantom" if the folder holds a phantom.json (then `phantom` is its content but its volumes), the name
        of a dataset if every id is one of its own (`dataset_of_ids`), else "volumes"; `volumes`, their number;
        `ids_sha256`, digest of their sorted ids; `subjects`, the `subject_digest` of each subject, sorted, by which
        `python -m tools usefulness` knows that none is tested on; with ``fields_of_view`` `field_of_view_mm`, their
        mean; `preprocessed`, its settings, if the folder was preprocessed.
    """
    info = preprocessed_info(dataset_dir)
    phantom = phantom_info(dataset_dir) if info is None else info.get("phantom")
    ids = sorted(item["id"] for item in datalist)
    published = None if dataset_dir is None else dataset_of_ids(ids)
    if phantom is not None:
        kind = "phantom"
    else:
        kind = "volumes" if published is None else published.name
    provenance: dict[str, Any] = {
        "kind": kind,
        "volumes": len(ids),
        "ids_sha256": hashlib.sha256("\n".join(ids).encode()).hexdigest(),
        "subjects": sorted({subject_digest(item.get("subject", item["id"])) for item in datalist}),
    }
    if fields_of_view is not None:
        provenance[FIELD_OF_VIEW] = mean_field_of_view(fields_of_view)
    if phantom is not None:
        provenance["phantom"] = {key: value for key, value in phantom.items() if key != "volumes"}
    if info is not None:
        provenance["preprocessed"] = {key: info[key] for key in (*SETTINGS, "digest") if key in info}
    return provenance
