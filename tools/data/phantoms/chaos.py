"""Abdomen phantoms on disk in the layout of CHAOS, so that phantoms and the real scans take the same path.

``Train_Sets/MR/<n>/T1DUAL/DICOM_anon/{InPhase,OutPhase}``, ``T2SPIR/DICOM_anon`` beside ``T1DUAL``, and
``Train_Sets/CT/<n>/DICOM_anon``, with what is peculiar to CHAOS: every file is a series of its own, the files of both
echoes are numbered in turn, MR has 12 bits and CT 16, T2 lies on another grid than T1, and MR and CT with the same
number are different people. ``Ground`` beside the slices has the organs (liver, kidneys and spleen in MR, the liver in
CT) as PNG; CHAOS has them in ``Train_Sets`` alone.

Only ``Test_Sets`` differs: there MR and CT with the same number are one body, so that a translation can be checked.
``truth.json`` lists for every one of these MR studies its true CT, on the grid of the T1 images, and the labels of its
tissues, both in ``Truth``. ``labels.csv`` (``id,label``: 1 with a fatty liver, 0 without) is for conditional training,
and ``phantom.json`` says how all was made.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from tools.data.phantoms.abdomen import DEFAULT_SHAPE, Volume, abdomen_ct, abdomen_t1, abdomen_t2, abdomen_true_ct
from tools.data.phantoms.abdomen_body import AbdomenBody
from tools.data.phantoms.abdomen_tissues import STEATOSIS, Abdomen, tissue_class
from tools.data.phantoms.chaos_ground import CT_VALUES, MR_VALUES, write_ground
from tools.data.phantoms.folder import checked_settings, write_folder
from tools.data.phantoms.shapes import affine_of
from tools.io.dicom_writer import write_dicom_series
from tools.io.nifti import write_nifti

VERSION = 1
"""Raise this when the same seed gives another phantom than before."""

IN_PHASE_MS, OUT_PHASE_MS, T2_MS = 4.6, 2.3, 70.0
"""Echo times."""


def write_chaos_phantoms(
    output_dir: str | Path,
    count: int = 16,
    seed: int = 0,
    shape: Sequence[int] = DEFAULT_SHAPE,
    contrast: bool = True,
    progress: bool = True,
) -> Path:
    """Write abdomen phantoms to ``output_dir``, or return at once if they are there already.

    The folder appears only when it is complete, so several processes may ask for it at the same time: each gets it.
    A body depends on ``seed``, its place in its set and ``shape`` alone, to the byte where the package versions are
    the same; with another ``contrast`` it is the same body.

    Args:
        output_dir: folder to create; its parents are created too.
        count: number of bodies, at least 4. A quarter of them, at least 2, are held out in ``Test_Sets`` with MR and
            CT each; of the others one half has MR and the other half CT, never both.
        seed: non-negative; another seed gives other patients.
        shape: slices, rows and columns of the T1 images. T2 has 7/8 of the slices; CT has 5/2 of the slices and 4/3 of
            the rows and columns.
        contrast: True for CT in the portal venous phase, as CHAOS's is; False for CT without contrast agent.
        progress: True shows a progress bar.

    Returns:
        ``output_dir`` as a path.

    Raises:
        ValueError: an argument is out of range.
        FileExistsError: ``output_dir`` holds phantoms with other settings, or anything else.
    """
    if count < 4:
        raise ValueError(f"count must be at least 4, one body with MR, one with CT and two to check; got {count}")
    settings = {**checked_settings("abdomen", VERSION, count, seed, shape), "contrast": bool(contrast)}
    return write_folder(output_dir, settings, lambda folder: _write(folder, settings, progress))


def split(count: int) -> tuple[int, int, int]:
    """Return how many of ``count`` bodies have MR alone, CT alone, and both."""
    both = max(2, count // 4)
    return (count - both + 1) // 2, (count - both) // 2, both


def ct_shape(shape: Sequence[int]) -> tuple[int, int, int]:
    """Slices, rows and columns of CT beside T1 images of ``shape``."""
    slices, rows, columns = shape
    return round(slices * 5 / 2), round(rows * 4 / 3), round(columns * 4 / 3)


def t2_shape(shape: Sequence[int]) -> tuple[int, int, int]:
    """Slices, rows and columns of the T2 image beside T1 images of ``shape``."""
    return round(shape[0] * 7 / 8), shape[1], shape[2]


def _write(folder: Path, settings: dict[str, Any], progress: bool) -> list[dict]:
    seed, shape, contrast = settings["seed"], settings["shape"], settings["contrast"]
    mr, ct, both = split(settings["count"])
    volumes, truth = [], {}
    with tqdm(total=mr + ct + both, desc="abdomen phantoms", unit="body", disable=not progress) as bar:
        for i in range(mr):
            body = AbdomenBody.draw([seed, 0, i])
            volumes.append(_write_mr(folder, "Train_Sets", i + 1, body, seed, shape))
            bar.update()
        for i in range(ct):
            body = AbdomenBody.draw([seed, 1, i])
            volumes.append(_write_ct(folder, "Train_Sets", i + 1, body, seed, shape, contrast))
            bar.update()
        for i in range(both):
            number = max(mr, ct) + i + 1  # as in CHAOS, no number is in both sets
            body = AbdomenBody.draw([seed, 2, i])
            volumes.append(_write_mr(folder, "Test_Sets", number, body, seed, shape))
            volumes.append(_write_ct(folder, "Test_Sets", number, body, seed, shape, contrast))
            truth[f"MR/{number}"] = _write_truth(folder, number, abdomen_true_ct(body, shape, contrast))
            bar.update()
    patient = [label for label in Abdomen if label not in (Abdomen.TABLE, Abdomen.TABLE_FOAM)]
    record = {
        "classes": {str(int(label)): tissue_class(label) for label in patient},
        "names": {str(int(label)): label.name.lower() for label in patient},
        "studies": truth,
    }
    (folder / "truth.json").write_text(json.dumps(record, indent=2) + "\n")
    return volumes


def _write_mr(folder: Path, section: str, number: int, body: AbdomenBody, seed: int, shape: Sequence[int]) -> dict:
    """The three MR images of a body; its entry in ``phantom.json``."""
    study = f"{section}/MR/{number}"
    in_phase, out_phase = abdomen_t1(body, shape)
    t2 = abdomen_t2(body, t2_shape(shape))
    first = folder / study / "T1DUAL" / "DICOM_anon" / "InPhase"
    second = first.with_name("OutPhase")
    weighted = folder / study / "T2SPIR" / "DICOM_anon"
    name = f"phantom-{seed:04d}-MR-{number:02d}"
    _write_series(first, in_phase, "MR", name, "T1-DUAL in-phase", series=4, echo_time=IN_PHASE_MS)
    of = {"reference": first}
    _write_series(second, out_phase, "MR", name, "T1-DUAL out-phase", series=4, echo_time=OUT_PHASE_MS, **of)
    _write_series(weighted, t2, "MR", name, "T2-SPIR", series=2, echo_time=T2_MS, **of)
    # the scanner numbers the images in the order of slice and echo, and the shorter echo comes first
    for series, shift in ((first, 0), (second, -1)):
        for index in range(in_phase.image.shape[0], 0, -1):
            (series / f"IMG-0004-{index:05d}.dcm").rename(series / f"IMG-0004-{2 * index + shift:05d}.dcm")
    numbers = range(2, 2 * in_phase.image.shape[0] + 1, 2)
    ground = [f"IMG-0004-{number:05d}.png" for number in numbers]
    write_ground(first.parents[1] / "Ground", in_phase, body, MR_VALUES, ground)
    ground = [f"IMG-0002-{number + 1:05d}.png" for number in range(t2.image.shape[0])]
    write_ground(weighted.with_name("Ground"), t2, body, MR_VALUES, ground)
    images = {"in_phase": first, "out_phase": second, "t2": weighted}
    return {
        "id": f"MR/{number}",
        "section": "validation" if section == "Test_Sets" else "training",
        "images": {kind: path.relative_to(folder).as_posix() for kind, path in images.items()},
        "label": int(body.liver_fat > STEATOSIS),
        "liver_fat": round(body.liver_fat, 4),
        "spacing": in_phase.spacing,
    }


def _write_ct(
    folder: Path, section: str, number: int, body: AbdomenBody, seed: int, shape: Sequence[int], contrast: bool
) -> dict:
    """The CT of a body; its entry in ``phantom.json``."""
    volume = abdomen_ct(body, ct_shape(shape), contrast)
    path = folder / section / "CT" / str(number) / "DICOM_anon"
    # scanners store HU as they are, or shifted so that none is negative
    rescale, signed = ((1, -1024), False) if number % 3 else ((1, 0), True)
    if not signed:
        volume = volume._replace(image=np.maximum(volume.image, -1024))
    name = f"phantom-{seed:04d}-CT-{number:02d}"
    phase = "abdomen, portal venous phase" if contrast else "abdomen, without contrast"
    _write_series(path, volume, "CT", name, phase, series=1, rescale=rescale, signed=signed)
    ground = [f"liver_GT_{number:03d}.png" for number in range(volume.image.shape[0])]
    write_ground(path.with_name("Ground"), volume, body, CT_VALUES, ground)
    return {
        "id": f"CT/{number}",
        "section": "validation" if section == "Test_Sets" else "training",
        "images": {"ct": path.relative_to(folder).as_posix()},
        "label": int(body.liver_fat > STEATOSIS),
        "liver_fat": round(body.liver_fat, 4),
        "spacing": volume.spacing,
    }


def _write_series(
    path: Path, volume: Volume, modality: str, patient: str, description: str, series: int, **options: Any
) -> None:
    if modality == "MR":
        options |= {"bits_stored": 12, "rescale": (1, 0)}
    write_dicom_series(
        path,
        volume.image.T,
        affine_of(volume.spacing, volume.origin),
        modality,
        description=description,
        image_type=("ORIGINAL", "PRIMARY", "AXIAL"),
        patient=patient,
        series_per_file=True,
        uid_seed=f"{patient} {description}",
        names=f"IMG-{series:04d}-{{:05d}}.dcm",
        **options,
    )


def _write_truth(folder: Path, number: int, volume: Volume) -> dict[str, str]:
    """The true CT and the labels of a body, as NIfTI; their entry in ``truth.json``."""
    files = {}
    for name, array in (("ct", volume.image), ("labels", volume.labels)):
        path = folder / "Truth" / str(number) / f"{name}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_nifti(path, array.T, affine_of(volume.spacing, volume.origin))
        files[name] = path.relative_to(folder).as_posix()
    return files
