"""Between volumes in files and the square slices that a 2D translation network sees (Crespi et al., section 3).

A study is one or several co-registered volumes, `{"image": [path, ...]}`. In between it is a MetaTensor
[modalities, axial, H, W]: slices from feet to head, rows from front to back, columns from the patient's right to left.
"""

from __future__ import annotations

import itertools
import math
import os
import shutil
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
import torch.nn.functional as F
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import (
    Compose,
    EnsureChannelFirst,
    LoadImage,
    MapTransform,
    Orientation,
    ResampleToMatch,
    ScaleIntensityRanged,
    SpatialCrop,
)
from monai.transforms.utils import scale_affine
from monai.utils import MetaKeys, convert_to_tensor, ensure_tuple
from scipy import ndimage

from tools.data.dicom_writer import write_dicom_series
from tools.data.readers import VolumeError
from tools.data.volume_reader import VolumeReader, source_path
from tools.files import whole_file
from tools.transforms.body import ClearOutsideBodyd
from tools.transforms.ct import BODY, PADDING, ReplaceNaNd
from tools.transforms.spatial import checked_size

# Part of the digest of every chain that uses a transform of this module (tools.transforms.digest). Raise it whenever
# one gives other voxels for the same parameters.
VERSION = 2

LUNG_FRACTION = 0.15
ABDOMEN_MM = (230.0, 40.0)
"""Extent of the abdomen below and above the lungs' lowest slice."""

GRID_SHAPE, GRID_AFFINE, GRID_SQUARE = "grid_shape", "grid_affine", "grid_square"
"""Metadata of a study: its first modality's grid, [axial, H, W], and the squares in its pixels before resizing."""

ORIGINAL_AFFINE = str(MetaKeys.ORIGINAL_AFFINE.value)

GRID_TOLERANCE = 1e-2
"""In mm: volumes whose voxels lie closer than this share a grid."""


def mr_slices(image_size: int, field_of_view: float | None = None, keys: str = "image") -> Compose:
    """From the paths of a study's MR modalities to [modalities, axial, image_size, image_size] in [-1, 1]."""
    return _slices(keys, image_size, field_of_view, background=0, scaling=[NormaliseMRd(keys)])


def ct_slices(
    image_size: int,
    window: Sequence[float],
    field_of_view: float | None = None,
    keys: str = "image",
    axial_range: str | Sequence[float] | None = None,
) -> Compose:
    """From the path of a CT to [1, axial, image_size, image_size]: a window of HU becomes [-1, 1].

    The table is taken out, since MR shows none: a network would have to invent it.
    ``axial_range`` crops larger scans first, see `CropAxiald`; None does not.
    """
    low, high = window
    crop = [] if axial_range is None else [CropAxiald(keys, axial_range)]
    scale = ScaleIntensityRanged(keys, low, high, -1, 1, clip=True)
    scaling = [ReplaceNaNd(keys), *crop, ClearOutsideBodyd(keys), scale]
    return _slices(keys, image_size, field_of_view, background=PADDING, scaling=scaling)


def _slices(keys: str, image_size: int, field_of_view: float | None, background: float, scaling: list) -> Compose:
    square = SquareSlicesd(keys, checked_size(image_size), field_of_view)
    return Compose([LoadStudyd(keys, background), *scaling, square])


