"""Reads CT and MR volumes in files (.mhd, .mha, .nii, .nii.gz, .nrrd, .nhdr), and refuses those that are damaged.

One exception leaves the functions here whatever is in a file: VolumeError.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from monai.config import PathLike

from tools.files import as_text
from tools.io import left_out
from tools.io.metaimage import MetaImageFile
from tools.io.nifti import NiftiFile
from tools.io.nrrd_file import NrrdFile
from tools.io.volume import VolumeError, VolumeHeader

__all__ = [
    "SUFFIXES",
    "VolumeError",
    "VolumeHeader",
    "data_files",
    "file_stamp",
    "read_header",
    "read_volume",
    "volume_suffix",
]

KINDS = {
    ".mhd": MetaImageFile,
    ".mha": MetaImageFile,
    ".nii": NiftiFile,
    ".nii.gz": NiftiFile,
    ".nrrd": NrrdFile,
    ".nhdr": NrrdFile,
}
SUFFIXES = tuple(KINDS)

_CHANNEL = re.compile(r"#channel=(\d+)$")


def with_channel(path: PathLike, channel: int) -> str:
    """The name of one of the volumes in a 4D NIfTI file, counted from 0: `file.nii.gz#channel=2`."""
    return f"{os.fspath(path)}#channel={channel}"


def without_channel(path: PathLike) -> str:
    """The file of a volume's name, which may end in `#channel=...`."""
    return _CHANNEL.sub("", os.fspath(path))


def volume_suffix(path: PathLike) -> str | None:
    """The suffix of `path` if it is one of `SUFFIXES`, else None. UIDs contain dots, so `Path.suffix` does not do."""
    name = os.path.basename(without_channel(path)).lower()
    return next((s for s in reversed(SUFFIXES) if name.endswith(s)), None)


def data_files(path: PathLike) -> list[Path]:
    """The files that hold the volume: `path` itself, and those that a .mhd or .nhdr names.

    Raises:
        VolumeError: the header that should name them cannot be read.
    """
    path = Path(without_channel(path))
    if volume_suffix(path) not in (".mhd", ".mha", ".nhdr"):
        return [path]
    return [path, *(file for file in _opened(path).files if file != path)]


def file_stamp(path: PathLike) -> list[list[int]]:
    """Size in bytes and time of change in ns of each of the volume's `data_files`: it changes when the volume does."""
    return [[s.st_size, s.st_mtime_ns] for s in map(os.stat, data_files(path))]


def read_header(path: PathLike) -> VolumeHeader:
    """Reads a volume's header and checks, without reading its voxels, that they are all there.

    What the header leaves open about the place of the voxels is warned of, by the file's name.

    Raises:
        VolumeError: the file is missing or not an image; is not three-dimensional with one number per voxel; where its
            voxels lie is not known, or not at right angles; or its data are missing or shorter than the header says.
    """
    file = _opened(path)
    with _one_error(path, "its data"):
        file.check()
    return file.header


def read_volume(path: PathLike) -> tuple[np.ndarray, VolumeHeader]:
    """Reads a volume. Compressed data are checked against their checksum.

    Returns:
        the voxels [x, y, z], first axis fastest, in the type in which they are stored (float32 where a NIfTI's slope
        scales whole numbers; NaN stays), and the header.

    Raises:
        VolumeError: the header is refused, see `read_header`, or the data are damaged.
    """
    file = _opened(path)
    with _one_error(path, "its voxels"):
        return file.voxels(), file.header


def _opened(path: PathLike) -> MetaImageFile | NiftiFile | NrrdFile:
    given, path = os.fspath(path), without_channel(path)
    suffix = volume_suffix(path)
    if suffix is None:
        raise VolumeError.of(path, f"unknown kind of file, expected one of {', '.join(SUFFIXES)}")
    if not os.path.isfile(path):
        raise VolumeError.of(path, "there is no such file")
    with _one_error(path, "its header"):
        channel = _CHANNEL.search(given)
        if channel and KINDS[suffix] is not NiftiFile:
            raise VolumeError.of(given, "a channel is asked for, and only NIfTI files have several")
        file = NiftiFile(path, int(channel[1])) if channel else KINDS[suffix](path)
    if file.header.doubt:
        left_out.keep({path: file.header.doubt})
        # always from this line, so that Python shows it once for each file
        warnings.warn(f"{as_text(path)}: {file.header.doubt}", stacklevel=1)
    return file


@contextmanager
def _one_error(path: PathLike, what: str) -> Iterator[None]:
    """Turns whatever a file does to its reader into a VolumeError: damaged bytes lead to errors of any kind."""
    try:
        yield
    except VolumeError:
        raise
    except Exception as e:
        kind = "" if isinstance(e, OSError | ValueError) else f"{type(e).__name__}: "
        raise VolumeError.of(path, f"{what} cannot be read ({kind}{str(e)[:200]})") from e
