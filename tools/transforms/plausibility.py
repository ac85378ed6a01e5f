"""Whether a volume is what it is taken for, by its values: CT in Hounsfield units, or MR.

Label maps, CT whose rescale intercept was lost or that was scaled, and volumes of another modality have good headers,
and a network trains on them without an error. They are refused by name and not repaired: only the one who made a
file knows what its values mean.

Every fact is one of a sample of about 500,000 voxels (`sample_of`), in 10 ms for a scan of 512 x 512 x 300.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from monai.utils import convert_to_tensor

from tools.io.volume import VolumeError

LINES = 32
"""Slices, and rows of each, that are looked at. Rows are whole, since neighbours are compared."""

LABEL_VALUES = 8
"""Number of different whole numbers up to which a volume is a label map, however small what is labelled."""

LABEL_NEIGHBOURS = 0.5
"""Share of neighbouring voxels, of which one is not background, that are equal in a label map. Measured: 0.67 to 0.95
in label maps of 1 to 118 structures, below 0.10 in CT, MR and phantoms, whose noise tells neighbours apart."""

PADDING_SHARE = 0.02
"""Share of a volume that padding fills at the least; the corners around a round field of view are 0.21. Metal that is
cut off at the highest value of a scanner is less."""

DENSE = 1000
"""HU from which on no tissue fills `PADDING_SHARE` of a volume with one value."""

FAT = -100
"""HU of fat. Of any CT with air, lung or fat in it a two-hundredth is darker; of MR nothing is."""

NARROWEST = 30
"""HU between the least and the greatest value of any CT; its noise alone is more."""

SHIFTED = (874, 1174)
"""Where soft tissue lies, -150 to 150 HU, once 1024 (or 1000) was added. In CT that is dense bone: less than 0.01 of a
volume, and 0.28 at most of what is above 500 HU."""


@dataclass(frozen=True)
class Sample:
    """Values of a volume and how often each occurs.

    Attributes:
        values: float64 [n], ascending, finite.
        counts: int64 [n].
        equal: share of neighbours along rows that are equal, where one of both is not the most frequent value; 0 where
            there are none.
    """

    values: np.ndarray
    counts: np.ndarray
    equal: float

    @property
    def whole(self) -> bool:
        return bool((self.values == np.rint(self.values)).all())

    def without(self, dropped: np.ndarray) -> Sample:
        """Without some of its values, [n] of bool."""
        return Sample(self.values[~dropped], self.counts[~dropped], self.equal)

    def percentile(self, percent: float) -> float:
        cumulative = np.cumsum(self.counts)
        return float(self.values[np.searchsorted(cumulative, percent / 100 * cumulative[-1])])

    def share(self, low: float, high: float, above: float = -np.inf) -> float:
        """Share of the values between two, of those above a third."""
        inside = (self.values >= low) & (self.values <= high)
        return float(self.counts[inside].sum() / max(1, self.counts[self.values > above].sum()))


def sample_of(voxels: np.ndarray) -> Sample:
    """Every n-th row of every n-th slice of a volume [axial, H, W]; all of it where those have one or two values."""
    steps = [max(1, n // LINES) for n in voxels.shape[:2]]
    sample = _counted(voxels[:: steps[0], :: steps[1]])
    return _counted(voxels) if len(sample.values) <= 2 else sample


def _counted(rows: np.ndarray) -> Sample:
    finite = np.ascontiguousarray(rows, np.float64)
    finite = finite[np.isfinite(finite)] if not np.isfinite(finite).all() else finite
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    if high - low < 2**16 and (finite == np.rint(finite)).all():  # ten times as fast as sorting
        counts = np.bincount((finite - low).astype(np.int64).ravel())
        values = np.flatnonzero(counts) + low
        counts = counts[counts > 0]
    else:
        values, counts = np.unique(finite, return_counts=True)
    if not values.size:
        return Sample(values, counts, 0.0)
    background = values[counts.argmax()]
    left, right = rows[..., :-1], rows[..., 1:]
    shown = (left != background) | (right != background)
    equal = float((left == right)[shown].mean()) if shown.any() else 0.0
    return Sample(values, counts, equal)


def label_map(sample: Sample) -> str | None:
    """Return why a volume is a label map; None if it is none."""
    if len(sample.values) < 2 or not sample.whole or sample.values[0] < -1:
        return None
    if len(sample.values) <= LABEL_VALUES or sample.equal > LABEL_NEIGHBOURS:
        return (
            f"it is a label map: {len(sample.values)} whole numbers from {sample.values[0]:g} to "
            f"{sample.values[-1]:g}, and {sample.equal:.0%} of neighbouring voxels are equal. Give the folder of "
            "images, or take it out"
        )
    return None


def no_ct(sample: Sample) -> str | None:
    """Return why a volume is no CT in Hounsfield units, and what to do; None if it may be one.

    A volume of one value is not judged.
    """
    if len(sample.values) < 2:
        return None
    if reason := label_map(sample):
        return reason
    most = sample.counts / sample.counts.sum()
    wrapped = (sample.values >= DENSE) & (most >= PADDING_SHARE)
    if wrapped.any():
        value, share = sample.values[wrapped][-1], most[wrapped][-1]
        return (
            f"{share:.0%} of its voxels have the value {value:g}, denser than tissue: padding whose sign was lost "
            "(-2000 that became 63536, for instance). Convert it again from DICOM, or set these voxels to -1024"
        )
    lowest, highest = sample.values[0], sample.values[-1]
    if highest - lowest < NARROWEST:
        span = f"its values lie between {lowest:.3g} and {highest:.3g}"
        if lowest >= -1.05 and highest <= 1.05:
            scale = "[0, 1]" if lowest > -0.05 else "[-1, 1]"
            return f"{span}: it was scaled to {scale}. Give it in HU, as it was before"
        return f"{span}, too close together for HU: was it standardised? Give it in HU, as it was before"
    if _shifted(sample.without((sample.values <= -900) & (most >= PADDING_SHARE))):  # padding says nothing
        return (
            "soft tissue lies near 1024 instead of 0: it is CT whose rescale intercept was lost. Subtract 1024 (or "
            "1000) from it, or convert it again from DICOM"
        )
    low, high = sample.percentile(0.5), sample.percentile(99.5)
    if low <= FAT:
        return None
    if lowest >= 0 and highest <= 255:
        return (
            f"its values lie between {lowest:.0f} and {highest:.0f}, as grey values of 8 bit and some MR do, but in CT "
            "air is near -1000 HU. Give CT in HU"
        )
    if lowest < 0 and high < 300:
        return None  # the inside of an organ, or a brain without its skull: neither air nor fat, and still HU
    return (
        f"its values begin at {low:.0f} and reach {high:.0f}, but in CT air is near -1000 and fat near -100 HU. Is it "
        "MR? Or was its rescale intercept lost? Give CT in HU"
    )


def _shifted(sample: Sample) -> bool:
    """Return whether soft tissue lies in `SHIFTED`: much of the volume, most of what exceeds 500, little below it.

    And nothing is much darker than 0, where air then lies: edges of a head in air are, whatever its bones do.
    """
    among_dense = sample.share(*SHIFTED, above=500) > 0.5 and sample.share(300, 700) < 0.15
    return sample.share(*SHIFTED) > 0.05 and among_dense and sample.percentile(0.5) > 2 * FAT


def no_mr(sample: Sample) -> str | None:
    """Return why a volume is no MR; None if it may be one. A volume of one value is not judged."""
    if len(sample.values) < 2:
        return None
    if reason := label_map(sample):
        return reason
    dark = sample.percentile(1)
    if dark <= -500:
        return (
            f"its intensities begin at {dark:.0f}, expected a magnitude image, which begins at 0; is it CT, which "
            "begins at -1000 HU?"
        )
    return None


JUDGES = {"CT": no_ct, "MR": no_mr}


def judge(image: torch.Tensor, modality: str) -> None:
    """Refuses a volume that is not what it is taken for.

    Args:
        image: [1, axial, H, W]; its metadata may have "modality", as DICOM gives it, which then decides.
        modality: "CT" or "MR".

    Raises:
        VolumeError: the volume is not plausible; the message says why, and what to do.
    """
    meta = image.meta if isinstance(image, MetaTensor) else {}
    name = str(meta.get("filename_or_obj", "a volume"))
    stated = str(meta.get("modality") or modality)
    if stated != modality:
        raise VolumeError.of(name, f"its DICOM files say that it is {stated}, expected {modality}")
    if reason := JUDGES[modality](sample_of(convert_to_tensor(image, track_meta=False)[0].numpy())):
        raise VolumeError.of(name, reason)


class Judging:
    """Marks transforms that refuse what is not what it is taken for: a chain that has one reads original files."""


class Judged(MapTransform, Judging):
    """`judge` in a chain of transforms. It changes no voxel, so it is no part of a chain's digest."""

    def __init__(self, keys: KeysCollection, modality: str, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.modality = modality

    def __call__(self, data):
        for key in self.key_iterator(data):
            judge(data[key], self.modality)
        return data
