"""Reads CT and MR volumes (.mhd, .mha, .nii, .nii.gz) with SimpleITK, and refuses those that are damaged.

ITK fills what a damaged file lacks, often without an error: half a .nii.gz comes back as a whole volume whose second
half is noise. The checks here are those that SimpleITK 2.5 lacks.
"""

from __future__ import annotations

import gzip
import math
import os
import zlib
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from monai.config import PathLike
from monai.data import ImageReader
from monai.data.utils import orientation_ras_lps
from monai.utils import MetaKeys, SpaceKeys, ensure_tuple

from tools.io.volume import VolumeError, VolumeHeader, check_geometry

SUFFIXES = (".mhd", ".mha", ".nii", ".nii.gz")


def volume_suffix(path: PathLike) -> str | None:
    """The suffix of `path` if it is one of `SUFFIXES`, else None. UIDs contain dots, so `Path.suffix` does not do."""
    name = os.path.basename(path).lower()
    return next((s for s in reversed(SUFFIXES) if name.endswith(s)), None)


def data_files(path: PathLike) -> list[Path]:
    """The files that hold the volume: `path` itself, and the .raw or .zraw that a .mhd names."""
    path = Path(path)
    if volume_suffix(path) != ".mhd":
        return [path]
    data = _metaimage_fields(path)[0].get("ElementDataFile", "LOCAL")
    return [path] if data == "LOCAL" or data.startswith("LIST") else [path, path.parent / data]


def file_stamp(path: PathLike) -> list[list[int]]:
    """Size in bytes and time of change in ns of each of the volume's `data_files`: it changes when the volume does."""
    return [[s.st_size, s.st_mtime_ns] for s in map(os.stat, data_files(path))]


def read_header(path: PathLike) -> VolumeHeader:
    """Reads a volume's header and checks, without reading its voxels, that they are all there.

    Raises:
        VolumeError: the file is missing or not an image, is not three-dimensional with one number per voxel, or its
            data are missing or shorter than the header says.
    """
    return _open(path)[1]


class _Voxels:
    """The voxels of a SimpleITK image for `np.asarray`, which keeps the image with its array: nothing is copied."""

    def __init__(self, image: sitk.Image) -> None:
        view = sitk.GetArrayViewFromImage(image)
        self.image = image
        self.__array_interface__ = {**view.__array_interface__, "data": (view.ctypes.data, False)}  # may be written to


class SimpleITKReader(ImageReader):
    """Reads one volume for `monai.transforms.LoadImage`: `LoadImaged(keys="image", reader=SimpleITKReader)`.

    Gives what MONAI's `ITKReader` and `NibabelReader` give: axes (x, y, z), affine in RAS, no channel.
    Compressed data are checked against their checksum, which ITK does not do.

    Args:
        axial_first: where z is the head-foot axis, give axes (z, y, x) with the affine that belongs to them: the order
            in the file, in which no voxel has to be moved to have axial slices first.

    `LoadImage` catches what `read` raises and tries its other readers, which would accept a 4D or a truncated volume.
    So `read` only passes the name on, and `get_data` reads; its `VolumeError` reaches the caller (as the cause of the
    RuntimeError of MONAI's `Compose`).
    """

    def __init__(self, axial_first: bool = False) -> None:
        super().__init__()
        self.axial_first = axial_first

    def verify_suffix(self, filename: Sequence[PathLike] | PathLike) -> bool:
        return all(volume_suffix(name) for name in ensure_tuple(filename))

    def read(self, data: Sequence[PathLike] | PathLike, **kwargs) -> str:
        """Returns the name of the one file that is to be read."""
        names = ensure_tuple(data)
        if len(names) != 1:
            raise VolumeError(f"expected one volume, got {len(names)} files: {[str(n) for n in names[:3]]}")
        return str(names[0])

    def get_data(self, img: str) -> tuple[np.ndarray, dict]:
        """Reads the file.

        Returns:
            the voxels [x, y, z], or [z, y, x], in the type in which they are stored, and their metadata.

        Raises:
            VolumeError: as `read_header`, or the data are damaged.
        """
        reader, header = _open(img, whole=True)
        try:
            array = np.asarray(_Voxels(reader.Execute())).T
        except RuntimeError as e:
            raise VolumeError.of(img, f"its voxels cannot be read ({_last_line(e)})") from e
        if array.dtype.kind == "f" and volume_suffix(img) in (".nii", ".nii.gz"):
            # ITK turns what is not finite in NIfTI into 0, which is water in CT
            array = np.asarray(nib.load(img).dataobj, array.dtype).reshape(array.shape)
        affine = header.affine
        if self.axial_first and np.abs(affine[2, :3]).argmax() == 2:
            array, affine = array.T, affine[:, [2, 1, 0, 3]]
        return array, {
            MetaKeys.AFFINE: affine,
            MetaKeys.ORIGINAL_AFFINE: affine.copy(),
            MetaKeys.SPACE: SpaceKeys.RAS,
            MetaKeys.SPATIAL_SHAPE: np.asarray(array.shape),
            MetaKeys.ORIGINAL_CHANNEL_DIM: float("nan"),  # MONAI's mark for "there is none"
        }


