"""Reads NRRD (.nrrd, and .nhdr with one data file beside it) by pynrrd; geometry as ITK and 3D Slicer have it."""

from __future__ import annotations

import math
import os
from pathlib import Path

import nrrd
import numpy as np
from monai.data.utils import orientation_ras_lps

from tools.io.volume import VolumeError, VolumeHeader, check_geometry, check_memory, wrong_dimensions

TO_RAS = {
    "right-anterior-superior": np.eye(4),
    "ras": np.eye(4),
    "left-anterior-superior": np.diag([-1.0, 1, 1, 1]),
    "las": np.diag([-1.0, 1, 1, 1]),
}
"""Spaces besides DICOM's; http://teem.sourceforge.net/nrrd/format.html lists them."""

BYTES = ((1, ("char", "int8")), (2, ("short", "16")), (8, ("long", "64", "double")), (4, ("int", "float")))
"""Size of a number, by what the name of its type has in it; the first that fits."""

LPS = ("left-posterior-superior", "lps")


class NrrdFile:
    """One volume.

    Attributes:
        header: its shape and affine.
        files: files that hold it.

    Raises:
        VolumeError: the file is no NRRD or no 3D volume with one number per voxel, or does not say where voxels lie.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        with open(path, "rb") as file:
            self._fields = nrrd.read_header(file)
            self._start = file.tell()
        shape = tuple(int(n) for n in self._fields["sizes"])
        if len(shape) != 3:
            raise wrong_dimensions(path, shape)
        affine = self._affine()
        check_geometry(path, affine, shape)
        self.header = VolumeHeader(path, shape, affine)
        self._size = math.prod(shape) * self._bytes_of_a_number()
        check_memory(path, self._size)
        name = self._fields.get("data file", self._fields.get("datafile"))
        if name is not None and (" " in str(name) or "%" in str(name) or name == "LIST"):
            raise VolumeError.of(path, "its voxels lie in several files; convert it to one")
        self.files = [Path(path)] if name is None else [Path(path), Path(path).parent / str(name)]

    def check(self) -> None:
        """Raises VolumeError if its data file is missing, or shorter than its header says where that can be told."""
        data = self.files[-1]
        if not data.is_file():
            raise VolumeError.of(self.path, f"its data file {data.name} is missing")
        if self._fields["encoding"] == "raw":
            start = self._start if len(self.files) == 1 else 0
            found = os.path.getsize(data) - start
            if found < self._size:
                raise VolumeError.of(self.path, f"{data.name} is truncated: {found} bytes of {self._size} are there")

    def voxels(self) -> np.ndarray:
        """[x, y, z], first axis fastest, as they are stored."""
        self.check()
        with open(self.path, "rb") as file:
            header = nrrd.read_header(file)
            return nrrd.read_data(header, file, self.path, index_order="F")

    def _bytes_of_a_number(self) -> int:
        kind = str(self._fields["type"])
        for size, words in BYTES:
            if any(word in kind for word in words):
                return size
        raise VolumeError.of(self.path, f"its type is {kind}, expected numbers of 1, 2, 4 or 8 bytes")

    def _affine(self) -> np.ndarray:
        """Voxel index to millimetres in RAS."""
        space, directions = self._fields.get("space"), self._fields.get("space directions")
        if directions is None or space is None:
            raise VolumeError.of(self.path, "where its voxels lie is not known: it has no space and space directions")
        affine = np.eye(4)
        affine[:3, :3] = np.asarray(directions, float).T
        origin = self._fields.get("space origin")
        affine[:3, 3] = (0, 0, 0) if origin is None else origin
        name = str(space).lower()
        if name in LPS:
            return orientation_ras_lps(affine)
        if name not in TO_RAS:
            raise VolumeError.of(self.path, f"its space is {space!r}, expected one of {', '.join((*LPS, *TO_RAS))}")
        return TO_RAS[name] @ affine
