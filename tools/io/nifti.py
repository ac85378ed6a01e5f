"""NIfTI-1 and NIfTI-2 in single files. Reads them compressed or not, whatever their names end in; writes NIfTI-1.

The geometry is nibabel's, and so MONAI's and FSL's: the sform if there is one, else the qform. What nibabel would
repair or assume without evidence is refused: voxels without a size, or at a place that the file does not define.
"""

from __future__ import annotations

import math
import os

import nibabel as nib
import numpy as np
from monai.config import PathLike
from nibabel.volumeutils import apply_read_scaling

from tools.files import whole_file
from tools.io.inflate import GZIP, gzip_size_field, inflate
from tools.io.provenance import Record, describe_nifti
from tools.io.volume import VolumeError, VolumeHeader, check_geometry, check_memory, corner_distance, wrong_dimensions

DISAGREEMENT = 0.1
"""How far sform and qform may place a corner of a volume apart, in voxels, without a word."""

MILLIMETRES = {1: 1e3, 2: 1.0, 3: 1e-3}
"""Millimetres of the header's units of length: metre, millimetre, micron. Without one it is taken for millimetres."""


class NiftiFile:
    """One volume.

    Args:
        path: name of the file.
        channel: number of one of the volumes of a 4D file, as the Medical Segmentation Decathlon keeps several
            contrasts of a patient; None for a file of one volume.

    Attributes:
        header: its shape and affine.
        dtype: type of the voxels as they are stored.

    Raises:
        VolumeError: the file is no NIfTI or no 3D volume with one number per voxel, or does not say where its voxels
            lie.
    """

    def __init__(self, path: str, channel: int | None = None) -> None:
        self.path = path
        with open(path, "rb") as f:
            block = f.read(nib.Nifti2Header.sizeof_hdr)
        self._compressed = block.startswith(GZIP)
        if self._compressed:
            buffer = np.zeros(nib.Nifti2Header.sizeof_hdr, np.uint8)
            inflate(path, path, buffer.size, buffer, to_end=False)
            block = buffer.tobytes()
        header = _parsed(path, block)
        shape, channels = _shape(path, header, channel)
        self.dtype = _dtype(path, header, shape)
        self._scaling = _scaling(path, header)
        affine, doubt = _affine(path, header, shape)
        check_geometry(path, affine, shape)
        self.header = VolumeHeader(path, shape, affine, doubt)
        self._bytes = math.prod(shape) * self.dtype.itemsize
        check_memory(path, self._bytes)
        start = _offset(path, header)
        self._offset = start + (channel or 0) * self._bytes  # the channel is the last axis, hence the slowest
        self._end = start + channels * self._bytes

    def check(self) -> None:
        """Raises VolumeError if voxels are missing. Compressed ones are inflated for that only if need be."""
        expected = self._end
        if not self._compressed:
            self._check_size(os.path.getsize(self.path) - self._offset)
        elif gzip_size_field(self.path) != expected % 2**32:  # a truncated file has arbitrary bytes there
            self._check_size(inflate(self.path, self.path, self._bytes, skip=self._offset))

    def voxels(self) -> np.ndarray:
        """[x, y, z], first axis fastest, as they are stored; float32 where a slope scales whole numbers."""
        if self._compressed:
            buffer = np.empty(self._bytes, np.uint8)
            self._check_size(inflate(self.path, self.path, self._bytes, buffer, skip=self._offset))
            flat = buffer.view(self.dtype)
        else:
            self.check()
            flat = np.fromfile(self.path, self.dtype, math.prod(self.header.shape), offset=self._offset)
        array = flat.astype(self.dtype.newbyteorder("="), copy=False).reshape(self.header.shape, order="F")
        if self._scaling is None:
            return array
        scaled = np.empty_like(array, np.float64 if array.dtype == np.float64 else np.float32)
        for k in range(array.shape[2]):  # in nibabel's precision, which would take much memory at a time
            scaled[..., k] = apply_read_scaling(array[..., k], *self._scaling)
        return scaled

    def _check_size(self, found: int) -> None:
        if found < self._bytes:
            found, expected = max(0, self._offset + found), self._offset + self._bytes
            raise VolumeError.of(self.path, f"it is truncated: it holds {found} bytes, its header says {expected}")


def _parsed(path: str, block: bytes) -> nib.Nifti1Header:
    """The header in the first bytes of a file, nothing mended but signs that mean nothing."""
    if block[344:348] == b"n+1\0" and len(block) >= nib.Nifti1Header.sizeof_hdr:
        header = nib.Nifti1Header(block[: nib.Nifti1Header.sizeof_hdr], check=False)
    elif block[4:8] == b"n+2\0" and len(block) >= nib.Nifti2Header.sizeof_hdr:
        header = nib.Nifti2Header(block[: nib.Nifti2Header.sizeof_hdr], check=False)
    elif block[344:348] == b"ni1\0" or block[4:8] == b"ni2\0":
        raise VolumeError.of(path, "its voxels are in another file (a pair of .hdr and .img); convert it")
    else:
        raise VolumeError.of(path, "its header cannot be read (it is no NIfTI file)")
    header["pixdim"][1:4] = np.abs(header["pixdim"][1:4])
    if header["pixdim"][0] not in (-1, 1):
        header["pixdim"][0] = 1  # as the standard says
    return header


