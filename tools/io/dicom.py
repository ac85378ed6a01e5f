"""DICOM series in folders, read into a volume whatever they call themselves; `dicom_writer` writes them."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Hashable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from monai.data.utils import orientation_ras_lps
from pydicom.dataset import Dataset
from pydicom.misc import is_dicom
from scipy.cluster.hierarchy import fclusterdata

from tools.files import as_text
from tools.io.dicom_slice import DicomSlice, read_pixels, read_slice
from tools.io.volume import SHEAR_TOLERANCE, VolumeError, check_geometry, shear, without_shear

POSITION_TOLERANCE = 0.1
"""How far the distance between two slices may be from the usual one, as a part of it, before a slice is missing."""

ORIENTATION_GAP = 5e-3
"""Directions of slices further apart than this, in any coordinate, are of two volumes."""

SPACING_GAP = 1e-3
"""Pixel spacings further apart than this, as a part of them, are of two volumes."""

ECHO_GAP = (0.05, 0.01)
"""Echo times further apart than the first in ms plus the second as a part of them are of two volumes."""


@dataclass(frozen=True)
class DicomSeries:
    """Slices that make one volume, in order of position.

    Attributes:
        files: lowest position along the normal first.
        affine: 4x4, voxel index (column, row, slice) to millimetres in RAS.
        shape: columns, rows, slices.
        modality: "CT", "MR", ...
        echo_time: echo time in ms, None if not given.
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
        folder: folder whose files, without those of its subfolders, are read.
        echo_time: echo time in ms, which chooses between series of several echoes in one folder (T1 in-phase and
            out-of-phase); None if there is one.

    Returns:
        voxels [x, y, z], rescaled (HU for CT): int16 where slope and intercept are whole numbers, else float32.

    Raises:
        FileNotFoundError: there is no such folder, see `dicom_series`.
        VolumeError: the folder is refused, see `dicom_series`, or pixels cannot be decoded.
    """
    slices, series = _found(folder, echo_time)
    return np.stack([read_pixels(item) for item in slices], axis=-1), series


def dicom_series(folder: str | os.PathLike, echo_time: float | None = None) -> DicomSeries:
    """Finds the one volume in a folder of DICOM slices, from the headers alone.

    Slices belong together by patient, study, series, modality, orientation, matrix, spacing and echo time, the measured
    ones of these within tolerances, and are sorted by position, for instance numbers are not to be relied on.
    Localisers, images in colour or of several frames, files with broken tags and whatever is no image are left out,
    with a warning.

    Raises:
        FileNotFoundError: there is no such folder.
        VolumeError: no DICOM image, several volumes, two slices at one position, a slice missing in between, slices
            that are not stacked at right angles (a tilted gantry), a single slice of unknown thickness, or CT without
            rescale slope and intercept.
    """
    return _found(folder, echo_time)[1]


def echo_times(folder: str | os.PathLike) -> list[float | None]:
    """The echo times of the volumes in a folder, in ms, shortest first; None for a volume that gives none."""
    groups, _ = _groups(folder)
    found = {_echo(group) for group in groups if len(group) > 1}
    return sorted(found, key=lambda echo: -1.0 if echo is None else echo)


def is_dicom_folder(folder: str | os.PathLike) -> bool:
    """Return whether a folder holds a DICOM file directly."""

    def says_so(file: Path) -> bool:
        with suppress(OSError):  # what cannot be opened is no slice that could be read
            return is_dicom(file)
        return False

    return any(says_so(file) for file in _files(folder))


def any_slice(folder: str | os.PathLike) -> Dataset:
    """The header of a slice in a folder, the first by name.

    Raises:
        FileNotFoundError: there is no such folder.
        VolumeError: no slice is in the folder.
    """
    for file in _files(folder):
        with suppress(VolumeError):
            return read_slice(file).header
    raise VolumeError.of(folder, "there is no DICOM slice in it whose study could be taken over")


def _files(folder: str | os.PathLike) -> list[Path]:
    if not Path(folder).is_dir():
        raise FileNotFoundError(f"there is no folder {Path(folder).absolute()}; expected one with DICOM slices")
    return sorted(p for p in Path(folder).iterdir() if p.is_file() and not p.name.startswith("."))


def _found(folder: str | os.PathLike, echo_time: float | None) -> tuple[list[DicomSlice], DicomSeries]:
    groups, skipped = _groups(folder)
    if echo_time is not None:
        groups = [group for group in groups if _close(_echo(group), echo_time)]
        if not groups:
            raise VolumeError.of(folder, f"no slice has an echo time of {echo_time} ms{_in_brackets(skipped)}")
    if not groups:
        raise VolumeError.of(folder, f"there is no DICOM slice in it{_in_brackets(skipped)}")
    whole = [group for group in groups if len(group) > 1]
    if len(groups) > 1 and len(whole) == 1 and len(whole[0]) >= len(groups):
        # a single slice beside a volume is a localiser that does not say so
        single = (_name(group[0]) for group in groups if len(group) == 1)
        skipped |= dict.fromkeys(single, "a single slice of another series or geometry")
        groups = whole
    if len(groups) > 1:
        found = "; ".join(_describe(group) for group in groups[:5]) + "; ..." * (len(groups) > 5)
        raise VolumeError.of(folder, f"it holds {len(groups)} volumes ({found}); give each a folder of its own")
    slices = sorted(groups[0], key=lambda item: float(np.dot(_normal(groups[0]), item.position)))
    try:
        series = _series(folder, slices, skipped)
    except VolumeError as error:
        raise VolumeError.of(folder, f"{error.reason}{_in_brackets(skipped)}") from None
    if skipped:
        warnings.warn(f"{as_text(folder)}: {len(skipped)} file(s) left out: {_listed(skipped)}", stacklevel=4)
    return slices, series


def _groups(folder: str | os.PathLike) -> tuple[list[list[DicomSlice]], dict[str, str]]:
    """The slices of each volume in a folder, and the reasons why other files are none, by name."""
    slices: list[DicomSlice] = []
    skipped: dict[str, str] = {}
    for file in _files(folder):
        try:
            slices.append(read_slice(file))
        except VolumeError as error:
            skipped[as_text(file.name)] = error.reason
    telling = _telling_uids(slices)

    def key(item: DicomSlice) -> tuple:
        uids = tuple(uid for uid, tells in zip(item.uids, telling, strict=True) if tells)
        return uids, item.modality, item.rows, item.columns, item.echo_time is None

    return [close for alike in _grouped(slices, key) for close in _grouped(alike, _clusters(alike).get)], skipped


def _grouped(slices: Iterable[DicomSlice], key: Callable[[DicomSlice], Hashable]) -> list[list[DicomSlice]]:
    groups: dict[Hashable, list[DicomSlice]] = {}
    for item in slices:
        groups.setdefault(key(item), []).append(item)
    return list(groups.values())


def _telling_uids(slices: Sequence[DicomSlice]) -> tuple[bool, bool, bool]:
    """Return which of patient, study and series tell volumes apart. Where every file has a StudyInstanceUID or a
    SeriesInstanceUID of its own, as CHAOS's anonymisation and ITK's writer of single slices give them, that one says
    nothing.
    """
    counts = [len({item.uids[level] for item in slices}) for level in range(3)]
    return (True, *(len(slices) < 3 or count < len(slices) for count in counts[1:]))


def _clusters(slices: Sequence[DicomSlice]) -> dict[DicomSlice, int]:
    """The number of a cluster for each slice: measured values that differ by rounding are of one."""
    echoes = np.array([item.echo_time or 0.0 for item in slices])
    features = np.column_stack(
        [
            np.array([item.orientation.ravel() for item in slices]) / ORIENTATION_GAP,
            np.log([item.spacing for item in slices]) / SPACING_GAP,
            # steps of 1 where neighbours are the gap of their size apart
            np.log1p(np.abs(echoes) * ECHO_GAP[1] / ECHO_GAP[0]) / ECHO_GAP[1],
        ]
    )
    different, number = np.unique(features, axis=0, return_inverse=True)
    if len(different) > 1:
        number = fclusterdata(different, 1.0, criterion="distance", method="single", metric="chebyshev")[number]
    return dict(zip(slices, number.ravel().tolist(), strict=True))


def _name(item: DicomSlice) -> str:
    return as_text(item.file.name)


def _echo(group: Sequence[DicomSlice]) -> float | None:
    """The echo time of a volume: the usual one, since some scanners' last digit jitters."""
    echoes = [item.echo_time for item in group]
    return None if None in echoes else float(np.median(echoes))


