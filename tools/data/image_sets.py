"""A folder of images to evaluate: what is in it, and each image as a volume, axial first, from feet to head."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
from monai.data import MetaTensor
from monai.transforms import EnsureChannelFirst, LoadImage, Orientation
from PIL import Image
from pydicom.errors import InvalidDicomError

from tools.data.folders import walk
from tools.data.preprocessed import finished_volumes
from tools.files import as_text, natural_order
from tools.io.array import array_shape, read_array
from tools.io.readers import SUFFIXES, VolumeError, volume_suffix
from tools.io.volume import check_content
from tools.io.volume_reader import VolumeReader, source_path, volume_header, volume_names, volume_stamp

logger = logging.getLogger(__name__)

KINDS = {
    "volume": f"volumes ({', '.join(SUFFIXES)})",
    "array": "NumPy arrays [axial, rows, columns] (.npy)",
    "dicom": "folders of DICOM slices",
    "png": "folders of PNG slices, 8 or 16 bit grey",
}
"""Kinds of images and what they are, for messages."""

GREY = {"L": np.uint8, "I;16": np.uint16, "I;16B": np.uint16, "I": np.uint16}
"""Pillow's modes of grey images, and the numbers in them."""


@dataclass(frozen=True)
class ImageFile:
    """One image of a set.

    Attributes:
        id: unique in its set: the path below the set's folder, without suffix.
        path: path of the file, or of the folder with the slices; of one of several echoes `folder#echo=<ms>`.
        kind: "volume", "array", "dicom" or "png", see `KINDS`.
    """

    id: str
    path: str
    kind: str


def find_images(folder: str | os.PathLike) -> list[ImageFile]:
    """Every image in a folder and below, sorted by id.

    Images are of one kind, see `KINDS`. A folder of slices is one image; MR slices of several echo times are one for
    each. Hidden files and folders are left out, and folders of label maps, see `walk`. So are PNGs among other images
    (in the same folder, in one above or below it, or beside a folder of DICOM slices): they are pictures of a report.

    Raises:
        FileNotFoundError: there is no such folder, or no image in it.
        VolumeError: images of several kinds, two with one id, or a preprocessing that was interrupted.
    """
    root = Path(folder)
    if not root.is_dir():
        what = "is a file" if root.is_file() else "does not exist"
        raise FileNotFoundError(f"{root.absolute()} {what}; expected a folder of images: {_kinds()}")
    finished_volumes(root)  # else some of a set would be taken for all
    found: list[ImageFile] = []
    pictures: list[ImageFile] = []
    without_slices: list[str] = []
    for place, names in walk(root):
        found += _single_files(root, place, names)
        relative = as_text(place.relative_to(root).as_posix() if place != root else root.resolve().name)
        if _holds_slices(place, names, without_slices):
            found += [ImageFile(name, path, "dicom") for name, path in volume_names(place, relative).items()]
        if any(_is_png(name) for name in names):
            pictures.append(ImageFile(relative, str(place), "png"))
    found += _slices_not_pictures(root, pictures, found)
    if not found:
        raise FileNotFoundError(f"there is no image in {root.absolute()}; looked for {_kinds()}{_hint(without_slices)}")
    _check(root, found)
    return sorted(found, key=lambda image: image.id)


def pictures_apart(images: Sequence[ImageFile], folder: str | os.PathLike) -> list[ImageFile]:
    """The PNGs of a folder as 2D images, where they are all that `find_images` found in it; else what it found.

    Slices of a volume lie in a folder of the volume's own. A set needs several images, so PNGs right in the folder of a
    set are its images.
    """
    if [(image.kind, Path(image.path)) for image in images] != [("png", Path(folder))]:
        return list(images)
    return [ImageFile(as_text(path.stem), str(path), "png") for path in _png_files(folder)]


