"""Preprocessing of chest CT: from Hounsfield units in a file to whole HU in a cube (paper section 2.1).

Volumes here are MetaTensors [1, axial, H, W] in HU: int16 or float32 as read, float32 once they are calibrated.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import Compose, Lambdad, MapTransform
from monai.utils import convert_to_dst_type, convert_to_tensor
from scipy import ndimage

from tools.io.volume import VolumeError
from tools.transforms.plausibility import Judged
from tools.transforms.spatial import SLICES, ResizeVolumed, checked_size, load_volume

logger = logging.getLogger(__name__)

# Part of the digest of every chain that uses a transform of this module (tools.transforms.digest). Raise it whenever
# one gives other voxels for the same parameters: what was computed before is then computed anew.
VERSION = 2

PADDING = -1024  # HU of what was not measured; also the lowest value that 12-bit CT stores
BODY = -500  # HU halfway between air and tissue
AIR = (-1100, -900)  # HU where the air peak of a working scanner lies, noise and drift included


class ReplaceNaNd(MapTransform):
    """Replaces NaN by `value` (HU), in float32. Whole numbers of 16 bits, as scanners store HU, have none, and pass."""

    def __init__(self, keys: KeysCollection, value: float = PADDING, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.value = value

    def __call__(self, data):
        d = dict(data)
        for key in self.key_iterator(d):
            if d[key].dtype != torch.int16:  # fewer bits could not be compared with HU: -1100 becomes 180 in 8 of them
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
            calibration = Calibration.of(d[key])
            parts = convert_to_tensor(d[key], track_meta=False).split(SLICES, dim=1)
            calibrated = torch.cat([calibration.apply(part) for part in parts], dim=1)
            d[key] = convert_to_dst_type(calibrated, d[key], dtype=torch.float32)[0]
            calibration.record(d[key])
        return d


@dataclass
class Calibration:
    """What `CalibrateHUd` found in a volume, and does to it.

    Args:
        peak: HU of the air outside the body; None without air.
        padding: values of what was not measured.
    """

    peak: float | None
    padding: list[float]

    @classmethod
    def of(cls, image: torch.Tensor) -> Calibration:
        """Measures a volume [1, axial, H, W], and says so in the log if it will stay as it is."""
        voxels, name = convert_to_tensor(image, track_meta=False), _name(image)
        padding = padding_values(voxels)
        found = cls(air_peak(voxels, padding), padding)
        if found.peak is None:
            logger.info("%s shows no air outside the body: its HU are not calibrated", name)
        elif not found.calibrates:
            logger.warning(
                "%s: the air outside the body peaks at %.0f HU, expected %d to %d HU; its HU are not calibrated. "
                "Is it a CT in Hounsfield units, and does it show the outside of the body?",
                *(name, found.peak, *AIR),
            )
        return found

    @property
    def calibrates(self) -> bool:
        return self.peak is not None and AIR[0] <= self.peak <= AIR[1]

    def apply(self, voxels: torch.Tensor) -> torch.Tensor:
        """Calibrated HU, float32, in new memory; -1024 wherever nothing was measured."""
        unmeasured = voxels < AIR[0]
        for value in self.padding:
            if value >= AIR[0]:
                unmeasured |= voxels == value
        factor = -1000.0 / self.peak if self.calibrates else 1.0
        return voxels.to(torch.float32, copy=True).mul_(factor).masked_fill_(unmeasured, PADDING)

    def record(self, image: torch.Tensor) -> None:
        """Writes what was found to the metadata."""
        if isinstance(image, MetaTensor):
            image.meta["air_peak"] = float("nan") if self.peak is None else self.peak
            image.meta["hu_calibrated"] = self.calibrates


def _name(image: torch.Tensor) -> str:
    return getattr(image, "meta", {}).get("filename_or_obj", "a volume")


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
    sample = voxels[0, :: steps[0], :: steps[1], :: steps[2]].contiguous().numpy()
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
            d[key] = cut_ends(d[key], blank_slices(looked_at(convert_to_tensor(d[key], track_meta=False))))
        return d


def cut_ends(image: torch.Tensor, blank: torch.Tensor) -> torch.Tensor:
    """A volume [1, axial, H, W] without its blank ends, as `DropBlankSlicesd` says; ``blank`` [axial] of bool."""
    kept = torch.nonzero(~blank).flatten()
    if len(kept) == 0:
        raise VolumeError.of(_name(image), f"all of its {image.shape[1]} axial slices are blank")
    first, last = int(kept[0]), int(kept[-1])
    if len(kept) <= last - first:
        inside = last - first + 1 - len(kept)
        logger.warning("%s: %d blank axial slices lie between others and are kept", _name(image), inside)
    shorter = image[:, first : last + 1]
    if isinstance(image, MetaTensor):
        offset = torch.eye(4, dtype=image.affine.dtype)
        offset[0, 3] = first
        shorter.affine = image.affine @ offset
    return shorter


def looked_at(voxels: torch.Tensor) -> torch.Tensor:
    """The voxels that tell whether a slice is blank: every fourth one of 512 x 512 tells as much as all."""
    step = max(1, min(voxels.shape[2:]) // 128)
    return voxels[:, :, ::step, ::step].contiguous()


def blank_slices(voxels: torch.Tensor) -> torch.Tensor:
    """Return which axial slices of [1, axial, H, W] are blank, as `DropBlankSlicesd` says: [axial] of bool."""
    slices = voxels[0].flatten(1)
    low, high = slices.aminmax(dim=1)
    return ((slices > BODY).sum(dim=1) < 1e-3 * slices.shape[1]) | (low == high)


def tabulated(function: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[torch.Tensor], torch.Tensor]:
    """A function that treats int16 voxel by voxel, as a table of its 65,536 results."""
    table = function(torch.arange(-(2**15), 2**15, dtype=torch.int16))

    def look_up(voxels: torch.Tensor) -> torch.Tensor:
        return table.index_select(0, voxels.flatten().int().add_(2**15)).view(voxels.shape)

    return look_up


class PrepareCTd(MapTransform):
    """`CalibrateHUd`, `DropBlankSlicesd`, clipping and `ResizeVolumed`, a few slices at a time.

    It gives the same voxels as one after the other. A volume of 16-bit numbers is never held in floating point as a
    whole; and there are so few such numbers that what becomes of each is computed once and looked up.

    Args:
        keys: keys of volumes [1, axial, H, W] in HU, int16 or float32, as `ReplaceNaNd` leaves them.
        image_size: voxels a side of the cube.
        window: lowest and highest HU.
    """

    def __init__(
        self, keys: KeysCollection, image_size: int, window: Sequence[float], allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.resize = ResizeVolumed(keys, image_size)  # part of the chain's digest, as what it is made of
        self.window = tuple(window)

    def __call__(self, data):
        d = dict(data)
        for key in self.key_iterator(d):
            by_voxel = tabulated if d[key].dtype == torch.int16 else lambda function: function
            calibration = Calibration.of(d[key])
            calibrate = by_voxel(calibration.apply)
            shorter = cut_ends(d[key], blank_slices(calibrate(looked_at(convert_to_tensor(d[key], track_meta=False)))))
            clip = by_voxel(lambda voxels, calibration=calibration: calibration.apply(voxels).clamp_(*self.window))
            d[key] = self.resize.resized(shorter, clip)
            calibration.record(d[key])
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
            Judged(keys="image", modality="CT"),
            ReplaceNaNd(keys="image"),
            PrepareCTd(keys="image", image_size=size, window=(low, high)),
            Lambdad(keys="image", func=torch.round_),
        ]
    )