def _close(echo: float | None, wanted: float) -> bool:
    return echo is not None and abs(echo - wanted) < ECHO_GAP[0] + ECHO_GAP[1] * abs(wanted)


def _describe(group: Sequence[DicomSlice]) -> str:
    first, echo = group[0], _echo(group)
    number = _text(first.header, "SeriesNumber")
    return (
        f"{len(group)} {first.modality} slices of {first.columns} x {first.rows}"
        + (f", echo time {echo:g} ms" if echo is not None else "")
        + (f", series {number}" if number else "")
        + f", such as {_name(first)}"
    )


def _text(header: Dataset, name: str) -> str:
    """A tag that is only shown or handed on; "" if it is missing or broken."""
    try:
        return str(header.get(name) or "")
    except Exception:  # pydicom converts a value when it is asked for, and raises many kinds
        return ""


def _listed(skipped: dict[str, str]) -> str:
    names: dict[str, list[str]] = {}
    for name, reason in skipped.items():
        names.setdefault(reason, []).append(name)
    lines = [f"{n[0]}{f' and {len(n) - 1} more' if len(n) > 1 else ''} ({reason})" for reason, n in names.items()]
    return ", ".join(lines[:5]) + ", ..." * (len(lines) > 5)


def _in_brackets(skipped: dict[str, str]) -> str:
    return f" (left out: {_listed(skipped)})" if skipped else ""


