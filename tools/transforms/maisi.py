"""MAISI's label maps: the classes, where they lie in a body, and the grid that they are brought to.

Values are those of NVIDIA's `label_dict.json`: 1 to 132, and 200 for the rest of the body. Files that are written have
133 in its place, since tools for segmentation want values without a gap.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import LoadImage, MapTransform, Orientation, ResizeWithPadOrCrop, Spacing
from scipy import ndimage
from torch import Tensor

from tools.io.volume_reader import VolumeReader

BODY = 200
"""Value of what belongs to the body and to none of the other classes."""

_SIDES = ("left", "right")

NAMES = (
    *("background", "liver", "kidney", "spleen", "pancreas", "right kidney", "aorta", "inferior vena cava"),
    *("right adrenal gland", "left adrenal gland", "gallbladder", "esophagus", "stomach", "duodenum", "left kidney"),
    *("bladder", "prostate or uterus", "portal vein and splenic vein", "rectum", "small bowel", "lung", "bone"),
    *("brain", "lung tumor", "pancreatic tumor", "hepatic vessel", "hepatic tumor", "colon cancer primaries"),
    *("left lung upper lobe", "left lung lower lobe", "right lung upper lobe", "right lung middle lobe"),
    "right lung lower lobe",
    *(f"vertebrae {part}{n}" for part, count in (("L", 5), ("T", 12), ("C", 7)) for n in range(count, 0, -1)),
    *("trachea", "left iliac artery", "right iliac artery", "left iliac vena", "right iliac vena", "colon"),
    *(f"{side} rib {n}" for side in _SIDES for n in range(1, 13)),
    *(f"{side} {name}" for name in ("humerus", "scapula", "clavicula", "femur", "hip") for side in _SIDES),
    "sacrum",
    *(
        f"{side} {name}"
        for name in ("gluteus maximus", "gluteus medius", "gluteus minimus", "autochthon", "iliopsoas")
        for side in _SIDES
    ),
    *("left atrial appendage", "brachiocephalic trunk", "left brachiocephalic vein", "right brachiocephalic vein"),
    *("left common carotid artery", "right common carotid artery", "costal cartilages", "heart", "left kidney cyst"),
    *("right kidney cyst", "prostate", "pulmonary vein", "skull", "spinal cord", "sternum", "left subclavian artery"),
    *("right subclavian artery", "superior vena cava", "thyroid gland", "vertebrae S1", "bone lesion", "kidney mass"),
    *("unused 130", "unused 131", "airway"),
)
"""Name of each value from 0 to 132."""

CLASSES = {name: value for value, name in enumerate((*NAMES, "body"))}
"""Value in written files by name."""

_NEVER_MADE = ("kidney", "prostate or uterus", "rectum", "lung", "bone")
_NEVER_MADE += ("left kidney cyst", "right kidney cyst", "unused 130", "unused 131")

MADE = (*(value for value, name in enumerate(NAMES) if name not in _NEVER_MADE), BODY)
"""Value of each of the 125 channels of the network that makes label maps."""

SIZED = ("gallbladder", "liver", "stomach", "pancreas", "colon")
"""Organs whose size that network is told, 0 to 1 of the sizes in its training, in its order."""

SIZED_TUMOURS = ("lung tumor", "pancreatic tumor", "hepatic tumor", "colon cancer primaries", "bone lesion")
"""Tumours whose size it is told after them; -1 for none."""

HOSTS = {"lung tumor": "left lung upper lobe", "pancreatic tumor": "pancreas", "hepatic tumor": "liver"}
HOSTS |= {"colon cancer primaries": "colon", "bone lesion": "body"}
"""What a tumour becomes that was not asked for."""

SINGLE = (
    *("liver", "spleen", "pancreas", "right kidney", "left kidney", "aorta", "inferior vena cava", "gallbladder"),
    *("right adrenal gland", "left adrenal gland", "stomach", "duodenum"),
    *(name for name in NAMES if " lobe" in name),
)
"""Organs of which a body has one piece."""

BONES = tuple(name for name in NAMES if name.startswith("vertebrae") and name != "vertebrae S1")
"""Bones of which that holds too, unless one has a lesion."""

REGIONS: dict[str, tuple[str, ...]] = {
    "head": ("brain", "skull"),
    "chest": tuple(name for name in NAMES if " lobe" in name),
    "abdomen": ("liver", "kidney", "spleen", "pancreas", "right kidney", "left kidney"),
    "lower": ("left femur", "right femur"),
}
"""Regions of the body from the top, and classes of which one shows that a volume has it."""


def regions_of(labels: Tensor) -> list[str]:
    """Return the regions of which a label map has a class, from the top.

    Raises:
        ValueError: the label map has none of them.
    """
    there = {NAMES[value] for value in labels.long().unique().tolist() if value < len(NAMES)}
    found = [region for region, names in REGIONS.items() if there & set(names)]
    if not found:
        known = ", ".join(name for names in REGIONS.values() for name in names)
        raise ValueError(f"the label map shows no region of the body: it has none of the classes {known}")
    return found


def region_ends(regions: Sequence[str]) -> tuple[list[int], list[int]]:
    """Return the first and the last of the regions of a body, each as four numbers, 1 for the region and 0 for others.

    Raises:
        ValueError: no region, or one that is not known.
    """
    known = list(REGIONS)
    if not regions or isinstance(regions, str) or not set(regions) <= set(known):
        raise ValueError(f"body_region is {regions!r}, expected one or several of {', '.join(known)}")
    places = [known.index(region) for region in regions]
    first, last = ([int(place == end) for place in range(len(known))] for end in (min(places), max(places)))
    return first, last


def anatomy_sizes(given: Mapping[str, float]) -> list[float]:
    """Return the ten sizes that the network of label maps is told; without a word organs have 0.5 and tumours -1.

    Raises:
        ValueError: a name that is not known, a size that is neither in [0, 1] nor -1, or several tumours.
    """
    known = (*SIZED, *SIZED_TUMOURS)
    if odd := [name for name in given if name not in known]:
        raise ValueError(f"anatomy_sizes has {', '.join(odd)}, expected names of {', '.join(known)}")
    if odd := {name: size for name, size in given.items() if size != -1 and not 0 <= size <= 1}:
        raise ValueError(f"anatomy_sizes has {odd}, expected numbers from 0 to 1, or -1 for what is not there")
    if len(several := [name for name in SIZED_TUMOURS if given.get(name, -1) != -1]) > 1:
        raise ValueError(f"anatomy_sizes has {' and '.join(several)}, expected one tumour at most, as in its training")
    return [float(given.get(name, 0.5 if name in SIZED else -1)) for name in known]


def bits(labels: Tensor) -> Tensor:
    """Return the eight binary digits of label values, the least first, as ControlNet takes them.

    Args:
        labels: [B, 1, X, Y, Z], values below 256.

    Returns:
        [B, 8, X, Y, Z], float32.
    """
    return torch.cat([labels.long().bitwise_right_shift(place).bitwise_and(1) for place in range(8)], 1).float()


def on_grid(labels: MetaTensor, spacing: Sequence[float], size: Sequence[int]) -> MetaTensor:
    """Bring a label map [1, X, Y, Z] to voxels of ``spacing`` mm, then crop or pad it around its centre to ``size``.

    Each voxel has the value of the nearest one, and what is beyond is background.
    """
    placed = Spacing(pixdim=tuple(spacing), mode="nearest", padding_mode="zeros")(labels)
    return ResizeWithPadOrCrop(spatial_size=tuple(size))(placed)


def cleaned(labels: np.ndarray, tumour: str | None = None) -> np.ndarray:
    """Return a label map that was made, without what cannot be: pieces beside the body, and second pieces of an organ.

    Tumours that were not asked for become their organ, of one that was the largest piece stays (of the liver's and of
    bone lesions all), and vessels of the liver become liver, of which the network is told nothing.

    Args:
        labels: whole numbers [X, Y, Z], MAISI's values.
        tumour: tumour that was asked for.
    """
    values = {**CLASSES, "body": BODY}
    neighbours = np.ones((3, 3, 3), bool)
    body = largest_piece(ndimage.binary_erosion(labels > 0, neighbours))
    made = np.where(ndimage.binary_dilation(body, neighbours), labels, 0)
    for name, host in HOSTS.items():
        if name != tumour:
            made[made == values[name]] = values[host]
    single = [*SINGLE, *(BONES if tumour != "bone lesion" else ())]
    single += [tumour] if tumour not in (None, "hepatic tumor", "bone lesion") else []
    for name in single:
        there = made == values[name]
        made[there & ~largest_piece(there)] = BODY
    made[made == values["hepatic vessel"]] = values["liver"]
    return made


def largest_piece(there: np.ndarray) -> np.ndarray:
    """Return the greatest of the connected pieces of a mask [X, Y, Z], by corners too; nothing if there is none."""
    pieces, count = ndimage.label(there, np.ones((3, 3, 3)))
    return pieces == 1 + np.bincount(pieces.ravel())[1:].argmax() if count else np.zeros_like(there)


class LoadLabelsd(MapTransform):
    """Read label maps of files into [1, X, Y, Z], axes to the right, the front and the head, on one grid.

    Args:
        keys: keys of paths; items may be without.
        spacing: voxel size in mm along X, Y and Z.
        size: voxels along X, Y and Z.

    Raises:
        ValueError: a file has values that are none of the classes.
    """

    def __init__(self, keys: KeysCollection, spacing: Sequence[float], size: Sequence[int]) -> None:
        super().__init__(keys, allow_missing_keys=True)
        self.spacing = spacing
        self.size = size
        self._load = LoadImage(VolumeReader, image_only=True, ensure_channel_first=True)
        self._turn = Orientation(axcodes="RAS", labels=None)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        for key in self.key_iterator(d):
            path = d[key]
            labels = self._turn(self._load(path))
            odd = [value for value in labels.unique().tolist() if value not in {*range(len(NAMES)), BODY}]
            if odd:
                raise ValueError(
                    f"{path} has the values {odd[:8]}, expected MAISI's: 0 to {len(NAMES) - 1}, and {BODY} for the "
                    "rest of the body"
                )
            d[key] = on_grid(labels, self.spacing, self.size)
        return d
