"""Reads slices that were published as pictures: a zip, or a folder, of JPEG or PNG of 8 or 16 bits."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from tools.io.volume import VolumeError

PICTURES = (".jpeg", ".jpg", ".png")


def picture_names(path: str | os.PathLike) -> list[str]:
    """Names of the pictures in a zip or a folder and the folders in it, in alphabetical order.

    Raises:
        FileNotFoundError: there is nothing at ``path``.
        VolumeError: the path is no zip and no folder, or holds no picture.
    """
    path = Path(path)
    if path.is_dir():
        found = [str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()]
    elif path.is_file():
        found = _opened(path).namelist()
    else:
        raise FileNotFoundError(f"there is nothing at {path.absolute()}; expected a zip or a folder of pictures")
    names = sorted(name for name in found if name.lower().endswith(PICTURES) and not Path(name).name.startswith("."))
    if not names:
        raise VolumeError.of(path, f"it holds no pictures ({', '.join(PICTURES)})")
    return names


def read_pictures(path: str | os.PathLike, names: Iterable[str]) -> np.ndarray:
    """Grey values [pictures, rows, columns] of pictures of one size, uint8 or uint16; colours become their luminance.

    Raises:
        VolumeError: one cannot be read, or has another size than the first; it is named.
    """
    path, arrays = Path(path), []
    archive = None if path.is_dir() else _opened(path)
    for name in names:
        try:
            content = (path / name).read_bytes() if archive is None else archive.read(name)
            with Image.open(io.BytesIO(content)) as picture:
                is_grey = picture.mode in ("L", "I;16", "I")
                array = np.asarray(picture if is_grey else picture.convert("L"))
        except (OSError, KeyError, ValueError, zipfile.BadZipFile, UnidentifiedImageError) as error:
            raise VolumeError.of(path / name, f"it cannot be read as a picture ({error})") from error
        if arrays and array.shape != arrays[0].shape:
            raise VolumeError.of(
                path / name, f"it has {array.shape[1]} x {array.shape[0]} pixels and others {arrays[0].shape[::-1]}"
            )
        arrays.append(array)
    return np.stack(arrays)


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise VolumeError.of(path, f"it is no zip that can be read ({error})") from error
