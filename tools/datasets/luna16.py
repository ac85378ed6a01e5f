"""LUNA16 (Setio et al. 2017): 888 chest CT in ten numbered folders; the last is held out, as in CRF-GAN's paper.

`annotations.csv` has the centre and the diameter of each of 1,186 nodules, those of 3 mm or more that at least three of
four radiologists marked. Nobody drew their outlines there: as a label, a nodule is a sphere of its diameter.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from pathlib import Path

from tools.datasets.record import IMAGE_ROLES, Dataset, Images, Labels, Sphere

ANNOTATIONS = "annotations.csv"
COLUMNS = ("seriesuid", "coordX", "coordY", "coordZ", "diameter_mm")


def annotations(folder: Path) -> Mapping[str, list[Sphere]] | None:
    """Nodules by the id of their series, in mm of RAS; None without a table.

    Of several tables the one nearest to ``folder`` is read, for LUNA16's evaluation script has a copy.

    Raises:
        ValueError: a row has no series, or no centre and diameter; it is named.
    """
    tables = sorted(folder.rglob(ANNOTATIONS), key=lambda path: (len(path.parts), path))
    return read_annotations(tables[0]) if tables else None


def read_annotations(table: Path) -> dict[str, list[Sphere]]:
    """Nodules of a table in the form of LUNA16's, by the id of their series, in mm of RAS.

    Raises:
        ValueError: a row has no series, or no centre and diameter; it is named.
    """
    found: dict[str, list[Sphere]] = {}
    with open(table, newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        for row in rows:
            try:
                x, y, z, diameter = (float(row[name]) for name in COLUMNS[1:])
                nodules = found.setdefault(row[COLUMNS[0]], [])
            except (KeyError, TypeError, ValueError):
                diameter = math.nan
            if not (diameter > 0 and math.isfinite(x + y + z + diameter)):
                raise ValueError(
                    f"{table}, line {rows.line_num}: expected seriesuid, coordX, coordY, coordZ in mm of LPS and "
                    f"diameter_mm above 0, got {dict(row)}"
                )
            nodules.append((-x, -y, z, diameter))
    return found


LUNA16 = Dataset(
    name="luna16",
    looks="subset0 to subset9 with .mhd files as LUNA16 is published",
    images={"ct": Images(r"(.*/)?subset\d+/(?P<id>[^/]+)", voxels="CT")},
    ids=r"1\.3\.6\.1\.4\.1\.14519\.5\.2\.1\.6279\.6001\.",  # every series of LIDC-IDRI, hence of LUNA16
    labels=Labels(None, {"nodule": 1}, by="spheres", spheres=annotations),
    fold=r"subset(\d+)",
    folds="subsets",
    validation_folds=(9,),
    roles=IMAGE_ROLES | {"ct"},
    source="LUNA16, https://luna16.grand-challenge.org (a subset of LIDC-IDRI)",
    files="MetaImage",
    reference="Setio AAA et al. Validation, comparison, and combination of algorithms for automatic detection of "
    "pulmonary nodules in computed tomography images: the LUNA16 challenge. Med Image Anal 42:1-13, 2017.",
    terms="""\
LUNA16 (https://luna16.grand-challenge.org) is a subset of LIDC-IDRI (https://doi.org/10.7937/K9/TCIA.2015.LO9QL9SX),
published by The Cancer Imaging Archive under the Creative Commons Attribution 3.0 Unported licence (CC BY 3.0,
https://creativecommons.org/licenses/by/3.0/). The volumes are not part of this bundle. Read the terms on both sites
before you use them, and cite:
- Armato SG III et al. The Lung Image Database Consortium (LIDC) and Image Database Resource Initiative (IDRI): a
  completed reference database of lung nodules on CT scans. Med Phys 38(2):915-931, 2011.
- Setio AAA et al. Validation, comparison, and combination of algorithms for automatic detection of pulmonary nodules
  in computed tomography images: the LUNA16 challenge. Med Image Anal 42:1-13, 2017.
""",
)
