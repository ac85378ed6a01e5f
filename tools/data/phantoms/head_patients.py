"""Which bleeding the patients of a set of head CT have, and the labels of their voxels beside a layout without any."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from tools.data.phantoms.bleeds import TYPES
from tools.data.phantoms.folder import checked_settings, numbered, write_folder
from tools.data.phantoms.head_ct import HeadPhantom, head_ct
from tools.data.phantoms.shapes import affine_of
from tools.io.nifti import write_nifti

VERSION = 1
"""Raise this when the same seed gives another phantom than before."""

LABELS = {0: "background", **dict(enumerate(TYPES, start=1))}
"""Of the voxels in ``Truth``: the types in the order of the RSNA's table."""


class HeadScan(NamedTuple):
    """One scan of one patient: the ``number`` of the patient and of the ``scan``, and on which side of the split."""

    phantom: HeadPhantom
    number: int
    scan: int
    validation: bool


def write_head_phantoms(
    output_dir: str | Path,
    layout: str,
    write: Callable[[Path, dict[str, Any], bool], list[dict]],
    count: int,
    seed: int,
    shape: Sequence[int],
    progress: bool,
) -> Path:
    """Write head CT to ``output_dir``, or return at once if they are there already; the folder appears complete.

    Args:
        output_dir: folder to create; its parents are created too.
        layout: name of the layout.
        write: function of the folder, the settings and ``progress`` that fills it.
        count: number of patients, at least 2; a tenth, but at least 4 of 20 or more, are for validation, one in ten by
            a hash.
        seed: number, 0 or more; another seed gives other patients.
        shape: slices, rows and columns of a scan.
        progress: True shows a progress bar.

    Raises:
        ValueError: an argument is out of range.
        FileExistsError: ``output_dir`` holds phantoms with other settings, or anything else.
    """
    settings = {**checked_settings("head", VERSION, count, seed, shape), "layout": layout}
    return write_folder(output_dir, settings, lambda folder: write(folder, settings, progress))


def bleeds_of(seed: int, number: int) -> tuple[str, ...]:
    """The types of bleeding that patient ``number`` has.

    One patient in three has none; the others have each type in turn, a third of them another one beside it.
    """
    rng = np.random.default_rng([seed, number, 2])
    if number % 3 == 0:
        return ()
    first = TYPES[(number - number // 3) % len(TYPES)]
    others = [kind for kind in TYPES if kind != first]
    return (first, str(rng.choice(others))) if rng.random() < 1 / 3 else (first,)


def head_scans(
    settings: dict[str, Any], name: Callable[[int], str], first: int, scans: Callable[[int], int], progress: bool
) -> Iterator[HeadScan]:
    """All scans of a set.

    Args:
        settings: settings of the set.
        name: name of a patient by the number; its hash decides on the side of the split.
        first: number of a patient.
        scans: number of scans of the patient of a number; a later one is of days later, when blood has faded.
        progress: True shows a progress bar.
    """
    seed, shape = settings["seed"], settings["shape"]
    patients = numbered(settings["count"], name, first)
    for number, _, validation in tqdm(patients, desc="heads", unit="patient", disable=not progress):
        days = None
        for scan in range(scans(number)):
            phantom = head_ct([seed, number], shape, bleeds_of(seed, number), days, scan)
            days = phantom.days + 5
            yield HeadScan(phantom, number, scan, validation)


def write_truth(folder: Path, name: str, phantom: HeadPhantom) -> dict[str, Any]:
    """CT and type of bleeding of every voxel as NIfTI in ``Truth/<name>``; their entries in ``phantom.json``."""
    files = {}
    for kind, array in (("ct", phantom.hu), ("labels", phantom.bleed_labels)):
        path = folder / "Truth" / name / f"{kind}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_nifti(path, array.T, affine_of(phantom.spacing, phantom.origin))
        files[kind] = path.relative_to(folder).as_posix()
    return {"images": {"ct": files["ct"]}, "annotation": files["labels"]}


def record(name: str, scan: HeadScan) -> dict[str, Any]:
    """What ``phantom.json`` says of a scan."""
    phantom = scan.phantom
    counts = np.bincount(phantom.bleed_labels.ravel(), minlength=len(LABELS))[1:]
    voxel = float(np.prod(phantom.spacing)) / 1000
    return {
        "id": name,
        "section": "validation" if scan.validation else "training",
        "label": int(counts.any()),
        "spacing": phantom.spacing,
        "days": round(phantom.days, 2) if counts.any() else None,
        "midline_shift_mm": round(phantom.midline, 2),
        "millilitres": {kind: round(float(n) * voxel, 2) for kind, n in zip(TYPES, counts, strict=True) if n},
    }
