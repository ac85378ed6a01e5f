"""Finds the studies of CHAOS (`tools.datasets.chaos`) in its folders of DICOM slices."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path

from tools.data.folders import walk
from tools.datasets.chaos import CHAOS
from tools.errors import did_you_mean
from tools.files import as_text
from tools.io import left_out
from tools.io.dicom import echo_times, is_dicom_folder
from tools.io.readers import VolumeError
from tools.io.volume_reader import with_echo

FOLDERS = {"training": "Train_Sets", "validation": "Test_Sets"}
"""Parts in which CHAOS is distributed; phantoms are split by them."""

MR = tuple(modality for modality, images in CHAOS.images.items() if images.voxels == "MR")


def find_mr(dataset_dir: str | os.PathLike, modalities: Sequence[str] = MR) -> dict[str, dict[str, str]]:
    """All MR patients of a folder of CHAOS: id -> modality -> path. Missing modalities are missing.

    Raises:
        FileNotFoundError: there is no such folder, or no MR in it.
        ValueError: CHAOS has no such modality.
    """
    for modality in modalities:
        if modality not in CHAOS.images:
            raise ValueError(
                f"CHAOS has no {modality!r}, expected one of {', '.join(CHAOS.images)}.{did_you_mean(modality, MR)}"
            )
    patients = _patients(dataset_dir, "MR")
    found = {f"MR/{as_text(folder.name)}": patient_modalities(folder) for folder in patients}
    if not any(found.values()):
        raise FileNotFoundError(
            f"there is no MR in {Path(dataset_dir).absolute()}; looked for {CHAOS.looks}, or the "
            "folders <n> directly; MR from elsewhere goes into --mr_dir"
        )
    return found


def find_ct(dataset_dir: str | os.PathLike) -> dict[str, dict[str, str]]:
    """All CT patients of a folder of CHAOS: id -> {"ct": path}."""
    folders = {f"CT/{as_text(p.name)}": _slices_below(p) for p in _patients(dataset_dir, "CT")}
    found = {name: {"ct": str(folder)} for name, folder in folders.items() if folder}
    if not found:
        raise FileNotFoundError(
            f"there is no CT in {Path(dataset_dir).absolute()}; looked for {CHAOS.looks}, or the "
            "folders <n> directly; CT from elsewhere goes into --ct_dir"
        )
    return found


def patient_modalities(folder: Path) -> dict[str, str]:
    """The modalities in the folder of one of CHAOS's MR patients.

    Where in-phase and out-of-phase images share a folder, the echo times tell them apart: of the two echoes, fat
    opposes water in the first (2.3 ms at 1.5 T, 1.15 ms at 3 T) and agrees with it in the second.
    """
    found = {}
    dual = folder / "T1DUAL"
    if dual.is_dir():
        phases = {p.name.lower(): p for p in dual.rglob("*Phase") if p.is_dir()}
        if "inphase" in phases or "outphase" in phases:
            found = {m: str(phases[n]) for m, n in (("in_phase", "inphase"), ("out_phase", "outphase")) if n in phases}
        elif together := _slices_below(dual):
            echoes = echo_times(together)
            if len(echoes) == 2 and None not in echoes:
                found = {m: with_echo(together, e) for m, e in zip(("out_phase", "in_phase"), echoes, strict=True)}
            else:  # its T2 may still be of use
                reason = f"expected two echo times, out-of-phase and in-phase, found {echoes} (in ms)"
                left_out.keep({str(together): reason})
                warnings.warn(f"{as_text(together)} is left out: {reason}", stacklevel=2)
    if (folder / "T2SPIR").is_dir() and (t2 := _slices_below(folder / "T2SPIR")):
        found["t2"] = str(t2)
    return found


def _patients(dataset_dir: str | os.PathLike, kind: str) -> list[Path]:
    """The folders of CHAOS's patients of a kind, in the order of their numbers."""
    root = Path(dataset_dir)
    if not root.is_dir():
        raise FileNotFoundError(f"there is no folder {root.absolute()}; looked for CHAOS there")
    bases = [root / section / kind for section in FOLDERS.values()] + [root / kind]
    bases = [base for base in bases if base.is_dir()]
    if not bases:
        bases = [root] if root.name == kind or kind == "MR" else []
    folders = [p for base in bases for p in base.iterdir() if p.is_dir() and not p.name.startswith(".")]
    names = [p.name for p in folders]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise VolumeError.of(root, f"patients {', '.join(twice[:5])} of {kind} are there more than once; rename them")
    return sorted(folders, key=lambda p: (int(p.name) if p.name.isdigit() else 10**9, p.name))


def _slices_below(folder: Path) -> Path | None:
    """The first folder, this one or one below, that holds DICOM slices; CHAOS's masks lie in Ground beside them."""
    return next((place for place, _ in walk(folder, expected_labels=True) if is_dicom_folder(place)), None)