def _open(path: PathLike, whole: bool = False) -> tuple[sitk.ImageFileReader, VolumeHeader]:
    path = str(path)
    suffix = volume_suffix(path)
    if suffix is None:
        raise VolumeError.of(path, f"unknown kind of file, expected one of {', '.join(SUFFIXES)}")
    if not os.path.isfile(path):
        raise VolumeError.of(path, "there is no such file")
    reader = sitk.ImageFileReader()
    reader.SetFileName(path)
    try:
        reader.ReadImageInformation()
    except RuntimeError as e:
        raise VolumeError.of(path, f"its header cannot be read ({_last_line(e)})") from e
    size = reader.GetSize()
    if reader.GetDimension() != 3 or reader.GetNumberOfComponents() != 1:
        raise VolumeError.of(
            path,
            f"expected a 3D volume with one number per voxel, found {reader.GetDimension()}D of size {size} with "
            f"{reader.GetNumberOfComponents()} number(s) per voxel; convert it, or take it out of the folder",
        )
    try:
        (_check_metaimage if suffix in (".mhd", ".mha") else _check_nifti)(path, reader, whole)
    except OSError as e:
        raise VolumeError.of(path, f"its data cannot be read ({e})") from e
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(reader.GetDirection(), (3, 3)) * reader.GetSpacing()
    affine[:3, 3] = reader.GetOrigin()
    affine = orientation_ras_lps(affine)
    check_geometry(path, affine, size)
    return reader, VolumeHeader(path, tuple(size), affine)


def _check_metaimage(path: str, reader: sitk.ImageFileReader, whole: bool) -> None:
    fields, header_bytes = _metaimage_fields(path)
    name = fields.get("ElementDataFile", "LOCAL")
    if name.startswith("LIST") or "%" in name:
        return  # one file per slice: ITK reads or refuses these itself
    data, offset = (path, header_bytes) if name == "LOCAL" else (Path(path).parent / name, 0)
    if not os.path.isfile(data):
        raise VolumeError.of(path, f"its data file {name} is missing")
    found = os.path.getsize(data) - offset
    voxels = math.prod(reader.GetSize())
    expected = voxels * sitk.Image((1, 1, 1), reader.GetPixelID()).GetSizeOfPixelComponent()
    if fields.get("CompressedData", "False").lower() != "true":
        # a longer file is as wrong as a shorter one: size or type of the header do not belong to it
        if found < expected or (found > expected and "HeaderSize" not in fields):
            raise VolumeError.of(path, f"{Path(data).name} holds {found} bytes of voxels, its header says {expected}")
        return
    stored = int(fields.get("CompressedDataSize", 1))
    if found < stored:
        raise VolumeError.of(path, f"{Path(data).name} is truncated: it holds {found} bytes, its header says {stored}")
    if whole:
        inflated = _inflated_bytes(path, data, offset)
        if inflated != expected:
            raise VolumeError.of(
                path, f"{Path(data).name} holds {inflated} bytes of voxels, its header says {expected}"
            )


def _inflated_bytes(path: str, data: PathLike, offset: int) -> int:
    """Length of a zlib stream once inflated. Raises VolumeError if it ends early or its checksum is wrong."""
    inflate, total = zlib.decompressobj(wbits=47), 0  # 47: zlib or gzip header, as MetaIO accepts
    with open(data, "rb") as f:
        f.seek(offset)
        try:
            while not inflate.eof and (chunk := f.read(1 << 20)):
                total += len(inflate.decompress(chunk))
        except zlib.error as e:
            raise VolumeError.of(path, f"{Path(data).name} is damaged ({e})") from e
    if not inflate.eof:
        raise VolumeError.of(path, f"{Path(data).name} is truncated: its compressed data end early")
    return total


def _check_nifti(path: str, reader: sitk.ImageFileReader, whole: bool) -> None:
    def field(key: str) -> float:
        return float(reader.GetMetaData(key)) if reader.HasMetaDataKey(key) else 0

    # stored bits, not those of SimpleITK's pixel type: a scaled volume is stored in whole numbers and read as floats
    expected = int(field("vox_offset")) + math.prod(reader.GetSize()) * int(field("bitpix")) // 8
    if not path.lower().endswith(".gz"):
        found = os.path.getsize(path)
    elif not whole and _gzip_size_field(path) == expected % 2**32:
        return  # a truncated file has arbitrary bytes there
    else:
        found = 0
        try:
            with gzip.open(path) as f:  # to the end, where the checksum is
                while chunk := f.read(1 << 20):
                    found += len(chunk)
        except (EOFError, OSError, zlib.error) as e:
            raise VolumeError.of(path, f"its compressed data are truncated or damaged ({e})") from e
    if found < expected:
        raise VolumeError.of(path, f"it is truncated: it holds {found} bytes, its header says {expected}")


def _gzip_size_field(path: str) -> int:
    """Inflated size modulo 2^32, as a gzip file of one member gives it in its last four bytes (RFC 1952)."""
    with open(path, "rb") as f:
        f.seek(-4, os.SEEK_END)
        return int.from_bytes(f.read(4), "little")


def _metaimage_fields(path: PathLike) -> tuple[dict[str, str], int]:
    """The `Key = value` lines of a MetaImage header, and its length in bytes. ElementDataFile is the last line."""
    fields: dict[str, str] = {}
    with open(path, "rb") as f:
        while "ElementDataFile" not in fields and (line := f.readline(4096)):
            key, _, value = line.decode("latin-1").partition("=")
            fields[key.strip()] = value.strip()
        return fields, f.tell()


def _last_line(error: Exception) -> str:
    """The informative end of SimpleITK's messages, which begin with C++ source positions."""
    return str(error).strip().splitlines()[-1].removeprefix("sitk::ERROR: ")[:200]
