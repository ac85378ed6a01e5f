"""What every kind of file gives of a volume: its header, and the error of one that cannot be used."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass

import nibabel as nib
import numpy as np
from monai.config import PathLike

from tools.errors import causes
from tools.files import as_text

VOXEL_SIZES = (1e-2, 100.0)
"""Smallest and largest side of a voxel in mm: what lies beyond is a mistake or another unit."""

SHEAR_TOLERANCE = 0.25
"""How far a shear may move a corner of a volume, in voxels."""


class VolumeError(ValueError):
    """A volume that cannot be used. The message names the file and the reason."""

    def __init__(self, message: str, reason: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason or message  # without the file's name, for lists that already give it

    @classmethod
    def of(cls, path: PathLike, reason: str) -> VolumeError:
        reason = as_text(reason)  # it may quote a name
        return cls(f"{as_text(path)}: {reason}", reason)

    @classmethod
    def behind(cls, error: BaseException) -> VolumeError | None:
        """The VolumeError that led to an error, since MONAI's `Compose` wraps what its transforms raise; or None."""
        return next((cause for cause in causes(error) if isinstance(cause, cls)), None)

    def __reduce__(self):  # so that it crosses process boundaries with its reason
        return type(self), (str(self), self.reason)


@dataclass(frozen=True)
class VolumeHeader:
    """What a volume's header says.

    Attributes:
        path: the file that was given.
        shape: voxels along the file's three axes, first axis fastest (x, y, z).
        affine: 4x4, voxel index (x, y, z) to millimetres in RAS, as nibabel gives it.
        doubt: sentence on what the file leaves open about the place of its voxels; "" if nothing.
    """

    path: str
    shape: tuple[int, int, int]
    affine: np.ndarray
    doubt: str = ""

    @property
    def field_of_view(self) -> list[float]:
        """Extent in mm along [axial, rows, columns], whichever axes of the file these are."""
        extent = np.linalg.norm(self.affine[:3, :3], axis=0) * self.shape
        columns, rows, axial = (
            float(extent[self._axes == anatomical].item()) for anatomical in range(3)
        )  # RAS: 0 left-right, 1 front-back, 2 head-foot
        return [axial, rows, columns]

    @property
    def _axes(self) -> np.ndarray:
        return nib.io_orientation(self.affine)[:, 0]


def check_geometry(path: PathLike, affine: np.ndarray, shape: tuple[int, ...]) -> None:
    """Refuse an affine [4, 4] that does not say where voxels lie, or whose axes are not at right angles.

    Raises:
        VolumeError: the affine is not finite, a voxel's side is not within `VOXEL_SIZES`, or its shear moves a corner
            of the volume by more than `SHEAR_TOLERANCE`.
    """
    if not np.isfinite(affine).all():
        raise VolumeError.of(path, "where its voxels lie is not known: its header holds NaN or infinite numbers there")
    low, high = VOXEL_SIZES
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    if not ((low <= sizes) & (sizes <= high)).all():
        found = " x ".join(f"{size:g}" for size in sizes)
        raise VolumeError.of(
            path, f"its voxels measure {found} mm, expected {low:g} to {high:g} mm; correct its header"
        )
    moved = shear(affine, shape)
    if moved > SHEAR_TOLERANCE:
        raise VolumeError.of(
            path, f"its axes are sheared, which moves its corners by {moved:.2g} voxels: resample it to right angles"
        )


def shear(affine: np.ndarray, shape: tuple[int, ...]) -> float:
    """Distance in voxels of a volume's corners from where they would be if its axes met at right angles."""
    apart = np.linalg.inv(without_shear(affine, shape)) @ affine - np.eye(4)
    return corner_distance(apart, shape)


def without_shear(affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The affine of the same voxel size and centre whose axes meet at right angles: the nearest rotation (by SVD)."""
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    u, _, v = np.linalg.svd(affine[:3, :3] / sizes)
    straight = np.eye(4)
    straight[:3, :3] = u @ v * sizes
    centre = (np.asarray(shape) - 1) / 2
    straight[:3, 3] = affine[:3, :3] @ centre + affine[:3, 3] - straight[:3, :3] @ centre
    return straight


def corner_distance(apart: np.ndarray, shape: tuple[int, ...]) -> float:
    """Greatest length of ``apart`` [4, 4], a difference of two affines, at the outer corners of a volume."""
    corners = np.array([(*c, 1) for c in itertools.product(*((-0.5, n - 0.5) for n in shape))])
    return float(np.linalg.norm((corners @ apart.T)[:, :3], axis=1).max())


def check_thickness(path: PathLike, shape: tuple[int, ...], least: int) -> None:
    """Raises VolumeError if a volume has fewer voxels than ``least`` along an axis."""
    if min(shape) < least:
        found = " x ".join(map(str, shape))
        raise VolumeError.of(
            path, f"it is {found} voxels large, expected a volume with {least} or more along every axis"
        )


def check_content(path: PathLike, voxels: np.ndarray) -> None:
    """Raises VolumeError if all voxels of an image have one value, NaN too. Most show in a few that they have not."""
    values = voxels.ravel(order="K")
    one = values[0]
    parts = (values[:: max(1, values.size // 1000)], values)
    if all((np.isnan(part) if one != one else part == one).all() for part in parts):
        raise VolumeError.of(path, f"it shows nothing: {'NaN' if one != one else f'one value everywhere, {one}'}")


def wrong_dimensions(path: PathLike, shape: tuple[int, ...], numbers: int = 1) -> VolumeError:
    """The error of a file that holds something else than a volume."""
    return VolumeError.of(
        path,
        f"expected a 3D volume with one number per voxel, found {len(shape)}D of size {shape} with {numbers} number(s) "
        "per voxel; convert it, or take it out of the folder",
    )


def check_memory(path: PathLike, size: int) -> None:
    """Raises VolumeError if a volume of ``size`` bytes is larger than the machine's memory, as damaged headers say."""
    if not hasattr(os, "sysconf"):
        return
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if size > memory:
        raise VolumeError.of(
            path,
            f"its header says {size / 1e9:,.0f} GB of voxels, more than this machine's memory of {memory / 1e9:.0f}",
        )
