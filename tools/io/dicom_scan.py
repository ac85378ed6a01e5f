"""Reads slices of one scan that need not make a volume: gantries are tilted, distances differ, slices are missing."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from monai.data.utils import orientation_ras_lps

from tools.files import as_text
from tools.io.dicom_slice import DicomSlice, read_pixels, read_slice
from tools.io.left_out import listed
from tools.io.volume import VolumeError


def read_scan(files: Sequence[str | os.PathLike]) -> tuple[np.ndarray, np.ndarray, list[Path]]:
    """Slices of one scan in the order of their positions, for what sees slices alone.

    What cannot be read, lies another way or has another size than most is left out, with a warning.

    Returns:
        voxels [columns, rows, slices], rescaled (HU for CT); an affine [4, 4], voxel index to mm in RAS, which is exact
        within slices and, across them, follows the line from the first to the last; and the files.

    Raises:
        VolumeError: no slice can be used, or CT is without rescale slope and intercept.
    """
    slices: list[DicomSlice] = []
    bad: dict[str, str] = {}
    for file in map(Path, files):
        try:
            slices.append(read_slice(file))
        except VolumeError as error:
            bad[as_text(file.name)] = error.reason
    folder = Path(files[0]).parent if files else Path()
    if not slices:
        raise VolumeError.of(folder, f"none of {len(bad)} slices of a scan can be read: {listed(bad)}")
    first = max((_alike(one, slices) for one in slices), key=len)
    bad |= {as_text(one.file.name): "it has another size or direction than most" for one in slices if one not in first}
    normal = np.cross(*first[0].orientation)
    ordered = sorted(first, key=lambda one: float(normal @ one.position))
    voxels, kept = [], []
    for one in ordered:
        if one.modality == "CT" and one.rescale is None:
            raise VolumeError.of(folder, f"{one.file.name} is CT without rescale slope and intercept")
        try:
            voxels.append(read_pixels(one))
            kept.append(one)
        except VolumeError as error:
            bad[as_text(one.file.name)] = error.reason
    if not kept:
        raise VolumeError.of(folder, f"none of {len(bad)} slices of a scan can be decoded: {listed(bad)}")
    if bad:
        warnings.warn(f"{as_text(folder)}: {len(bad)} slice(s) left out: {listed(bad)}", stacklevel=2)
    return np.stack(voxels, axis=-1), _affine(kept, normal), [one.file for one in kept]


def _alike(one: DicomSlice, slices: Sequence[DicomSlice]) -> list[DicomSlice]:
    """The slices of one's size, spacing and direction."""
    return [
        other
        for other in slices
        if (other.rows, other.columns) == (one.rows, one.columns)
        and np.allclose(other.spacing, one.spacing, rtol=1e-3)
        and np.allclose(other.orientation, one.orientation, atol=0.02)  # a degree: tilts vary a little in a scan
    ]


def _affine(slices: Sequence[DicomSlice], normal: np.ndarray) -> np.ndarray:
    first, last = slices[0], slices[-1]
    between_rows, between_columns = first.spacing
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = first.orientation[0] * between_columns, first.orientation[1] * between_rows
    step = (last.position - first.position) / max(1, len(slices) - 1)
    affine[:3, 2] = step if np.linalg.norm(step) > 1e-3 else normal * (first.step or 1.0)
    affine[:3, 3] = first.position
    return orientation_ras_lps(affine)
