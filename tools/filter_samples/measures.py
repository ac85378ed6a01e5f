"""What is measured of a labelled sample: volumes and parts of its labels, and values inside of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from monai.transforms import Compose
from scipy import ndimage

from tools.data.sample_folder import FoundSamples
from tools.transforms.channels import UNKNOWN
from tools.transforms.ct import ReplaceNaNd
from tools.transforms.samples import LoadSampled, ScaleImagesd

WHOLE = "the whole image"

TOUCHING = ndimage.generate_binary_structure(3, 3)
"""Voxels are of one part if they share a side, an edge or a corner."""


def measuring_chain(found: FoundSamples) -> Compose:
    """Transforms from an item to its image and label on their own voxels: CT in HU, and MR, which has no unit, scaled
    by its own percentile as `Channels` has it, to [-1, 1].
    """
    is_ct = found.modality == "CT"
    load = LoadSampled(found.channels, found.modality)
    return Compose([load, ReplaceNaNd("image") if is_ct else ScaleImagesd(found.channels)])


def measures_of(
    images: np.ndarray, label: np.ndarray | None, spacing: Sequence[float], names: Sequence[str], classes: Sequence[str]
) -> dict[str, float]:
    """Every measure of a sample by its name.

    Of each image the median and the standard deviation of all voxels, and the median inside of each label; of each
    label its volume in ml, or mm2 where there is one slice, and the number of its connected parts.

    Args:
        images: [images, D, H, W] in HU, or in [-1, 1].
        label: class indices [D, H, W], `UNKNOWN` where nobody looked; None without labels.
        spacing: size of a voxel in mm [D, H, W].
        names: names of the images.
        classes: names of the classes, from index 1 on.

    Returns:
        Numbers by name; NaN for values inside of a label that is not there.
    """
    found: dict[str, float] = {}
    for name, image in zip(names, images, strict=True):
        found[f"{name}: median of {WHOLE}"] = float(np.median(image))
        found[f"{name}: deviation of {WHOLE}"] = float(np.std(image))
    if label is None:
        return found
    flat = label.shape[0] == 1
    unit, size = ("mm2", np.prod(spacing[1:])) if flat else ("ml", np.prod(spacing) / 1000)
    for number, of in enumerate(classes, start=1):
        inside = label == number
        found[f"{of}: {unit}"] = float(inside.sum() * size)
        found[f"{of}: parts"] = float(ndimage.label(inside, TOUCHING)[1])
        for name, image in zip(names, images, strict=True):
            found[f"{name}: median in {of}"] = float(np.median(image[inside])) if inside.any() else np.nan
    return found


def measured(item: Mapping, chain: Compose, found: FoundSamples) -> tuple[dict[str, float], np.ndarray, np.ndarray]:
    """Measures of a case, with its images [images, D, H, W] and class indices [D, H, W].

    Raises:
        VolumeError: the case cannot be read.
    """
    sample = chain(item)
    image = sample["image"]
    affine = np.asarray(image.affine, float)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)  # axes are axial, rows, columns
    voxels = image.numpy()
    label = sample["label"].numpy()[0] if found.channels.labels else None
    if label is not None:
        label = np.where(label == UNKNOWN, 0, label)
    names, classes = [*found.channels.images], [*found.channels.labels]
    return measures_of(voxels, label, spacing, names, classes), voxels, label
