"""The command that checks the spacing of chest CT by lengths in the body."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from tools.data.image_sets import find_images, read_image
from tools.evaluation.page import csv_text, write_text
from tools.io.left_out import warn_of
from tools.io.readers import VolumeError
from tools.metrics.chest_lengths import lung_extent, rib_distance, vertebra_distance
from tools.options import listed

LENGTHS = {
    "lung_length": "lungs along the body",
    "lung_depth": "lungs from front to back",
    "lung_width": "lungs from side to side",
    "rib_distance": "from rib to rib",
    "vertebra_distance": "from vertebra to vertebra",
}
"""What is measured, in mm, and in words."""


def lengths(folders: str | Sequence[str], output: str | None = None) -> None:
    """Measure lungs, ribs and spine of chest CT in mm: did the spacing come out that was asked for?

    Patients of all spacings have lungs as large, and ribs and vertebrae as far apart; in a generator's volumes they are
    what its network made them, and right in mm only if the network knew the spacing. For each folder the median and the
    quartiles of its volumes are said. `tools.metrics.chest_lengths` says how it is measured.

    Args:
        folders: folders of volumes in HU, separated by commas.
        output: CSV file with every volume.
    """
    rows: list[dict] = []
    for folder in listed(folders):
        files, unread, found = find_images(folder), {}, []
        for file in tqdm(files, desc=folder, unit="volume", disable=None):
            try:
                volume, spacing = read_image(file)
                if spacing is None:
                    raise VolumeError.of(file.path, "it has no voxel size")
            except VolumeError as error:
                unread[file.id] = error.reason
                continue
            measured = (
                *lung_extent(volume, spacing),
                rib_distance(volume, spacing[0]),
                vertebra_distance(volume, spacing[0]),
            )
            where = {"folder": folder, "volume": file.id, "size": "x".join(map(str, volume.shape))}
            where["spacing_mm"] = "x".join(f"{mm:.4g}" for mm in spacing)
            found.append(where | dict(zip(LENGTHS, measured, strict=True)))
        if unread:
            warn_of(folder, unread, len(files))
        print(f"{folder}: {len(found)} volumes")
        for name, words in LENGTHS.items():
            print(f"  {words}: {quartiles([row[name] for row in found])}")
        rows += found
    if output is not None:
        write_text(
            output, csv_text(["folder", "volume", "size", "spacing_mm", *LENGTHS], (row.values() for row in rows))
        )


def quartiles(values: Sequence[float | None]) -> str:
    """Median and quartiles of the lengths that were found, in words."""
    known = [mm for mm in values if mm is not None]
    if not known:
        return "found in none"
    low, middle, high = np.quantile(known, (0.25, 0.5, 0.75))
    return f"{middle:.1f} mm (half of them {low:.1f} to {high:.1f}) in {len(known)}"
