"""Samples of a folder, and what is measured of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from monai.transforms import Compose

from tools.data.sample_folder import FoundSamples
from tools.metrics.labels import measures_of
from tools.transforms.channels import UNKNOWN
from tools.transforms.ct import ReplaceNaNd
from tools.transforms.samples import LoadSampled, ScaleImagesd


def measuring_chain(found: FoundSamples) -> Compose:
    """Transforms from an item to its image and label on their own voxels: CT in HU, and MR, which has no unit, scaled
    as `Channels` has it, to [-1, 1].
    """
    is_ct = found.modality == "CT"
    load = LoadSampled(found.channels, found.modality)
    return Compose([load, ReplaceNaNd("image") if is_ct else ScaleImagesd(found.channels)])


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