def _normal(group: Sequence[DicomSlice]) -> np.ndarray:
    return np.cross(*group[0].orientation)


def _series(folder: str | os.PathLike, slices: Sequence[DicomSlice], skipped: dict[str, str]) -> DicomSeries:
    """Series of slices in order of position."""
    first = slices[0]
    unscaled = [_name(item) for item in slices if item.modality == "CT" and item.rescale is None]
    if unscaled:
        raise VolumeError.of(folder, f"{unscaled[0]} is CT without rescale slope and intercept, so HU are not known")
    shape = first.columns, first.rows, len(slices)
    between_rows, between_columns = first.spacing
    row, column = first.orientation
    affine = np.eye(4)
    # PixelSpacing is [between rows, between columns]; a column index moves along the row direction
    affine[:3, 0], affine[:3, 1] = row * between_columns, column * between_rows
    affine[:3, 2], affine[:3, 3] = _step(folder, slices), first.position
    _check_stack(folder, slices, affine, shape)
    check_geometry(folder, affine, shape)
    return DicomSeries(
        files=tuple(item.file for item in slices),
        affine=orientation_ras_lps(without_shear(affine, shape)),
        shape=shape,
        modality=first.modality,
        echo_time=_echo(slices),
        description=_text(first.header, "SeriesDescription"),
        skipped=skipped,
    )


def _step(folder: str | os.PathLike, slices: Sequence[DicomSlice]) -> np.ndarray:
    """From a slice to the next in mm, by their positions. Raises VolumeError if they are no even stack."""
    normal = _normal(slices)
    if len(slices) == 1:
        if slices[0].step is None:
            raise VolumeError.of(folder, f"{_name(slices[0])} is a single slice, and does not say how thick it is")
        return normal * slices[0].step
    origins = np.array([item.position for item in slices])
    positions = origins @ normal
    steps = np.diff(positions)
    step = float(np.median(steps))
    same = np.flatnonzero(steps < 1e-3)
    if same.size:
        names = f"{_name(slices[same[0]])} and {_name(slices[same[0] + 1])}"
        raise VolumeError.of(folder, f"{names} lie at the same position, {positions[same[0]]:.2f} mm")
    uneven = np.flatnonzero(np.abs(steps - step) > POSITION_TOLERANCE * step)
    if uneven.size:
        i = uneven[0]
        before, after = _name(slices[i]), _name(slices[i + 1])
        raise VolumeError.of(
            folder,
            f"slices are {step:.2f} mm apart, but {steps[i]:.2f} mm between {positions[i]:.2f} mm ({before}) and "
            f"{positions[i + 1]:.2f} mm ({after}): a slice is missing there"
            if steps[i] > step
            else f"slices are {step:.2f} mm apart, but {steps[i]:.2f} mm between {before} and {after}",
        )
    # the ends decide, so that rounded positions do not add up
    return (origins[-1] - origins[0]) / (len(slices) - 1)


def _check_stack(
    folder: str | os.PathLike, slices: Sequence[DicomSlice], affine: np.ndarray, shape: tuple[int, int, int]
) -> None:
    """Raises VolumeError if slices lie further sideways of each other than a volume's shear may."""
    origins = np.array([item.position for item in slices])
    line = affine[:3, 3] + np.outer(np.arange(len(slices)), affine[:3, 2])
    off_line = origins - line
    off_line -= np.outer(off_line @ _normal(slices), _normal(slices))
    beside = float(np.linalg.norm(off_line, axis=1).max() / slices[0].spacing.min())
    if max(beside, shear(affine, shape)) > SHEAR_TOLERANCE:
        sideways = origins - origins[0]
        sideways -= np.outer(sideways @ _normal(slices), _normal(slices))
        raise VolumeError.of(
            folder,
            f"its slices are shifted sideways by up to {np.linalg.norm(sideways, axis=1).max():.2f} mm against each "
            "other, as with a tilted gantry: the volume is sheared; resample it to right angles first",
        )
