"""Between volumes in files and the square slices that a 2D translation network sees (Crespi et al., section 3).

A study is one or several co-registered volumes, `{"image": [path, ...]}`, or images in memory in their place. In
between it is a MetaTensor [modalities, axial, H, W]: slices from feet to head, rows from front to back, columns from
the patient's right to left.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Hashable, Mapping, Sequence

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.data.utils import orientation_ras_lps
from monai.transforms import (
    Compose,
    EnsureChannelFirst,
    LoadImage,
    MapTransform,
    Orientation,
    ResampleToMatch,
    ScaleIntensityRanged,
)
from monai.utils import MetaKeys, SpaceKeys, ensure_tuple

from tools.io.readers import VolumeError
from tools.io.volume import check_content
from tools.io.volume_reader import VolumeReader
from tools.transforms.abdomen import CropAxiald
from tools.transforms.body import ClearOutsideBodyd
from tools.transforms.ct import PADDING, ReplaceNaNd
from tools.transforms.plausibility import Judging, judge
from tools.transforms.spatial import checked_size
from tools.transforms.squares import GRID_AFFINE, GRID_SHAPE, SquareSlicesd

# Part of the digest of every chain that uses a transform of this module (tools.transforms.digest). Raise it whenever
# one gives other voxels for the same parameters.
VERSION = 3

BACKGROUND = {"MR": 0, "CT": PADDING}

GRID_TOLERANCE = 1e-2
"""Distance in mm: volumes whose voxels lie closer than this share a grid."""

IN_MEMORY = "an image in memory"
"""Name of what has no path."""

DEPLOY_AFFINE = "nifti_affine_transform"
"""Metadata by which MONAI Deploy's images from DICOM series are known."""


def mr_slices(image_size: int, field_of_view: float | None = None, keys: str = "image") -> Compose:
    """From the paths of a study's MR modalities to [modalities, axial, image_size, image_size] in [-1, 1]."""
    return _slices(keys, "MR", image_size, field_of_view, scaling=[NormaliseMRd(keys)])


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
    return _slices(keys, "CT", image_size, field_of_view, scaling=scaling)


def _slices(keys: str, modality: str, image_size: int, field_of_view: float | None, scaling: list) -> Compose:
    square = SquareSlicesd(keys, checked_size(image_size), field_of_view)
    return Compose([LoadStudyd(keys, BACKGROUND[modality], modality), *scaling, square])


class LoadStudyd(MapTransform, Judging):
    """Paths of co-registered volumes -> one MetaTensor [modalities, axial, H, W] on the grid of the first.

    A modality on another grid (T2 beside T1) is resampled to it, linearly, by the positions in the files' headers.
    Instead of a path there may be an image in memory, as MONAI Deploy and services have it: a MetaTensor [x, y, z], or
    [modalities, x, y, z] of one grid, with its affine.

    Args:
        keys: keys of a path, an image, or a list of them.
        background: value where a resampled modality does not reach.
        modality: "MR" or "CT". A volume that is not so by its values or its DICOM files is refused, see `judge`; None
            takes every volume.

    Raises:
        VolumeError: a volume cannot be used, has one value everywhere, or covers less than half of the first modality's
            slices.
    """

    def __init__(
        self,
        keys: KeysCollection,
        background: float = 0,
        modality: str | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.background = background
        self.modality = modality

    def __call__(self, data: Mapping[Hashable, object]) -> dict[Hashable, object]:
        d = dict(data)
        load = Compose([LoadImage(reader=VolumeReader), EnsureChannelFirst()])
        orient = Orientation(axcodes="SPL", labels=None)
        for key in self.key_iterator(d):
            given = (d[key],) if isinstance(d[key], torch.Tensor | np.ndarray) else ensure_tuple(d[key])
            in_memory = [isinstance(item, torch.Tensor | np.ndarray) for item in given]
            paths = [IN_MEMORY if m else os.fspath(item) for item, m in zip(given, in_memory, strict=True)]
            volumes = [
                orient(image_in_memory(item) if m else load(item)) for item, m in zip(given, in_memory, strict=True)
            ]
            for path, volume in zip(paths, volumes, strict=True):
                check_content(path, volume.numpy())
                if self.modality is not None:
                    judge(volume, self.modality)
            first, *others = (volume.float() for volume in volumes)
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
        if volume.shape == first.shape and corner_distance(volume, first) < GRID_TOLERANCE:
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


def image_in_memory(image: torch.Tensor | np.ndarray) -> MetaTensor:
    """A MetaTensor [x, y, z] or [modalities, x, y, z] as a file of it would be read: channels first, affine in RAS.

    Raises:
        VolumeError: the image has no affine, so that its orientation is not known, or another number of axes.
    """
    if not isinstance(image, MetaTensor) or image.ndim not in (3, 4):
        found = f"{type(image).__name__} of shape {tuple(image.shape)}"
        raise VolumeError.of(
            IN_MEMORY, f"expected a MetaTensor [x, y, z] or [modalities, x, y, z] with its affine, got a {found}"
        )
    affine = image.affine.cpu().double()
    # MONAI Deploy says LPS of what it has from DICOM, and gives the affine of NIfTI, which is RAS
    if image.meta.get(MetaKeys.SPACE) == SpaceKeys.LPS and DEPLOY_AFFINE not in image.meta:
        affine = orientation_ras_lps(affine)
    meta = {key: value for key, value in image.meta.items() if key != MetaKeys.AFFINE}
    meta |= {MetaKeys.SPACE: SpaceKeys.RAS, MetaKeys.ORIGINAL_AFFINE: affine.numpy()}
    voxels = image.as_tensor().cpu()
    return MetaTensor(voxels if image.ndim == 4 else voxels[None], affine=affine, meta=meta)


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


def corner_distance(a: MetaTensor, b: MetaTensor) -> float:
    """Greatest distance in mm between corresponding corners of two grids of one shape."""
    last = [n - 1 for n in a.shape[1:]]
    corners = torch.tensor(list(itertools.product(*((0, n) for n in last), (1,))), dtype=torch.float64)
    return float(((a.affine - b.affine).double() @ corners.T)[:3].norm(dim=0).max())


def _normalised(volume: torch.Tensor) -> torch.Tensor:
    values = volume[volume > volume.mean()].numpy()  # torch.quantile takes 16 million values at most
    return (volume / float(np.percentile(values, 99.5)) * 2 - 1).clamp(-1, 1)