def read_image(image: ImageFile, is_label: bool = False) -> tuple[np.ndarray, tuple[float, float, float] | None]:
    """An image as a volume.

    Volumes and DICOM are turned so that slices run from feet to head, rows from front to back and columns from the
    patient's right to left ("SPL"). Arrays and PNGs have no orientation and are taken to lie so already; the slices of
    a folder of PNGs are in the order of the numbers in their names, 2 before 10.

    Args:
        image: image found by `find_images`.
        is_label: True for a label map, which may have one value everywhere: no class need be there.

    Returns:
        float32 [D, H, W] in the unit of the file (HU for CT in DICOM), and the voxel size (D, H, W) in mm, None for
        arrays and PNGs.

    Raises:
        VolumeError: the image cannot be read, is no volume, is in colour, or has one value everywhere. NaN are left in
            it.
    """
    voxels, spacing = _read(image)
    if not is_label:
        check_content(image.path, voxels)
    return voxels, spacing


def _read(image: ImageFile) -> tuple[np.ndarray, tuple[float, float, float] | None]:
    if image.kind == "array":
        return read_array(image.path), None
    if image.kind == "png":
        return _read_pngs(image.path), None
    volume = _load()(image.path)
    spacing = tuple(float(mm) for mm in volume.pixdim)
    return np.ascontiguousarray(volume.as_tensor()[0].numpy(), np.float32), spacing


def image_shape(image: ImageFile) -> tuple[int, int, int]:
    """[D, H, W] of `read_image`, from headers alone; of a folder of PNGs the pixels of the first.

    Raises:
        VolumeError: a header cannot be read, or is of no volume.
    """
    if image.kind == "array":
        return array_shape(image.path)
    if image.kind == "png":
        files = _png_files(image.path)
        if not files:
            raise VolumeError.of(image.path, "there is no PNG slice in it")
        return len(files), *_read_png(files[0]).shape
    header = volume_header(image.path)
    along = dict(zip(nib.io_orientation(header.affine)[:, 0].astype(int), header.shape, strict=True))
    return int(along[2]), int(along[1]), int(along[0])  # RAS: 0 left-right, 1 front-back, 2 head-foot


def image_stamp(image: ImageFile) -> list[list[int]]:
    """Size in bytes and time of change in ns of every file that an image is stored in: it changes when the image does.

    Raises:
        FileNotFoundError: the image is no longer there.
    """
    if image.kind != "png":
        return volume_stamp(image.path)
    return [[stat.st_size, stat.st_mtime_ns] for stat in map(os.stat, _png_files(image.path))]


@cache
def _load() -> Callable:
    chain = (LoadImage(reader=VolumeReader), EnsureChannelFirst(), Orientation(axcodes="SPL", labels=None))

    def load(path: str) -> MetaTensor:
        for transform in chain:  # not a Compose, which would wrap a VolumeError
            path = transform(path)
        return path

    return load


def _kinds() -> str:
    return "; ".join(KINDS.values())


def _single_files(root: Path, place: Path, names: Sequence[str]) -> list[ImageFile]:
    images = []
    for name in names:
        suffix = volume_suffix(name) or (".npy" if name.lower().endswith(".npy") else None)
        if suffix:
            path = place / name
            identifier = as_text(path.relative_to(root).as_posix()[: -len(suffix)])
            images.append(ImageFile(identifier, str(path), "array" if suffix == ".npy" else "volume"))
    return images


def _is_png(name: str) -> bool:
    return name.lower().endswith(".png")


def _holds_slices(place: Path, names: Sequence[str], without_slices: list[str]) -> bool:
    """Return whether there is a DICOM slice in a folder. One with DICOM but no slice joins ``without_slices``."""
    other = False
    for name in names:
        if volume_suffix(name) or name.lower().endswith((".npy", ".png")):
            continue
        try:
            header = pydicom.dcmread(place / name, stop_before_pixels=True)
            if "ImagePositionPatient" in header:
                return True
        except (InvalidDicomError, OSError):
            continue
        except Exception as error:  # pydicom's parser raises many kinds
            logger.debug("%s is damaged: %s", place / name, error)
        other = True
    if other:
        logger.debug("%s holds DICOM files but no slices, and is left out", place)
        without_slices.append(str(place))
    return False


