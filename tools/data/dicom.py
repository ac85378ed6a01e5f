"""DICOM series in folders, read into a volume whatever they call themselves; `dicom_writer` writes them."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pydicom
from monai.data.utils import orientation_ras_lps
from pydicom.dataset import Dataset, FileDataset
from pydicom.errors import InvalidDicomError

from tools.data.readers import VolumeError

POSITION_TOLERANCE = 0.1
"""How far the distance between two slices may be from the usual one, as a part of it, before a slice is missing."""


@dataclass(frozen=True)
class DicomSeries:
    """Slices that make one volume, in order of position.

    Attributes:
        files: lowest position along the normal first.
        affine: 4x4, voxel index (column, row, slice) to millimetres in RAS.
        shape: columns, rows, slices.
        modality: "CT", "MR", ...
        echo_time: in ms, None if not given.
        description: SeriesDescription, "" if not given.
        skipped: files of the folder that are no slice of it, with the reason.
    """

    files: tuple[Path, ...]
    affine: np.ndarray
    shape: tuple[int, int, int]
    modality: str
    echo_time: float | None
    description: str
    skipped: dict[str, str] = field(default_factory=dict)


def read_dicom_series(folder: str | os.PathLike, echo_time: float | None = None) -> tuple[np.ndarray, DicomSeries]:
    """The volume in a folder of DICOM slices.

    Args:
        folder: whose files, not those of its subfolders, are read.
        echo_time: in ms, chooses between series of several echoes in one folder (T1 in-phase and out-of-phase); None if
            there is one.

    Returns:
        voxels [x, y, z], rescaled (HU for CT): int16 where slope and intercept are whole numbers, else float32.

    Raises:
        FileNotFoundError, VolumeError: see `dicom_series`; or pixels that cannot be decoded.
    """
    series = dicom_series(folder, echo_time)
    slices = []
    for file in series.files:
        slices.append(_pixels(pydicom.dcmread(file), folder))
    volume = np.stack(slices, axis=-1)
    if all(s.dtype == np.int16 for s in slices):
        volume = volume.astype(np.int16)
    return volume, series


def dicom_series(folder: str | os.PathLike, echo_time: float | None = None) -> DicomSeries:
    """Finds the one volume in a folder of DICOM slices, from the headers alone.

    Slices belong together by modality, orientation, matrix, spacing and echo time, and are sorted by position: in
    CHAOS every file has a SeriesInstanceUID of its own, and instance numbers are not to be relied on.
    Localisers, images in colour or of several frames and whatever is no image are left out, with a warning.

    Raises:
        FileNotFoundError: there is no such folder.
        VolumeError: no DICOM image, several volumes, two slices at one position, a slice missing in between, slices
            that are not stacked at right angles (a tilted gantry), or CT without rescale slope and intercept.
    """
    groups, skipped = _groups(folder)
    if echo_time is not None:
        groups = {key: group for key, group in groups.items() if _close(_echo(group[0][1]), echo_time)}
        if not groups:
            raise VolumeError.of(folder, f"no slice has an echo time of {echo_time} ms")
    if not groups:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in list(skipped.items())[:5])
        raise VolumeError.of(folder, "there is no DICOM slice in it" + (f" ({reasons})" if reasons else ""))
    if len(groups) > 1:
        # a single slice beside a volume is a localiser that does not say so
        whole = {key: group for key, group in groups.items() if len(group) > 1}
        if len(whole) == 1:
            for key in groups.keys() - whole.keys():
                skipped |= {file.name: "a single slice of another geometry" for file, _ in groups[key]}
            groups = whole
    if len(groups) > 1:
        found = "; ".join(_describe(group) for group in groups.values())
        raise VolumeError.of(folder, f"it holds {len(groups)} volumes ({found}); give each a folder of its own")
    if skipped:
        names = ", ".join(f"{name} ({reason})" for name, reason in list(skipped.items())[:5])
        warnings.warn(f"{folder}: {len(skipped)} file(s) left out: {names}", stacklevel=3)
    (group,) = groups.values()
    return _series(folder, group, skipped)


def echo_times(folder: str | os.PathLike) -> list[float | None]:
    """The echo times of the volumes in a folder, in ms, shortest first; None for a volume that gives none."""
    groups, _ = _groups(folder)
    found = {_echo(group[0][1]) for group in groups.values() if len(group) > 1}
    return sorted(found, key=lambda echo: -1.0 if echo is None else echo)


def is_dicom_folder(folder: str | os.PathLike) -> bool:
    """Whether a folder holds a DICOM file directly."""
    return any(_is_dicom(p) for p in sorted(Path(folder).iterdir()) if p.is_file() and not p.name.startswith("."))


def any_slice(folder: str | os.PathLike) -> Dataset:
    """The header of a slice in a folder."""
    groups, _ = _groups(folder)
    if not groups:
        raise VolumeError.of(folder, "there is no DICOM slice in it whose study could be taken over")
    return next(iter(groups.values()))[0][1]


def _groups(folder: str | os.PathLike) -> tuple[dict[tuple, list[tuple[Path, Dataset]]], dict[str, str]]:
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder.absolute()}; expected one with DICOM slices")
    groups: dict[tuple, list[tuple[Path, Dataset]]] = {}
    skipped: dict[str, str] = {}
    for file in sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith(".")):
        try:
            header = pydicom.dcmread(file, stop_before_pixels=True)
        except (InvalidDicomError, OSError, EOFError) as error:
            skipped[file.name] = f"not DICOM ({str(error)[:60]})"
            continue
        reason = _unusable(header)
        if reason:
            skipped[file.name] = reason
        else:
            groups.setdefault(_key(header), []).append((file, header))
    return groups, skipped


def _unusable(header: Dataset) -> str | None:
    if "ImagePositionPatient" not in header or "ImageOrientationPatient" not in header or "PixelSpacing" not in header:
        return "it has no position, orientation or pixel spacing"
    if header.get("SamplesPerPixel", 1) != 1:
        return "it is in colour"
    if int(header.get("NumberOfFrames") or 1) > 1:
        return "it holds several frames"
    if "LOCALIZER" in [str(v).upper() for v in header.get("ImageType", [])]:
        return "it is a localiser"
    return None


def _key(header: Dataset) -> tuple:
    orientation = tuple(np.round(np.asarray(header.ImageOrientationPatient, float), 3))
    spacing = tuple(np.round(np.asarray(header.PixelSpacing, float), 4))
    return header.get("Modality", ""), orientation, spacing, header.Rows, header.Columns, _echo(header)


def _echo(header: Dataset) -> float | None:
    value = header.get("EchoTime")
    return None if value in (None, "") else round(float(value), 3)


def _close(echo: float | None, wanted: float) -> bool:
    return echo is not None and abs(echo - wanted) < 0.05


def _rescale(header: Dataset) -> tuple[float, float] | None:
    """Slope and intercept; None if a tag is missing or empty."""
    values = [header.get(name) for name in ("RescaleSlope", "RescaleIntercept")]
    return None if any(v in (None, "") for v in values) else (float(values[0]), float(values[1]))


def _describe(group: Sequence[tuple[Path, Dataset]]) -> str:
    header = group[0][1]
    echo = f", echo time {_echo(header)} ms" if _echo(header) is not None else ""
    return f"{len(group)} {header.get('Modality', '')} slices of {header.Columns} x {header.Rows}{echo}"


def _series(folder: str | os.PathLike, group: list[tuple[Path, Dataset]], skipped: dict[str, str]) -> DicomSeries:
    header = group[0][1]
    unscaled = [file.name for file, h in group if h.get("Modality") == "CT" and _rescale(h) is None]
    if unscaled:
        raise VolumeError.of(folder, f"{unscaled[0]} is CT without rescale slope and intercept, so HU are not known")
    row, column = np.asarray(header.ImageOrientationPatient, float).reshape(2, 3)
    normal = np.cross(row, column)
    group = sorted(group, key=lambda item: float(np.dot(normal, np.asarray(item[1].ImagePositionPatient, float))))
    origins = np.array([np.asarray(h.ImagePositionPatient, float) for _, h in group])
    positions = origins @ normal
    if len(group) == 1:
        step = float(header.get("SpacingBetweenSlices") or header.get("SliceThickness") or 1.0)
    else:
        steps = np.diff(positions)
        step = float(np.median(steps))
        same = np.flatnonzero(steps < 1e-3)
        if same.size:
            names = f"{group[same[0]][0].name} and {group[same[0] + 1][0].name}"
            raise VolumeError.of(folder, f"{names} lie at the same position, {positions[same[0]]:.2f} mm")
        uneven = np.flatnonzero(np.abs(steps - step) > POSITION_TOLERANCE * step)
        if uneven.size:
            i = uneven[0]
            raise VolumeError.of(
                folder,
                f"slices are {step:.2f} mm apart, but {steps[i]:.2f} mm between {positions[i]:.2f} mm "
                f"({group[i][0].name}) and {positions[i + 1]:.2f} mm ({group[i + 1][0].name}): a slice is missing there"
                if steps[i] > step
                else f"slices are {step:.2f} mm apart, but {steps[i]:.2f} mm between {group[i][0].name} and "
                f"{group[i + 1][0].name}",
            )
        shifted = float(np.linalg.norm(origins - origins[0] - np.outer(positions - positions[0], normal), axis=1).max())
        if shifted > 0.5 * min(float(v) for v in header.PixelSpacing):
            raise VolumeError.of(
                folder,
                f"its slices are shifted sideways by up to {shifted:.2f} mm against each other, as with a tilted "
                "gantry; resample them to right angles first",
            )
        # the ends decide, so that rounded positions do not add up
        step = float(positions[-1] - positions[0]) / (len(group) - 1)
    between_rows, between_columns = (float(v) for v in header.PixelSpacing)
    affine = np.eye(4)
    # PixelSpacing is [between rows, between columns]; a column index moves along the row direction
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = row * between_columns, column * between_rows, normal * step
    affine[:3, 3] = origins[0]
    return DicomSeries(
        files=tuple(file for file, _ in group),
        affine=orientation_ras_lps(affine),
        shape=(int(header.Columns), int(header.Rows), len(group)),
        modality=str(header.get("Modality", "")),
        echo_time=_echo(header),
        description=str(header.get("SeriesDescription", "")),
        skipped=skipped,
    )


def _pixels(dataset: FileDataset, folder: str | os.PathLike) -> np.ndarray:
    """One slice [x, y], rescaled."""
    name = Path(str(dataset.filename)).name
    try:
        stored = dataset.pixel_array.T
    except Exception as error:  # pydicom's decoders raise many kinds
        raise VolumeError.of(folder, f"the pixels of {name} cannot be decoded ({str(error)[:150]})") from error
    slope, intercept = _rescale(dataset) or (1.0, 0.0)
    if slope.is_integer() and intercept.is_integer():
        values = stored.astype(np.int32) * int(slope) + int(intercept)
        if np.iinfo(np.int16).min <= values.min() and values.max() <= np.iinfo(np.int16).max:
            return values.astype(np.int16)
    return (stored * slope + intercept).astype(np.float32)


def _is_dicom(file: Path) -> bool:
    with file.open("rb") as f:
        head = f.read(132)
    return head[128:132] == b"DICM"
