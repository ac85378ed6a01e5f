"""A label map as pictures, one for each slice of a DICOM series, as CHAOS has them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from tools.files import as_text, natural_order
from tools.io.dicom import DicomSeries, dicom_series
from tools.io.pictures import picture_names, read_pictures
from tools.io.volume import VolumeError
from tools.io.volume_reader import echo_of, source_path


def label_slices(folder: str | os.PathLike, image: str | os.PathLike) -> tuple[list[str], DicomSeries]:
    """The pictures of a label map in the order of the slices of its image, by headers alone.

    The n-th picture by name is of the n-th slice by the name of its file, 2 before 10; where the slice lies, its header
    says. CHAOS names those of MR as the in-phase slices, and those of CT otherwise than the slices.

    Args:
        folder: folder of the pictures.
        image: folder of the DICOM slices, with `#echo=...` where it holds several volumes.

    Returns:
        names of pictures, that of the lowest slice along the normal first, and the series.

    Raises:
        VolumeError: the image is no DICOM series; there is not one picture for each slice; pictures that have slices'
            names lack some of them; a picture cannot be read or has another size than the slices.
    """
    if not isinstance(image, str | os.PathLike) or not os.path.isdir(source_path(image)):
        raise VolumeError.of(folder, "its pictures are labels of DICOM slices, but its image is no folder of them")
    series = dicom_series(source_path(image), echo_of(image))
    pictures = sorted(picture_names(folder), key=natural_order)
    files = sorted(series.files, key=lambda file: natural_order(file.name))
    _check_names(folder, image, pictures, files)
    columns, rows, _ = series.shape
    for name in pictures:
        try:
            with Image.open(Path(folder) / name) as picture:
                size = picture.size
        except (OSError, SyntaxError, ValueError) as error:  # SyntaxError: Pillow's for a damaged PNG
            raise VolumeError.of(Path(folder) / name, f"it cannot be read as a picture ({error})") from error
        if size != (columns, rows):
            found = f"it has {size[0]} x {size[1]} pixels, and the slices of {as_text(image)} {columns} x {rows}"
            raise VolumeError.of(Path(folder) / name, found)
    of_file = dict(zip(files, pictures, strict=True))
    return [of_file[file] for file in series.files], series


def read_label_slices(folder: str | os.PathLike, image: str | os.PathLike) -> tuple[np.ndarray, np.ndarray]:
    """A label map of pictures, see `label_slices`.

    Returns:
        grey values [columns, rows, slices], uint8 or uint16, and the affine [4, 4] of the image's series, voxel index
        to mm in RAS.

    Raises:
        VolumeError: the pictures are refused, see `label_slices`.
    """
    names, series = label_slices(folder, image)
    return read_pictures(folder, names).T, series.affine


def _check_names(
    folder: str | os.PathLike, image: str | os.PathLike, pictures: Sequence[str], files: Sequence[Path]
) -> None:
    """Raises VolumeError unless there is one picture for each slice, as far as numbers and names tell."""
    slices = {as_text(file.stem) for file in files}
    named = {as_text(Path(name).stem) for name in pictures}
    odd = sorted(slices ^ named, key=natural_order) if slices & named else []
    if len(pictures) == len(files) and not odd:
        return
    reason = f"it has {len(pictures)} pictures, {pictures[0]} to {pictures[-1]}, and {as_text(image)} {len(files)} "
    reason += f"slices, {as_text(files[0].name)} to {as_text(files[-1].name)}; expected a picture for each slice"
    if odd:
        reason += f"; {odd[0]} is {'a slice without a picture' if odd[0] in slices else 'a picture without a slice'}"
    raise VolumeError.of(folder, reason)