def _slices_not_pictures(root: Path, pictures: Sequence[ImageFile], found: Sequence[ImageFile]) -> list[ImageFile]:
    """Those folders of PNGs that do not lie among other images."""
    own = {Path(source_path(i.path)) if i.kind == "dicom" else Path(i.path).parent for i in found}
    beside = {Path(source_path(i.path)).parent for i in found if i.kind == "dicom"}
    above = {parent for place in own for parent in place.parents}
    slices = []
    for image in pictures:
        place = Path(image.path)
        if place in beside | above or own & {place, *place.parents}:
            logger.debug("the PNGs in %s lie among images of another kind, and are left out", place)
        else:
            slices.append(image)
    return slices


def _check(root: Path, images: Sequence[ImageFile]) -> None:
    """Raises VolumeError unless the images are of one kind and have different ids."""
    examples = {image.kind: image for image in reversed(images)}
    if len(examples) > 1:
        kinds = "; ".join(f"{KINDS[kind]}, such as {image.path}" for kind, image in sorted(examples.items()))
        raise VolumeError.of(
            root, f"it holds images of {len(examples)} kinds: {kinds}; give a folder with one kind of image"
        )
    known: dict[str, ImageFile] = {}
    for image in images:
        if image.id in known:
            raise VolumeError.of(
                root,
                f"two images have the id {image.id!r}: {known[image.id].path} and {image.path}; ids are paths without "
                "suffix and must differ: rename or remove one",
            )
        known[image.id] = image


def _hint(without_slices: Sequence[str]) -> str:
    if not without_slices:
        return ""
    return (
        f". {len(without_slices)} folder(s) such as {without_slices[0]} hold DICOM files that are no slices of a "
        "volume; convert images of several frames to NIfTI"
    )


def _png_files(folder: str) -> list[Path]:
    """The PNGs of a folder by the numbers in their names; of the path of one PNG that alone."""
    if not Path(folder).is_dir():
        return [Path(folder)] if Path(folder).is_file() else []
    files = [p for p in Path(folder).iterdir() if _is_png(p.name) and not p.name.startswith(".") and p.is_file()]
    return sorted(files, key=lambda file: (natural_order(file.stem), file.name))


def _read_pngs(folder: str) -> np.ndarray:
    """[D, H, W] of a folder of PNG slices, float32, in the numbers that are stored."""
    files = _png_files(folder)
    if not files:
        raise VolumeError.of(folder, "there is no PNG slice in it")
    slices = [_read_png(file) for file in files]
    for what, of in (("pixels", lambda one: " x ".join(map(str, one.shape))), ("values", lambda one: str(one.dtype))):
        kinds = [of(one) for one in slices]
        other = next((i for i, kind in enumerate(kinds) if kind != kinds[0]), None)
        if other is not None:
            raise VolumeError.of(
                folder,
                f"the {what} of {files[0].name} are {kinds[0]} and those of {files[other].name} {kinds[other]}; the "
                "slices of a volume must be alike, and each volume needs a folder of its own",
            )
    return np.stack(slices).astype(np.float32)


def _read_png(file: Path) -> np.ndarray:
    """uint8 or uint16 [H, W]."""
    try:
        with Image.open(file) as picture:
            mode, array = picture.mode, np.asarray(picture)
    except (OSError, SyntaxError, ValueError) as error:  # SyntaxError: Pillow's for a damaged PNG
        raise VolumeError.of(file, f"it is no PNG that can be read ({str(error)[:150]})") from error
    if mode not in GREY:
        raise VolumeError.of(
            file, f"its pixels are {mode} (colour, palette, transparency or 1 bit); expected grey of 8 or 16 bit"
        )
    return array.astype(GREY[mode])
