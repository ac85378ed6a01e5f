"""Preprocessing of chest CT: from Hounsfield units in a file to whole HU in a cube (paper section 2.1).

Volumes here are MetaTensors [1, axial, H, W] in HU, float32 from `CalibrateHUd` on.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import Compose, Lambdad, MapTransform
from monai.utils import convert_to_dst_type
from scipy import ndimage

from tools.transforms.spatial import ResizeVolumed, checked_size, load_volume

logger = logging.getLogger(__name__)

# Part of the digest of every chain that uses a transform of this module (tools.transforms.digest). Raise it whenever
# one gives other voxels for the same parameters: what was computed before is then computed anew.
VERSION = 1

PADDING = -1024  # HU of what was not measured; also the lowest value that 12-bit CT stores
BODY = -500  # HU halfway between air and tissue
SLICES = 4  # that are worked on at a time
AIR = (-1100, -900)  # HU where the air peak of a working scanner lies, noise and drift included


class ReplaceNaNd(MapTransform):
    """Replaces NaN by `value` (HU), and makes float32 of other floating types. Whole numbers have no NaN, and pass."""

    def __init__(self, keys: KeysCollection, value: float = PADDING, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.value = value

    def __call__(self, data):
        d = dict(data)
        for key in self.key_iterator(d):
            if d[key].is_floating_point():
                d[key] = torch.nan_to_num(d[key].float(), nan=self.value, posinf=float("inf"), neginf=-float("inf"))
        return d


class CalibrateHUd(MapTransform):
    """Hounsfield calibration and air density correction by the peak of the air outside the body.

    By definition water is 0 HU and air is -1000 HU. A scanner that drifts scales attenuation differences, so the
    correction is the linear map that leaves 0 HU and sends the air peak p to -1000 HU: HU' = HU * (-1000 / p).
    What was not measured (corners outside the round field of view, stored as -1024, -2000, -3024, ...) is no air and is
    not scaled, but set to -1024 HU.

    Adds to the metadata `air_peak` (p; NaN if there is no air) and `hu_calibrated`. That is False, and the HU are as
    they were, if the volume shows no air outside the body (a volume cropped to the body), which is logged, or if p lies
    outside [-1100, -900] HU, which is warned of: such a volume is not in HU or shows something else than air there, and
    scaling it by more than a tenth would do harm.
    """

    def __call__(self, data):
        d = dict(data)
        for key in self.key_iterator(d):
            image = d[key]
            voxels = image.as_tensor() if isinstance(image, MetaTensor) else image
            name = getattr(image, "meta", {}).get("filename_or_obj", "a volume")
            padding = padding_values(voxels)
            peak = air_peak(voxels, padding)
            calibrates = peak is not None and AIR[0] <= peak <= AIR[1]
            if peak is None:
                logger.info("%s shows no air outside the body: its HU are not calibrated", name)
            elif not calibrates:
                logger.warning(
                    "%s: the air outside the body peaks at %.0f HU, expected %d to %d HU; its HU are not calibrated. "
                    "Is it a CT in Hounsfield units, and does it show the outside of the body?",
                    *(name, peak, *AIR),
                )
            calibrated = scale_hu(voxels, -1000.0 / peak if calibrates else 1.0, padding)
            d[key] = convert_to_dst_type(calibrated, image, dtype=torch.float32)[0]
            if isinstance(image, MetaTensor):
                d[key].meta["air_peak"] = float("nan") if peak is None else peak
                d[key].meta["hu_calibrated"] = calibrates
        return d


def scale_hu(voxels: torch.Tensor, factor: float, padding: Sequence[float] = ()) -> torch.Tensor:
    """HU times a factor, float32, with -1024 wherever nothing was measured: below -1100 HU and at ``padding``."""
    scaled = torch.empty(voxels.shape, dtype=torch.float32)
    # a few slices at a time stay in the processor's cache between one pass over them and the next
    for result, part in zip(scaled.split(SLICES, dim=1), voxels.split(SLICES, dim=1), strict=True):
        result.copy_(part).mul_(factor)
        unmeasured = part < AIR[0]
        for value in padding:
            if value >= AIR[0]:
                unmeasured |= part == value
        result.masked_fill_(unmeasured, PADDING)
    return scaled


def padding_values(voxels: torch.Tensor) -> list[float]:
    """The values that stand for "not measured" in a volume [1, axial, H, W], each at or below -1024 HU.

    These are -1024 itself, the volume's lowest value, and what fills columns of voxels from the first axial slice to
    the last at the border of the slices. Measured air is noisy, so none of this happens to it but by clipping.
    """
    border = torch.cat([voxels[0, :, 0], voxels[0, :, -1], voxels[0, :, :, 0], voxels[0, :, :, -1]], dim=1)
    low = border.amin(dim=0)
    constant, columns = low[(low == border.amax(dim=0)) & (low <= PADDING)].unique(return_counts=True)
    lowest = min(float(voxels.amin()), PADDING)
    return sorted({PADDING, lowest, *constant[columns >= 0.01 * low.numel()].tolist()})


def air_peak(voxels: torch.Tensor, padding: Sequence[float] = ()) -> float | None:
    """Mode of the air outside the body, in HU; None if there is less of it than a thousandth of the volume.

    Outside is what is thinner than -500 HU and reaches the edge of its axial slice; within a slice, because the airways
    join lung and outside air in 3D. Its mode is the centre of a Gaussian fitted to the top half of its histogram, so
    that noise clipped at the lowest value, a table or a blanket do not move it.

    Args:
        voxels: [1, axial, H, W] in HU. A subsample of about 64 x 128 x 128 is looked at.
        padding: values that were not measured.
    """
    steps = [max(1, n // most) for n, most in zip(voxels.shape[1:], (64, 128, 128), strict=True)]
    sample = voxels[0, :: steps[0], :: steps[1], :: steps[2]].numpy()
    thin = sample < BODY
    in_slice = np.zeros((3, 3, 3), bool)
    in_slice[1] = ndimage.generate_binary_structure(2, 1)
    labels, _ = ndimage.label(thin, in_slice)
    edge = np.concatenate([labels[:, 0], labels[:, -1], labels[:, :, 0], labels[:, :, -1]], axis=1)
    outside = np.zeros(labels.max() + 1, bool)
    outside[edge.ravel()] = True
    outside[0] = False  # the label of what is not thin
    # the skin's voxels are part tissue; at the edge of the volume there is no skin, hence border_value
    air = ndimage.binary_erosion(outside[labels], in_slice, border_value=1)

    lowest, highest = -1200, BODY  # wider than AIR: a lung that reaches the edge is then seen for what it is
    values = np.rint(sample[air & (sample > lowest) & (sample < highest) & ~np.isin(sample, padding)])
    if values.size < 1e-3 * sample.size:
        return None
    counts = np.bincount((values - lowest).astype(np.int64), minlength=highest - lowest).astype(np.float64)
    # bins that cannot be filled are left out of the smoothing, not taken for empty
    seen = np.arange(counts.size) + lowest >= values.min()
    seen[[round(p) - lowest for p in padding if lowest <= p < highest]] = False
    smooth = ndimage.gaussian_filter1d(counts, 4.0) / np.maximum(ndimage.gaussian_filter1d(seen * 1.0, 4.0), 1e-3)
    smooth[~seen] = 0
    mode = int(smooth.argmax())
    below = np.flatnonzero(smooth < smooth[mode] / 2)
    left, right = below[below < mode].max(initial=-1) + 1, below[below > mode].min(initial=counts.size)
    top = np.arange(left, right)
    if top.size >= 3:  # the logarithm of a Gaussian is a parabola
        a, b, _ = np.polyfit(top - mode, np.log(smooth[top]), 2, w=np.sqrt(smooth[top]))
        if a < 0 and abs(b / (2 * a)) <= top.size:
            return float(lowest + mode - b / (2 * a))
    return float(lowest + mode)


class DropBlankSlicesd(MapTransform):
    """Drops the blank axial slices at both ends of the volume, and moves the affine along.

    A slice is blank if it is constant, or if less than a thousandth of it is denser than -500 HU: air, padding, noise.
    The paper eliminates every blank slice; one between slices that are not blank stays here, with a warning, since
    without it the slices above would lie at the wrong height and the anatomy would jump.

    Raises:
        VolumeError: every slice is blank.
    """

    def __call__(self, data):
        d = dict(data)
        for key in self.key_iterator(d):
            image = d[key]
            name = getattr(image, "meta", {}).get("filename_or_obj", "a volume")
            kept = torch.nonzero(~blank_slices(image)).flatten()
            if len(kept) == 0:
                from tools.data.readers import VolumeError  # here, since tools.data imports this module

                raise VolumeError.of(name, f"all of its {image.shape[1]} axial slices are blank")
            first, last = int(kept[0]), int(kept[-1])
            if len(kept) <= last - first:
                inside = last - first + 1 - len(kept)
                logger.warning("%s: %d blank axial slices lie between others and are kept", name, inside)
            d[key] = image[:, first : last + 1]
            if isinstance(image, MetaTensor):
                offset = torch.eye(4, dtype=image.affine.dtype)
                offset[0, 3] = first
                d[key].affine = image.affine @ offset
        return d


def blank_slices(image: torch.Tensor) -> torch.Tensor:
    """Which axial slices of a volume [1, axial, H, W] are blank, as `DropBlankSlicesd` says: [axial] of bool."""
    voxels = image.as_tensor() if isinstance(image, MetaTensor) else image
    step = max(1, min(voxels.shape[2:]) // 256)  # every second voxel of 512 x 512 tells as much
    slices = voxels[0, :, ::step, ::step].flatten(1)
    low, high = slices.aminmax(dim=1)
    return ((slices > BODY).sum(dim=1) < 1e-3 * slices.shape[1]) | (low == high)


class ClipHUd(MapTransform):
    """Limits values to `window` (lowest, highest HU)."""

    def __init__(self, keys: KeysCollection, window: Sequence[float], allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.window = tuple(window)

    def __call__(self, data):
        d = dict(data)
        for key in self.key_iterator(d):
            d[key] = torch.clamp(d[key], *self.window)
        return d


def ct_preprocessing(image_size: int, window: Sequence[int] = (-1024, 600)) -> Compose:
    """Preprocessing of paper section 2.1: {"image": path} -> {"image": [1, S, S, S]}, float32, whole HU in `window`.

    HU are rounded so that a volume written to disk as 16-bit integers is the same as one preprocessed on the fly.

    Args:
        image_size: S, voxels a side.
        window: lowest and highest HU, whole numbers.

    Raises:
        ValueError: `image_size` or `window` is not as above.
    """
    low, high = (int(bound) for bound in window)
    if (low, high) != tuple(window) or not -32768 <= low < high <= 32767:
        raise ValueError(f"window is {tuple(window)}, expected two whole numbers of HU, the lower first")
    size = checked_size(image_size)
    return Compose(
        [
            *load_volume(as_stored=True),
            ReplaceNaNd(keys="image"),
            CalibrateHUd(keys="image"),
            DropBlankSlicesd(keys="image"),
            ClipHUd(keys="image", window=(low, high)),
            ResizeVolumed(keys="image", spatial_size=size),
            Lambdad(keys="image", func=torch.round),
        ]
    )
