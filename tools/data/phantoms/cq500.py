"""Head CT on disk in the layout of CQ500 (Chilamkurthy et al. 2018, doi 10.1016/S0140-6736(18)31645-3).

``CQ500CT0 CQ500CT0/Unknown Study/CT Plain/CT000000.dcm`` and so on, a folder for each patient, and ``reads.csv``: a row
for each scan, with what three radiologists read. Here all three read what is there. Beside these, ``Truth/CQ500-CT-0``
has the type of every voxel, ``labels.csv`` (``id,label``: 1 with bleeding), and ``phantom.json`` says how all was made.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tools.data.phantoms.folder import write_csv
from tools.data.phantoms.head_ct import DEFAULT_SHAPE, HeadPhantom
from tools.data.phantoms.head_patients import head_scans, record, write_head_phantoms, write_truth
from tools.data.phantoms.shapes import affine_of
from tools.io.dicom_writer import write_dicom_series

TYPES = {
    "IPH": "intraparenchymal",
    "IVH": "intraventricular",
    "SDH": "subdural",
    "EDH": "epidural",
    "SAH": "subarachnoid",
}
"""Their short names, in the order of the table."""

FINDINGS = (
    "ICH",
    *TYPES,
    "BleedLocation-Left",
    "BleedLocation-Right",
    "ChronicBleed",
    "Fracture",
    "CalvarialFracture",
    "OtherFracture",
    "MassEffect",
    "MidlineShift",
)

CHRONIC_DAYS = 21.0
"""After three weeks a subdural haematoma is called chronic."""

MIDLINE_MM = 5.0
"""From here on CQ500's readers called it a shift of the midline."""


def write_cq500_phantoms(
    output_dir: str | Path, count: int = 12, seed: int = 0, shape: Sequence[int] = DEFAULT_SHAPE, progress: bool = True
) -> Path:
    """`write_head_phantoms` in this layout: the split is by the hash of names, ``CQ500-CT-0``."""
    return write_head_phantoms(output_dir, "cq500", _write, count, seed, shape, progress)


def findings(phantom: HeadPhantom) -> list[int]:
    """0 or 1 for each of ``FINDINGS``."""
    present = {bleeding.type for bleeding in phantom.bleeds}
    sides = {bleeding.side for bleeding in phantom.bleeds}
    both = 0 in sides
    return [
        int(bool(present)),
        *(int(kind in present) for kind in TYPES.values()),
        int(both or 1 in sides),
        int(both or -1 in sides),
        int(bool(present) and phantom.days > CHRONIC_DAYS),
        0,
        0,
        0,
        int(any(bleeding.shift > 0 for bleeding in phantom.bleeds)),
        int(phantom.midline > MIDLINE_MM),
    ]


def _write(folder: Path, settings: dict[str, Any], progress: bool) -> list[dict]:
    volumes, rows = [], []
    for scan in head_scans(settings, lambda n: f"CQ500-CT-{n}", 0, lambda _: 1, progress):
        name, patient, phantom = f"CQ500-CT-{scan.number}", f"CQ500CT{scan.number}", scan.phantom
        write_dicom_series(
            folder / f"{patient} {patient}" / "Unknown Study" / "CT Plain",
            phantom.hu.T,
            affine_of(phantom.spacing, phantom.origin),
            description="CT Plain",
            image_type=("ORIGINAL", "PRIMARY", "AXIAL"),
            patient=patient,
            signed=True,
            rescale=(1, 0),
            uid_seed=f"{settings['seed']} {patient}",
            names="CT{:06d}.dcm",
        )
        # their files count from 0
        series = folder / f"{patient} {patient}" / "Unknown Study" / "CT Plain"
        for index in range(phantom.hu.shape[0]):
            (series / f"CT{index + 1:06d}.dcm").rename(series / f"CT{index:06d}.dcm")
        rows.append([name, "B1" if scan.number < 214 else "B2", *(3 * findings(phantom))])
        volumes.append(record(name, scan) | write_truth(folder, name, phantom))
    header = ["name", "Category", *(f"R{reader}:{finding}" for reader in (1, 2, 3) for finding in FINDINGS)]
    write_csv(folder / "reads.csv", header, rows)
    return volumes