class LoadStudyd(MapTransform):
    """Paths of co-registered volumes -> one MetaTensor [modalities, axial, H, W] on the grid of the first.

    A modality on another grid (T2 beside T1) is resampled to it, linearly, by the positions in the files' headers.

    Args:
        keys: of a path or a list of paths.
        background: of what a resampled modality does not cover.

    Raises:
        VolumeError: a volume cannot be used, or covers less than half of the first modality's slices.
    """

    def __init__(self, keys: KeysCollection, background: float = 0, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.background = background

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        d = dict(data)
        load = Compose([LoadImage(reader=VolumeReader), EnsureChannelFirst(), Orientation(axcodes="SPL", labels=None)])
        for key in self.key_iterator(d):
            paths = [os.fspath(path) for path in ensure_tuple(d[key])]
            first, *others = (load(path).float() for path in paths)
            others = [self._on_grid(o, first, p, paths[0]) for o, p in zip(others, paths[1:], strict=True)]
            study = first.clone()
            study.array = torch.cat([first.as_tensor(), *others])
            study.meta["filename_or_obj"] = paths[0]
            study.meta[GRID_SHAPE] = torch.tensor(first.shape[1:])
            study.meta[GRID_AFFINE] = first.affine.clone()
            d[key] = study
        return d

    def _on_grid(self, volume: MetaTensor, first: MetaTensor, path: str, first_path: str) -> torch.Tensor:
        """Voxels of ``volume`` on the grid of ``first``."""
        if volume.shape == first.shape and _corner_distance(volume, first) < GRID_TOLERANCE:
            return volume.as_tensor()
        inside = torch.ones_like(volume)
        match = ResampleToMatch(mode="bilinear", padding_mode="zeros", dtype=torch.float64)
        covered = match(inside, img_dst=first).as_tensor()
        slices = (covered.amax((0, 2, 3)) > 0.5).float().mean().item()
        if slices < 0.5:
            raise VolumeError.of(
                path,
                f"it covers {slices:.0%} of the slices of {first_path}; modalities of one study must show the same "
                "part of the body in the same coordinates",
            )
        resampled = match(volume - self.background, img_dst=first).as_tensor() + self.background
        return resampled.float()


class CropAxiald(MapTransform):
    """Keeps the slices of one part of the body, of a whole-body CT for instance.

    Args:
        keys: of CT in HU, [1, axial, H, W], from feet to head.
        axial_range: lowest and highest position in mm along the head-foot axis, or "abdomen" for `abdomen_slices`.

    Raises:
        ValueError: an unknown name, or a range that is empty.
        VolumeError: the volume has no slice in the range.
    """

    def __init__(
        self, keys: KeysCollection, axial_range: str | Sequence[float] = "abdomen", allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        known = axial_range == "abdomen" if isinstance(axial_range, str) else axial_range[0] < axial_range[1]
        if not known:
            raise ValueError(f"axial_range is {axial_range!r}, expected 'abdomen' or (lowest, highest) in mm")
        self.axial_range = axial_range

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        d = dict(data)
        for key in self.key_iterator(d):
            volume = d[key]
            step, origin = float(volume.affine[2, 0]), float(volume.affine[2, 3])
            count = volume.shape[1]
            if self.axial_range == "abdomen":
                first, last = abdomen_slices(np.asarray(volume[0]), step)
            else:
                low, high = self.axial_range
                first, last = (
                    max(0, math.ceil((low - origin) / step)),
                    min(count, math.floor((high - origin) / step) + 1),
                )
            if first >= last:
                name = str(volume.meta.get("filename_or_obj", "a CT"))
                raise VolumeError.of(
                    name,
                    f"it has no slice in {self.axial_range}; it lies between {origin:.0f} and "
                    f"{origin + (count - 1) * step:.0f} mm",
                )
            d[key] = SpatialCrop(roi_start=(first, 0, 0), roi_end=(last, *volume.shape[2:]))(volume)
            d[key].meta[GRID_SHAPE] = torch.tensor(d[key].shape[1:])
            d[key].meta[GRID_AFFINE] = d[key].affine.clone()
        return d


def abdomen_slices(hu: np.ndarray, slice_spacing: float) -> tuple[int, int]:
    """First slice of the abdomen and the one after its last, by the lungs.

    The lungs are the longest run of slices in which air fills more than 15 percent of the body's section; gas in the
    bowel seldom fills more than a few percent of it. CHAOS's CT begin with the lung bases and are 90 slices of 3 to
    3.2 mm high on average (Crespi et al., section 3), so the abdomen reaches from 40 mm above the lungs' lowest slice
    to 230 mm below it. Where there are no lungs the scan is taken to be an abdomen already, and nothing is cut off.

    Args:
        hu: [axial, H, W] from feet to head.
        slice_spacing: in mm.
    """
    filled = np.array([_air_in_body(section) for section in hu[:, ::2, ::2]])
    runs, count = ndimage.label(filled > LUNG_FRACTION)
    if count == 0:
        return 0, len(hu)
    longest = 1 + int(np.argmax(np.bincount(runs)[1:]))
    base = int(np.flatnonzero(runs == longest)[0])
    below, above = (round(mm / slice_spacing) for mm in ABDOMEN_MM)
    return max(0, base - below), min(len(hu), base + above)


def _air_in_body(section: np.ndarray) -> float:
    """Part of the body's section in an axial slice that is air."""
    parts, count = ndimage.label(section > BODY)
    if count == 0:
        return 0.0
    body = ndimage.binary_fill_holes(parts == 1 + np.argmax(np.bincount(parts.ravel())[1:]))
    return float((section[body] <= BODY).mean())


class NormaliseMRd(MapTransform):
    """MR intensities, which have no unit, to [-1, 1]: each modality by a high percentile of its own.

    0 becomes -1 and the 99.5th percentile of the voxels above the volume's mean, which are of the body, becomes 1;
    what is brighter is clipped.

    Raises:
        VolumeError: a volume of one value, or with NaN.
    """

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        d = dict(data)
        for key in self.key_iterator(d):
            study = d[key]
            for number, volume in enumerate(study.as_tensor()):
                if not torch.isfinite(volume).all() or volume.min() == volume.max():
                    found = "NaN or infinite values" if not torch.isfinite(volume).all() else "one value everywhere"
                    name = study.meta.get("filename_or_obj", "a study")
                    raise VolumeError.of(str(name), f"modality {number + 1} has {found}")
            d[key] = study.clone()
            d[key].array = torch.stack([_normalised(volume) for volume in study.as_tensor()])
        return d


def _corner_distance(a: MetaTensor, b: MetaTensor) -> float:
    """Greatest distance in mm between corresponding corners of two grids of one shape."""
    last = [n - 1 for n in a.shape[1:]]
    corners = torch.tensor(list(itertools.product(*((0, n) for n in last), (1,))), dtype=torch.float64)
    return float(((a.affine - b.affine).double() @ corners.T)[:3].norm(dim=0).max())


def _normalised(volume: torch.Tensor) -> torch.Tensor:
    values = volume[volume > volume.mean()].numpy()  # torch.quantile takes 16 million values at most
    return (volume / float(np.percentile(values, 99.5)) * 2 - 1).clamp(-1, 1)


class SquareSlicesd(MapTransform):
    """Cuts squares of one size in mm out of the middle of slices, and resizes them.

    Squares that are larger than the slices are filled up with -1. The number of slices stays.

    Args:
        keys: of MetaTensors [channels, axial, H, W] in [-1, 1].
        image_size: side of the squares in pixels.
        field_of_view: side of the squares in mm; None takes the longer side of the slices.
    """

    def __init__(
        self,
        keys: KeysCollection,
        image_size: int,
        field_of_view: float | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if field_of_view is not None and field_of_view <= 0:
            raise ValueError(f"field_of_view is {field_of_view} mm, expected a positive length or None")
        self.image_size = image_size
        self.field_of_view = field_of_view

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        d = dict(data)
        for key in self.key_iterator(d):
            image = d[key]
            plane, spacing = image.shape[2:], image.pixdim[1:].tolist()
            side_mm = self.field_of_view or max(n * mm for n, mm in zip(plane, spacing, strict=True))
            square = [max(1, round(side_mm / mm)) for mm in spacing]
            starts = [-((s - n) // 2) for s, n in zip(square, plane, strict=True)]
            cut = _cut(_cut(image.as_tensor(), 2, starts[0], square[0]), 3, starts[1], square[1])
            shift = torch.eye(4, dtype=image.affine.dtype)
            shift[1:3, 3] = torch.tensor(starts)
            resized = _resized(cut, (self.image_size, self.image_size))
            scale = torch.as_tensor(scale_affine(cut.shape[1:], resized.shape[1:]), dtype=image.affine.dtype)
            d[key] = image.clone()
            d[key].array = resized
            d[key].affine = image.affine @ shift @ scale
            d[key].meta[GRID_SQUARE] = torch.tensor(square)
        return d


def _resized(slices: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Slices [channels, axial, H, W] in another size, within their own range of values.

    Cubic, and smoothed first where they shrink: there and back costs an abdominal CT half of the error in HU that
    linear interpolation and averaging cost it.
    """
    resized = F.interpolate(slices, tuple(size), mode="bicubic", antialias=True)
    return resized.clamp(slices.amin(), slices.amax())


def _cut(x: torch.Tensor, axis: int, start: int, size: int, outside: float = -1) -> torch.Tensor:
    """``size`` elements of an axis from ``start`` on, which may be negative; what lies outside is filled."""
    before, after = max(0, -start), max(0, start + size - x.shape[axis])
    padding = [0, 0] * (x.ndim - 1 - axis) + [before, after]
    return F.pad(x, padding, value=outside).narrow(axis, start + before, size)


class ToSourceGridd(MapTransform):
    """Brings what was made of a study's slices back to the study's own voxels: the way back of `SquareSlicesd`.

    Args:
        keys: of predictions [channels, axial, S, S].
        source: key of the study that they were made from, as `mr_slices` or `ct_slices` left it.
        outside: value of voxels that lay outside the squares.
    """

    def __init__(
        self, keys: KeysCollection, source: str = "image", outside: float = -1, allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.source = source
        self.outside = outside

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        d = dict(data)
        meta = d[self.source].meta
        axial, *plane = (int(n) for n in meta[GRID_SHAPE])
        square = [int(n) for n in meta[GRID_SQUARE]]
        for key in self.key_iterator(d):
            made = convert_to_tensor(d[key], track_meta=False).float()
            if made.shape[1] != axial:
                raise ValueError(f"{key!r} has {made.shape[1]} slices and its source {axial}; they must correspond")
            made = _resized(made, square)
            for axis, (side, n) in enumerate(zip(square, plane, strict=True), start=2):
                made = _cut(made, axis, (side - n) // 2, n, self.outside)
            own = {k: meta[k] for k in ("filename_or_obj", ORIGINAL_AFFINE) if k in meta}
            d[key] = MetaTensor(made, affine=torch.as_tensor(meta[GRID_AFFINE]), meta=own)
        return d


class SaveTranslationd(MapTransform):
    """Writes volumes as `<id>_<name>.nii.gz` and, on request, as DICOM series in folders `<id>_<name>`.

    Voxels lie as in the study's own file: same axes, same affine. Slashes in the id become underscores. An existing
    DICOM folder of that name is replaced.

    Args:
        keys: of volumes [channels, axial, H, W] from `ToSourceGridd`, in whole numbers.
        output_dir: made if need be.
        names: of the channels.
        modality: "CT" (HU) or "MR" (not negative), of the DICOM series.
        dicom: whether to write them. Patient, study and frame of reference are those of the source if that is DICOM.
    """

    def __init__(
        self,
        keys: KeysCollection,
        output_dir: str | os.PathLike,
        names: Sequence[str] = ("ct",),
        modality: str = "CT",
        dicom: bool = False,
    ) -> None:
        super().__init__(keys)
        self.output_dir = Path(output_dir)
        self.names = tuple(names)
        self.modality = modality
        self.dicom = dicom

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        for key in self.key_iterator(data):
            made = data[key]
            axes = nib.aff2axcodes(np.asarray(made.meta[ORIGINAL_AFFINE]))
            own = Orientation(axcodes="".join(axes), labels=None)(made)
            affine = np.asarray(own.affine, np.float64)
            for name, channel in zip(self.names, own.as_tensor(), strict=True):
                voxels = np.asarray(channel).astype(np.int16)
                path = self.output_dir / f"{data['id']}_{name}".replace("/", "_")
                with whole_file(path.with_name(f"{path.name}.nii.gz")) as partial:
                    nib.save(nib.Nifti1Image(voxels, affine), partial)
                if self.dicom:
                    self._save_series(path, voxels, affine, str(made.meta["filename_or_obj"]))
        return dict(data)

    def _save_series(self, folder: Path, voxels: np.ndarray, affine: np.ndarray, source: str) -> None:
        reference = source_path(source)
        shutil.rmtree(folder, ignore_errors=True)
        write_dicom_series(
            folder,
            voxels,
            affine,
            self.modality,
            description=f"synthetic {self.modality}, not for diagnosis",
            reference=reference if os.path.isdir(reference) else None,
            rescale=(1, -1024) if self.modality == "CT" else (1, 0),
            patient=folder.name,
        )
