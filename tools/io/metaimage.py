"""Reads MetaImage (.mhd with its data files, .mha): a header of text lines, and raw or zlib-compressed voxels.

Not by ITK, whose MetaIO ends the process where a name is no UTF-8 or a header absurd, hands file names to printf, and
gives whatever was in memory for what a damaged file lacks. Geometry and values are as ITK has them.
"""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

import numpy as np
from monai.data.utils import orientation_ras_lps

from tools.io.inflate import inflate
from tools.io.volume import VolumeError, VolumeHeader, check_geometry, check_memory, wrong_dimensions

TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
"""NumPy's types; MetaIO's long has 32 bits."""

LONGEST_HEADER = 1 << 20
"""Bytes of a header and the list of files behind it."""

PATTERN = re.compile(r"(.*?)(%0?\d{0,2}d)(.*?)((?:\s+-?\d+){0,3})")
"""Names of numbered slices: what precedes the number, its format, what follows, and first, last and step."""


class MetaImageFile:
    """One volume.

    Attributes:
        header: its shape and affine.
        dtype: type of the voxels as they are stored.
        files: files that hold the voxels, in order; the header's own if they follow it.

    Raises:
        VolumeError: the file is no MetaImage or no 3D volume with one number per voxel, or does not say where its
            voxels lie.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._fields, rest, end = _read_fields(path)
        shape = self._shape()
        order = ">" if self._true("BinaryDataByteOrderMSB", "ElementByteOrderMSB") else "<"
        kind = self._fields.get("ElementType", "")
        if kind not in TYPES:
            raise VolumeError.of(path, f"its ElementType is {kind or 'not given'}, expected one of {', '.join(TYPES)}")
        self.dtype = np.dtype(order + TYPES[kind])
        affine = self._affine()
        check_geometry(path, affine, shape)
        self.header = VolumeHeader(path, shape, affine)
        if "BinaryData" in self._fields and not self._true("BinaryData"):
            raise VolumeError.of(path, "its voxels are written as text (BinaryData = False); convert it")
        self._compressed = self._true("CompressedData")
        size = math.prod(shape) * self.dtype.itemsize
        check_memory(path, size)
        self.files = _data_files(path, self._fields["ElementDataFile"], rest, shape[2])
        self._bytes = size // len(self.files)  # in each file
        self._start = end if self.files == [Path(path)] else int(self._fields.get("HeaderSize", 0))

    def check(self) -> None:
        """Raises VolumeError if a data file is missing, or too short or too long as far as can be told quickly."""
        for file in self.files:
            if not os.path.isfile(file):
                raise VolumeError.of(self.path, f"its data file {file.name} is missing")
            start = self._start_of(file)
            found = os.path.getsize(file) - start
            if not self._compressed:
                # a longer file is as wrong as a shorter one: size or type of the header do not belong to it
                if start < 0 or found < self._bytes or (found > self._bytes and "HeaderSize" not in self._fields):
                    raise self._wrong_size(file, found)
                continue
            stored = int(self._fields.get("CompressedDataSize", 1))
            if found < stored:
                raise VolumeError.of(
                    self.path, f"{file.name} is truncated: it holds {found} bytes, its header says {stored}"
                )

    def voxels(self) -> np.ndarray:
        """[x, y, z], first axis fastest, as they are stored."""
        self.check()
        voxels = np.empty(math.prod(self.header.shape), self.dtype)
        for file, part in zip(self.files, np.split(voxels.view(np.uint8), len(self.files)), strict=True):
            start = self._start_of(file)
            if self._compressed:
                found = inflate(self.path, file, self._bytes, part, start)
            else:
                found = _read_into(part, file, start)
            if found != self._bytes:
                raise self._wrong_size(file, found)
        return voxels.astype(self.dtype.newbyteorder("="), copy=False).reshape(self.header.shape, order="F")

    def _wrong_size(self, file: Path, found: int) -> VolumeError:
        more = "more than " if self._compressed and found > self._bytes else ""
        found = min(found, self._bytes) if more else found
        return VolumeError.of(
            self.path, f"{file.name} holds {more}{found} bytes of voxels, its header says {self._bytes}"
        )

    def _start_of(self, file: Path) -> int:
        return os.path.getsize(file) - self._bytes if self._start == -1 else self._start  # -1: they are the file's last

    def _true(self, *keys: str) -> bool:
        return any(self._fields.get(key, "").lower() in ("true", "t", "1") for key in keys)

    def _numbers(self, count: int, *keys: str) -> np.ndarray | None:
        """Numbers of the first field that there is; None without one."""
        for key in keys:
            if key in self._fields:
                numbers = np.array(self._fields[key].split(), np.float64)
                if numbers.shape != (count,):
                    raise ValueError(f"{key} is {self._fields[key][:60]!r}, expected {count} numbers")
                return numbers
        return None

    def _shape(self) -> tuple[int, int, int]:
        dimensions = int(self._fields.get("NDims", 0))
        channels = int(self._fields.get("ElementNumberOfChannels", 1))
        shape = tuple(int(n) for n in self._fields.get("DimSize", "").split(maxsplit=10))
        if len(shape) != dimensions or min(shape, default=0) < 1:
            raise ValueError(f"NDims is {dimensions} and DimSize {self._fields.get('DimSize')!r:.60}")
        if dimensions != 3 or channels != 1:
            raise wrong_dimensions(self.path, shape, channels)
        return shape

    def _affine(self) -> np.ndarray:
        """Voxel index to RAS in mm. The file has the directions of its axes one after the other, in LPS."""
        spacing = self._numbers(3, "ElementSpacing", "ElementSize")
        if spacing is None:
            raise VolumeError.of(self.path, "it does not say how large its voxels are; add ElementSpacing in mm")
        directions = self._numbers(9, "TransformMatrix", "Rotation", "Orientation")
        origin = self._numbers(3, "Offset", "Position", "Origin")
        affine = np.eye(4)
        if directions is not None:
            affine[:3, :3] = directions.reshape(3, 3).T
        affine[:3, :3] *= spacing
        if origin is not None:
            affine[:3, 3] = origin
        return orientation_ras_lps(affine)


def _read_fields(path: str) -> tuple[dict[str, str], list[str], int]:
    """The `Key = value` lines, the lines behind the last of them, which is ElementDataFile, and where it ends."""
    with open(path, "rb") as f:
        block = f.read(LONGEST_HEADER)
    fields: dict[str, str] = {}
    end = 0
    while "ElementDataFile" not in fields and end < len(block):
        stop = block.find(b"\n", end) + 1 or len(block)
        key, separator, value = re.match(r"([^=:]*)([=:]?)(.*)", os.fsdecode(block[end:stop]).strip(), re.S).groups()
        if (not separator and key) or len(key) > 80:
            break
        fields[key.strip()] = value.strip()
        end = stop
    if "ElementDataFile" not in fields:
        raise VolumeError.of(path, "its header cannot be read (it is no MetaImage with an ElementDataFile)")
    rest = block[end:].splitlines() if fields["ElementDataFile"].startswith("LIST") else []
    return fields, [os.fsdecode(line).strip() for line in rest], end


def _data_files(path: str, name: str, rest: list[str], slices: int) -> list[Path]:
    """Return where the voxels are: in the file itself, in one beside it, or in one for each slice."""
    folder = Path(path).parent
    if name.lower() == "local":
        return [Path(path)]
    numbered = PATTERN.fullmatch(name)
    if name.split()[:1] == ["LIST"]:
        names = [line for line in rest if line]
        count = len(names)
    elif numbered and not os.path.isfile(folder / name):
        given = [int(n) for n in numbered[4].split()]
        first, last, step = given + [1, slices, 1][len(given) :]
        numbers = range(first, last + 1, step)
        count = len(numbers)
        names = (numbered[1] + numbered[2] % n + numbered[3] for n in numbers)
    else:
        return [folder / name]
    if count != slices:
        raise VolumeError.of(path, f"it names {count} data files for its {slices} slices")
    return [folder / name for name in names]


def _read_into(part: np.ndarray, file: Path, start: int) -> int:
    """Bytes that were read; the system gives 2 GB at a time at most."""
    found = 0
    with open(file, "rb", buffering=0) as f:
        f.seek(start)
        while count := f.readinto(part[found:]):
            found += count
    return found
