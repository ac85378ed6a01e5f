"""Chest CT with nodules painted into it, in the form of LUNA16: what a detector trains on."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tools.files import file_name, whole_file
from tools.io.nifti import write_nifti
from tools.io.provenance import Record

COLUMNS = ("seriesuid", "coordX", "coordY", "coordZ", "diameter_mm")
"""Columns of LUNA16's `annotations.csv`, mm in LPS."""


class PaintedFolder:
    """A folder of scans with nodules.

    `subset0/<scan>.nii.gz`, each with the voxels and the place of its original; `labels/<scan>.nii.gz`, 1 where there
    is a nodule; `annotations.csv` in LUNA16's form with all nodules of these scans, and `painted.csv`, those of them
    that were painted. LUNA16 has its scans as `.mhd`: names and tables are alike.

    Args:
        folder: folder, made if it does not exist.

    Example::

        folder = PaintedFolder("painted")
        folder.add("scan_1", hu, mask, affine, record, painted=[(-62.0, 10.5, -180.0, 9.0)])
        folder.finish()
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        self.folder = Path(folder)
        self._rows: dict[str, dict[str, list[Sequence[float]]]] = {}

    def add(
        self,
        scan: str,
        image: np.ndarray,
        mask: np.ndarray,
        affine: np.ndarray,
        record: Record,
        painted: Sequence[Sequence[float]],
        known: Sequence[Sequence[float]] = (),
    ) -> None:
        """Writes one scan with its label map.

        Args:
            scan: its name, without slashes.
            image: HU [x, y, z], whole numbers of 16 bits.
            mask: 1 where there is a nodule, of the same shape.
            affine: 4x4, voxel index to mm in RAS.
            record: origin of the scan, `Provenance(...).record(seed)`.
            painted: nodules that were painted, x, y, z and diameter in mm of RAS.
            known: nodules that were there before.
        """
        name = file_name(scan, ".nii.gz")
        write_nifti(self.folder / "labels" / name, mask.astype(np.uint8), affine, record)
        write_nifti(self.folder / "subset0" / name, image.astype(np.int16), affine, record)
        spheres = {"annotations.csv": [*painted, *known], "painted.csv": [*painted]}
        self._rows[name.removesuffix(".nii.gz")] = spheres

    def finish(self) -> Path:
        """Writes the tables; rows of scans that are in them already, from another run, stay."""
        for table in ("annotations.csv", "painted.csv"):
            path = self.folder / table
            rows = []
            if path.is_file():
                with path.open(newline="", encoding="utf-8") as file:
                    rows = [row for row in [*csv.reader(file)][1:] if row and row[0] not in self._rows]
            for scan, spheres in self._rows.items():
                for x, y, z, diameter in spheres[table]:
                    rows.append([scan, *(f"{value:.4f}" for value in (-x, -y, z, diameter))])
            with whole_file(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
                csv.writer(file, lineterminator="\n").writerows([COLUMNS, *sorted(rows)])
        return self.folder / "annotations.csv"
