"""The command that checks the spacing of chest CT by a length in the body."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tools.data.image_sets import find_images, read_image
from tools.files import whole_file
from tools.io.left_out import warn_of
from tools.io.readers import VolumeError
from tools.metrics.ribs import rib_distance
from tools.options import listed

COLUMNS = ("folder", "volume", "slices", "spacing_mm", "rib_distance_mm")


def ribs(folders: str | Sequence[str], output: str | None = None) -> None:
    """Measure the distance between neighbouring ribs of chest CT in mm: did the spacing come out that was asked for?

    Patients of all spacings have ribs as far apart; in a generator's volumes they are where its network put them, and
    their distance in mm is right only if the network knew the spacing. One line for each folder has the median and the
    quartiles of its volumes. `tools.metrics.ribs` says how it is measured.

    Args:
        folders: folders of volumes in HU, separated by commas.
        output: CSV file with every volume.
    """
    rows: list[dict] = []
    for folder in listed(folders):
        files, unread = find_images(folder), {}
        for file in tqdm(files, desc=folder, unit="volume", disable=None):
            try:
                volume, spacing = read_image(file)
                if spacing is None:
                    raise VolumeError.of(file.path, "it has no voxel size")
            except VolumeError as error:
                unread[file.id] = error.reason
                continue
            values = (folder, file.id, len(volume), round(spacing[0], 4), rib_distance(volume, spacing[0]))
            rows.append(dict(zip(COLUMNS, values, strict=True)))
        if unread:
            warn_of(folder, unread, len(files))
        print(sentence(folder, [row for row in rows if row["folder"] == folder]))
    if output is not None:
        with whole_file(Path(output)) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, COLUMNS)
            table.writeheader()
            table.writerows(rows)


def sentence(folder: str, rows: Sequence[dict]) -> str:
    """What was measured in a folder, in words."""
    found = [(row["rib_distance_mm"], row["spacing_mm"]) for row in rows if row["rib_distance_mm"] is not None]
    told = f"{folder}: ribs in {len(found)} of {len(rows)} volumes"
    if not found:
        return told
    low, middle, high = np.quantile([mm for mm, _ in found], (0.25, 0.5, 0.75))
    slices = np.median([mm / spacing for mm, spacing in found])
    return f"{told}, {middle:.1f} mm apart (half of them {low:.1f} to {high:.1f}), {slices:.1f} slices"
