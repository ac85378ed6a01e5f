"""One reader for every volume that the project takes: single files, and folders of DICOM slices."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from monai.config import PathLike
from monai.data import ImageReader
from monai.utils import MetaKeys, SpaceKeys, ensure_tuple

from tools.io.dicom import any_slice, dicom_series, echo_times, read_dicom_series
from tools.io.readers import (
    VolumeError,
    VolumeHeader,
    file_stamp,
    read_header,
    read_volume,
    volume_suffix,
    without_channel,
)
from tools.io.volume import check_thickness

# Part of the digest of every chain that reads with `VolumeReader` (tools.transforms.digest). Raise it whenever the
# reader gives other voxels, or another place for them.
VERSION = 1

MODALITY = "modality"
"""Key of a volume's metadata: what DICOM says that it is, "CT" or "MR"; "" where nothing says so."""

_ECHO = re.compile(r"#echo=([\d.]+)$")


def with_echo(folder: PathLike, echo_time: float) -> str:
    """The name of one of several volumes in a DICOM folder, told apart by echo time in ms: `folder#echo=4.6`."""
    return f"{os.fspath(folder)}#echo={echo_time:g}"


def echo_of(path: PathLike) -> float | None:
    """The echo time in ms that a volume's name ends in; None if it ends in none."""
    found = _ECHO.search(os.fspath(path))
    return float(found[1]) if found else None


def volume_names(folder: PathLike, name: PathLike) -> dict[str, str]:
    """The volumes in a folder of DICOM slices, ``name`` -> path: one, or for MR of several echo times one for each,
    `name#echo=4.6` -> `folder#echo=4.6`.
    """
    try:
        # only MR has echoes, and finding them takes reading every header
        echoes = echo_times(folder) if any_slice(folder).get("Modality") == "MR" else []
    except VolumeError:
        echoes = []  # nothing in it can be used, which is said when it is read
    if len(echoes) < 2 or None in echoes:
        return {os.fspath(name): os.fspath(folder)}
    return {with_echo(name, echo): with_echo(folder, echo) for echo in echoes}


def source_path(path: PathLike) -> str:
    """The file or folder on disk of a volume's name, which may end in `#echo=...` or `#channel=...`."""
    return without_channel(_ECHO.sub("", os.fspath(path)))


def volume_header(path: PathLike) -> VolumeHeader:
    """Shape and affine of a volume, without its voxels.

    Raises:
        VolumeError: the volume cannot be used; see `read_header` and `dicom_series`.
    """
    folder, echo = _parts(path)
    if not os.path.isdir(folder):
        return read_header(path)
    series = dicom_series(folder, echo)
    return VolumeHeader(os.fspath(path), series.shape, series.affine)


def volume_stamp(path: PathLike) -> list[list[int]]:
    """Size in bytes and time of change in ns of every file that a volume is stored in."""
    folder = source_path(path)
    if not os.path.isdir(folder):
        return file_stamp(folder) if volume_suffix(folder) else [_file_stamp(folder)]
    return [_file_stamp(entry) for entry in sorted(Path(folder).iterdir()) if entry.is_file()]


class VolumeReader(ImageReader):
    """Reads one volume for `monai.transforms.LoadImage`: a single file, or a folder of DICOM slices.

    Gives what MONAI's `ITKReader` and `NibabelReader` give: axes (x, y, z), affine in RAS, no channel; HU for CT.

    Args:
        axial_first: True gives axes (z, y, x), where z is the head-foot axis, with the affine that belongs to them: the
            order in the file, in which no voxel has to be moved to have axial slices first.
        least: voxels that there must be along every axis.

    `LoadImage` catches what `read` raises and tries its other readers, which would accept a 4D or a truncated volume.
    So `read` only passes the name on, and `get_data` reads; its `VolumeError` reaches the caller (as the cause of the
    RuntimeError of MONAI's `Compose`).

    Example::

        LoadImaged(keys="image", reader=VolumeReader)
    """

    def __init__(self, axial_first: bool = False, least: int = 1) -> None:
        super().__init__()
        self.axial_first = axial_first
        self.least = least

    def verify_suffix(self, filename: Sequence[PathLike] | PathLike) -> bool:
        return all(volume_suffix(name) or os.path.isdir(source_path(name)) for name in ensure_tuple(filename))

    def read(self, data: Sequence[PathLike] | PathLike, **kwargs) -> str:
        """Returns the name of the one volume that is to be read."""
        names = ensure_tuple(data)
        if len(names) != 1:
            raise VolumeError(f"expected one volume, got {len(names)} files: {[str(n) for n in names[:3]]}")
        return str(names[0])

    def get_data(self, img: str) -> tuple[np.ndarray, dict]:
        """Reads the volume.

        Returns:
            the voxels [x, y, z], or [z, y, x], in the type in which they are stored, and their metadata, with
            "modality" as DICOM gives it ("CT", "MR", ...; "" for other files).

        Raises:
            VolumeError: the volume cannot be used, see `read_volume` and `read_dicom_series`; or it has fewer voxels
                along an axis than ``least``.
        """
        folder, echo = _parts(img)
        if os.path.isdir(folder):
            array, series = read_dicom_series(folder, echo)
            affine = series.affine
            modality = "" if series.modality == "OT" else series.modality  # "other", as ITK's writer leaves it
        else:
            array, header = read_volume(folder)
            affine, modality = header.affine, ""
        check_thickness(img, array.shape, self.least)
        if self.axial_first and np.abs(affine[2, :3]).argmax() == 2:
            array, affine = array.T, affine[:, [2, 1, 0, 3]]
        return array, {
            MetaKeys.AFFINE: affine,
            MetaKeys.ORIGINAL_AFFINE: affine.copy(),
            MetaKeys.SPACE: SpaceKeys.RAS,
            MetaKeys.SPATIAL_SHAPE: np.asarray(array.shape),
            MetaKeys.ORIGINAL_CHANNEL_DIM: float("nan"),  # MONAI's mark for "there is none"
            MODALITY: modality,
        }


def _parts(path: PathLike) -> tuple[str, float | None]:
    found = _ECHO.search(os.fspath(path))
    if found and not os.path.isdir(source_path(path)):
        raise VolumeError.of(path, "an echo time chooses among the volumes of a DICOM folder, and this is none")
    return _ECHO.sub("", os.fspath(path)), float(found[1]) if found else None


def _file_stamp(path: PathLike) -> list[int]:
    stat = os.stat(path)
    return [stat.st_size, stat.st_mtime_ns]
