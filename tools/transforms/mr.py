"""Preprocessing of T1-weighted heads and brains: from arbitrary units in a file to whole numbers in a cube.

The paper (section 3.4) trains on GSP and says no more of its volumes than that they are cubes in [-1, 1]; HA-GAN's code
drops blank axial slices and resizes each axis to the cube's side on its own, which stretches a head. Here the volume is
cropped and padded to a cube of space around the head before it is resized, so that anatomy keeps its proportions.

Volumes here are MetaTensors [1, axial, H, W], float32, intensities in arbitrary units, air near 0.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, CropForeground, Lambdad, MapTransform
from monai.utils import convert_to_dst_type
from scipy import ndimage

from tools.io.volume import VolumeError
from tools.transforms.plausibility import Judged
from tools.transforms.spatial import ResizeVolumed, checked_size, load_volume

# Part of the digest of every chain that uses a transform of this module (tools.transforms.digest). Raise it whenever
# one gives other voxels for the same parameters.
VERSION = 1

WHITE = 1000  # value of the brightest voxels after normalisation; 0 is background
BRIGHT = 98  # percentile of the foreground that becomes WHITE
THRESHOLD = 0.1  # between air and head, of the range of intensities
SMALLEST = 0.01  # part of the volume that a head fills
CLOSING = 3  # voxels over which the outline of the head is bridged
MARGIN = 0.04  # of the cube's side, between the head and each face


class RemoveBackgroundd(MapTransform):
    """Sets everything outside the head (or the brain, where the skull was stripped) to 0.

    Raises:
        VolumeError: voxels that are NaN or infinite, one value everywhere, many negative values (no magnitude image, a
            CT perhaps), or nothing that stands out from the background.
    """

    def __call__(self, data):
        d = dict(data)
        for key in self.key_iterator(d):
            image = d[key]
            voxels = image.as_tensor() if isinstance(image, MetaTensor) else image
            if bad := int((~torch.isfinite(voxels)).sum()):
                raise _error(image, f"{bad} of its voxels are NaN or infinite; give them a value, outside the head 0")
            low, high = voxels.aminmax()
            if low == high:
                raise _error(image, f"all of its voxels have the value {float(low):g}")
            dark, bright = np.percentile(voxels[0, ::2, ::2, ::2].numpy(), [1, 99])
            if dark < -0.1 * (bright - dark):
                raise _error(
                    image,
                    f"its intensities begin at {dark:.3g}, expected a magnitude image, which begins at 0; is it "
                    "another modality, or were its intensities standardised?",
                )
            mask = foreground(voxels[0].numpy())
            if mask is None:
                raise _error(image, "nothing stands out from its background; is it an MR volume of a head?")
            d[key] = convert_to_dst_type(voxels.clamp(min=0) * torch.as_tensor(mask), image)[0]
        return d


def foreground(voxels: np.ndarray) -> np.ndarray | None:
    """Mask of the head, or of a stripped brain, in a volume [axial, H, W]; None if there is none.

    Smoothed against noise, the head is what lies above a tenth of the range of intensities (the threshold of BET, Smith
    2002): the largest piece of it, with what it encloses, in 3D and in every axial slice, since a head is open below.
    """
    smooth = ndimage.uniform_filter(np.asarray(voxels, np.float32), 3)
    low, high = np.percentile(smooth[::2, ::2, ::2], [2, 99])
    threshold = low + THRESHOLD * (high - low)
    labels, pieces = ndimage.label(ndimage.binary_opening(smooth > threshold))
    if pieces == 0:
        return None
    head = labels == np.bincount(labels.ravel())[1:].argmax() + 1
    # padded, since closing would take the border of the volume for background
    head = ndimage.binary_closing(np.pad(head, CLOSING, mode="edge"), iterations=CLOSING)
    head = ndimage.binary_fill_holes(head[(slice(CLOSING, -CLOSING),) * 3])
    head = np.stack([ndimage.binary_fill_holes(axial) for axial in head])
    # smoothing spread the head by a voxel: what is dark there is air
    head &= ndimage.binary_erosion(head, border_value=1) | (voxels > threshold)
    return head if head.mean() > SMALLEST else None


class NormaliseT1d(MapTransform):
    """Scales intensities linearly so that 0 stays and the 98th percentile of the foreground becomes 1000; clips there.

    Above it lie fat and vessels. Adds `white` to the metadata: the intensity that became 1000.
    """

    def __call__(self, data):
        d = dict(data)
        for key in self.key_iterator(d):
            image = d[key]
            voxels = image.as_tensor() if isinstance(image, MetaTensor) else image
            white = float(np.percentile(voxels[voxels > 0].numpy(), BRIGHT))
            d[key] = convert_to_dst_type((voxels * (WHITE / white)).clamp(0, WHITE), image)[0]
            if isinstance(image, MetaTensor):
                d[key].meta["white"] = white
        return d


class CropToHeadd(MapTransform):
    """Crops to a cube of space around the foreground (what is not 0), padded with 0 where the volume ends.

    The cube's side is the head's extent from front to back or from side to side, whichever is more, and a margin. A
    brain, or a head that is no taller than that, lies in its middle. If it is taller the crown is at the margin, and
    what hangs below the cube, the neck, is cut off: how much of it a scan shows says nothing about the head. Lengths
    are in mm to the nearest voxel, so a head keeps its proportions to half a voxel.
    """

    def __call__(self, data):
        d = dict(data)
        for key in self.key_iterator(d):
            image = d[key]
            spacing = image.pixdim.tolist() if isinstance(image, MetaTensor) else [1.0] * 3
            box = ndimage.find_objects((image[0] != 0).numpy().astype(np.uint8))[0]
            extent = [(s.stop - s.start) * h for s, h in zip(box, spacing, strict=True)]
            side = max(extent[1:]) * (1 + 2 * MARGIN)
            sizes = [max(1, round(side / h)) for h in spacing]
            starts = [round((s.start + s.stop - n) / 2) for s, n in zip(box, sizes, strict=True)]
            margin = math.ceil(MARGIN * sizes[0])
            starts[0] = max(starts[0], box[0].stop + margin - sizes[0])  # axis 0 runs to the head
            ends = [start + n for start, n in zip(starts, sizes, strict=True)]
            d[key] = CropForeground().crop_pad(image, np.asarray(starts), np.asarray(ends))
        return d


def _error(image: torch.Tensor, reason: str) -> ValueError:
    return VolumeError.of(getattr(image, "meta", {}).get("filename_or_obj", "a volume"), reason)


def t1_preprocessing(image_size: int) -> Compose:
    """{"image": path} -> {"image": [1, S, S, S]}, float32, whole numbers from 0 (background) to 1000 (bright).

    Rounded so that a volume written to disk as 16-bit integers is the same as one preprocessed on the fly.

    Args:
        image_size: S, voxels a side; they are cubes, each a S-th of about the head's length.

    Raises:
        ValueError: `image_size` is not a positive whole number.
    """
    size = checked_size(image_size)
    return Compose(
        [
            *load_volume(),
            Judged(keys="image", modality="MR"),
            RemoveBackgroundd(keys="image"),
            NormaliseT1d(keys="image"),
            CropToHeadd(keys="image"),
            ResizeVolumed(keys="image", spatial_size=size),
            Lambdad(keys="image", func=torch.round),
        ]
    )