def _shape(path: str, header: nib.Nifti1Header, channel: int | None) -> tuple[tuple[int, int, int], int]:
    """Shape of a volume, and how many of them the file holds."""
    dimensions = int(header["dim"][0])
    if not 1 <= dimensions <= 7:
        raise VolumeError.of(path, f"its header cannot be read (it says {dimensions} dimensions)")
    shape = tuple(int(n) for n in header["dim"][1 : dimensions + 1])
    channels = shape[3] if dimensions > 3 else 1
    if dimensions < 3 or min(shape) < 1 or max(shape[4:], default=1) > 1 or (channel is None and channels > 1):
        raise wrong_dimensions(path, shape)
    if (channel or 0) >= channels:
        raise VolumeError.of(path, f"channel {channel} is asked for, and it has {channels}, counted from 0")
    return shape[:3], channels


def _dtype(path: str, header: nib.Nifti1Header, shape: tuple[int, ...]) -> np.dtype:
    try:
        dtype = header.get_data_dtype()
    except nib.spatialimages.HeaderDataError as e:
        raise VolumeError.of(path, f"its header cannot be read ({e})") from e
    if dtype.kind == "c" or dtype.names:
        raise wrong_dimensions(path, shape, numbers=len(dtype.names or "ri"))
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise VolumeError.of(path, f"its numbers are of type {dtype}, expected whole or floating of at most 64 bits")
    return dtype


def _offset(path: str, header: nib.Nifti1Header) -> int:
    offset, first = float(header["vox_offset"]), header.single_vox_offset
    if not (math.isfinite(offset) and offset.is_integer() and offset >= first):
        raise VolumeError.of(
            path, f"its header says that voxels begin at byte {offset:g} (vox_offset), expected {first} or more"
        )
    return int(offset)


def _scaling(path: str, header: nib.Nifti1Header) -> tuple[float, float] | None:
    """Slope and intercept; None if values are stored as they are, which a slope of 0 or NaN means too."""
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or math.isnan(slope) or (slope, intercept) == (1, 0):
        return None
    if not (math.isfinite(slope) and math.isfinite(intercept)):
        raise VolumeError.of(path, f"its values are not known: slope is {slope:g} and intercept {intercept:g}")
    return slope, intercept


def _affine(path: str, header: nib.Nifti1Header, shape: tuple[int, ...]) -> tuple[np.ndarray, str]:
    """The affine in mm, and what is doubtful about it."""
    affine, doubt = None, ""
    if header["sform_code"]:
        affine = header.get_sform()
        if header["qform_code"] and np.isfinite(affine).all():
            apart = _apart(affine, header, shape)
            if not apart <= DISAGREEMENT:
                doubt = (
                    f"its sform and its qform place voxels {apart:.2g} voxels apart; the sform is followed, as "
                    "nibabel does. If the qform is right, write it into both"
                )
    elif header["qform_code"]:
        affine = _qform(header)
    else:
        affine = header.get_base_affine()
        doubt = (
            "it does not say how its axes lie (sform_code and qform_code are 0); they are taken to run to the left, "
            "the front and the head, as nibabel does. If they do not, write its sform"
        )
    scale = MILLIMETRES.get(int(header["xyzt_units"]) % 8, 1.0)
    return np.diag([scale, scale, scale, 1.0]) @ affine, doubt


def _apart(sform: np.ndarray, header: nib.Nifti1Header, shape: tuple[int, ...]) -> float:
    """Return how far the qform places a corner from the sform, in voxels; infinite if either is none."""
    qform = _qform(header)
    if not np.isfinite(qform).all() or np.linalg.det(sform[:3, :3]) == 0:
        return math.inf
    return corner_distance(np.linalg.inv(sform) @ qform - np.eye(4), shape)


def _qform(header: nib.Nifti1Header) -> np.ndarray:
    """NaN where its quaternion is none."""
    try:
        return header.get_qform()
    except (ValueError, nib.spatialimages.HeaderDataError):
        return np.full((4, 4), np.nan)


def nifti_image(voxels: np.ndarray, affine: np.ndarray, provenance: Record | None = None) -> nib.Nifti1Image:
    """The image of every NIfTI file that is written: sform and qform say the same, in millimetres.

    Args:
        voxels: [x, y, z], stored in their own type.
        affine: 4x4, voxel index to RAS in mm. The qform cannot hold what shear it has.
        provenance: origin of the volume, which the header then names.
    """
    image = nib.Nifti1Image(voxels, affine, dtype=voxels.dtype)
    image.set_sform(affine, code="scanner")
    image.set_qform(affine, code="scanner")
    image.header.set_xyzt_units("mm")
    if provenance is not None:
        describe_nifti(image.header, provenance)
    return image


def write_nifti(path: PathLike, voxels: np.ndarray, affine: np.ndarray, provenance: Record | None = None) -> None:
    """Writes `nifti_image`, whole or not at all; compressed if ``path`` ends in `.gz`."""
    with whole_file(path) as partial:
        nib.save(nifti_image(voxels, affine, provenance), partial)
