"""Nodules of LUNA16, each as an item of its own."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import Any

import numpy as np

from tools.data.cases import case_datalist
from tools.data.preprocessed import finished_info
from tools.datasets.luna16 import LUNA16
from tools.io.readers import VolumeError
from tools.io.volume_reader import volume_header


def nodule_datalist(
    folder: str | os.PathLike, section: str, validation_folds: Collection[int] | None = None
) -> list[dict[str, Any]]:
    """Datalist of the nodules in LUNA16's `annotations.csv`, split as its scans are, for `nodule_crops`.

    Args:
        folder: folder of LUNA16, or of phantoms in its layout, with the table in it or below.
        section: "training" or "validation".
        validation_folds: numbers of the subsets for validation; 9 if None.

    Returns:
        ``[{"id": series and number of the nodule, "subject": series, "image": [path], "centre": [x, y, z] in mm of RAS,
        "centre_voxels": the same as index along the file's axes, "diameter": mm, "label": all nodules of the scan,
        ...}, ...]``; the rest is as `case_datalist` has it.

    Raises:
        FileNotFoundError: there is no such folder, or no scan of LUNA16 in it.
        VolumeError: the folder is preprocessed, no scan of the section can be used, or there is no table, or no nodule
            in them.
        ValueError: ``section`` is neither, or the table is damaged.
    """
    if finished_info(folder) is not None:
        raise VolumeError.of(folder, "it is preprocessed; cubes around nodules are cut out of the original dataset")
    scans = case_datalist(LUNA16, folder, section, labelled=True, validation_folds=validation_folds)
    found = []
    for scan in scans:
        to_voxels = np.linalg.inv(volume_header(scan["image"][0]).affine)
        for number, (*centre, diameter) in enumerate(scan["label"], start=1):
            place = {"centre": centre, "centre_voxels": (to_voxels @ [*centre, 1])[:3].tolist(), "diameter": diameter}
            found.append(scan | {"id": f"{scan['id']}_{number}"} | place)
    if not found:
        raise VolumeError.of(folder, f"none of the {len(scans)} scans for {section} has a nodule in its table")
    return found
