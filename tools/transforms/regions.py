"""A region of a scan that is to be made anew: cut out with what is around it, and put back where it was."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import Compose, MapTransform, Transform
from monai.utils import convert_to_tensor
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from tools.io.readers import VolumeError
from tools.transforms.channels import Channels
from tools.transforms.label_maps import LABEL_MAP, LoadLabelMapd
from tools.transforms.latent import LatentFromSeedd
from tools.transforms.spatial import load_volume
from tools.transforms.views import AIR, label_channels, told
from tools.transforms.window import Window

SCAN, BOX = "scan", "box"
"""Keys of the whole scan, whole numbers [1, axial, H, W], and of the first voxel of what was cut out of it, [3]."""

BEFORE = "before"
"""Key of the scan as it was, beside what was made of it."""


class CutRegiond(Transform):
    """From an item with "image", a path of a scan, and one of its label map to what a sampler needs to make a class of
    it anew.

    The region is where the class is, or a sphere that is added to it, and ``margin`` around it. A box around the region
    and ``context`` is cut out: "known" [1, D, H, W] in [-1, 1], "mask" alike, 1 in the region, "labels" [classes, D, H,
    W], "latent", the noise of the item's "seed", and what a network is told of its spacing and its height in the scan.
    Beyond the scan there is air, and background.

    Args:
        channels: channels of a sample, one CT image and classes.
        region: name of the class.
        times: number by which the network's sides are divisible.
        margin: mm around the class that are made anew too, so that its surroundings can follow.
        context: voxels around the region that the network sees.
        sphere: centre x, y, z in mm of RAS, and diameter in mm, of a sphere that gets the class; None for none.

    Raises:
        ValueError: no such class.
        VolumeError: image and label map are not on the same voxels, the image is not of whole numbers of 16 bits, or
            there is no voxel of the class.
    """

    def __init__(
        self,
        channels: Channels,
        region: str,
        times: int,
        margin: float = 2.0,
        context: int = 16,
        sphere: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        if region not in channels.labels:
            raise ValueError(f"region is {region!r}, expected one of the classes: {', '.join(channels.labels)}")
        self.channels = channels
        self.index = [*channels.labels].index(region) + 1
        self.region = region
        self.times = times
        self.margin = margin
        self.context = context
        self.sphere = None if sphere is None else tuple(float(value) for value in sphere)
        (window,) = channels.images.values()
        self.window = Window.of(window)
        self._load = Compose([*load_volume(as_stored=True), LoadLabelMapd(channels)])

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = self._load(dict(data))
        path = str(data["image"])
        scan, label = d.pop("image"), d[LABEL_MAP]
        if scan.shape != label.shape or not np.allclose(scan.affine, label.affine, atol=1e-2):
            raise VolumeError.of(
                str(data[LABEL_MAP]), f"it has not the voxels of its image: {tuple(label.shape[1:])} there, "
                f"{tuple(scan.shape[1:])} here, axial first, or another place"
            )  # fmt: skip
        if not torch.equal(scan.to(torch.int16).to(scan.dtype), scan):
            raise VolumeError.of(path, "its values are no whole numbers of 16 bits, which alone stay as they are")
        if self.sphere is not None:
            label = d[LABEL_MAP] = self._with_sphere(label)
        inside = (label[0] == self.index).numpy()
        if not inside.any():
            raise VolumeError.of(str(data[LABEL_MAP]), f"it has no voxel of {self.region!r}, which is to be made")
        spacing = np.linalg.norm(label.affine.numpy()[:3, :3], axis=0)
        mask = distance_transform_edt(~inside, sampling=spacing) <= self.margin
        first, size = self._box(mask)
        made = LatentFromSeedd(latent_dim=[1, *size])(d)
        mm, height = float(spacing[0]), float(spacing[0] * mask.shape[0])
        heights = (torch.tensor([edge * mm / height]) for edge in (first[0], first[0] + size[0]))
        made |= {key: one[0] for key, one in told(torch.from_numpy(spacing)[None], *heights).items()}
        index = cut(label.as_tensor(), first, size, 0)
        return {
            **made,
            SCAN: MetaTensor(scan.as_tensor().to(torch.int16), affine=scan.affine),
            BOX: torch.tensor(first),
            "known": cut(self.window.scale(scan.as_tensor().float()).clamp(-1, 1), first, size, AIR),
            "mask": cut(torch.from_numpy(mask)[None].float(), first, size, 0),
            "labels": label_channels(self.channels, index[None])[0],
        }

    def _with_sphere(self, label: MetaTensor) -> MetaTensor:
        """The label map with the sphere as the class."""
        *centre, diameter = self.sphere
        axes = np.meshgrid(*(np.arange(n) for n in label.shape[1:]), indexing="ij", sparse=True)
        affine = label.affine.numpy()
        squares = sum(
            (sum(affine[world, axis] * axes[axis] for axis in range(3)) + affine[world, 3] - centre[world]) ** 2
            for world in range(3)
        )
        painted = label.clone()
        painted[0][torch.from_numpy(squares <= (diameter / 2) ** 2)] = self.index
        return painted

    def _box(self, mask: np.ndarray) -> tuple[list[int], list[int]]:
        """First voxel, which may lie before the scan, and size of the box around a mask."""
        first, size = [], []
        for axis, length in enumerate(mask.shape):
            along = np.flatnonzero(mask.any(tuple(other for other in range(3) if other != axis)))
            needed = along[-1] - along[0] + 1 + 2 * self.context
            side = math.ceil(needed / self.times) * self.times
            start = int(along[0] + along[-1] + 1 - side) // 2
            first.append(min(max(start, 0), length - side) if side <= length else (length - side) // 2)
            size.append(side)
        return first, size


class PasteRegiond(MapTransform):
    """Put what was made of a region [1, D, H, W] in [-1, 1] back into its scan: whole HU [1, axial, H, W], int16.

    Outside of the region every voxel is that of the file, whatever the window. "before" is the scan as it was.

    Args:
        keys: keys of what was made.
        window: HU of -1 and 1.
        name_key: key of the case's name.
    """

    def __init__(self, keys: KeysCollection, window: Sequence[float], name_key: str = "name") -> None:
        super().__init__(keys)
        self.window = Window.of(window)
        self.name_key = name_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        scan = d[BEFORE] = d[SCAN]
        first = [int(n) for n in d[BOX]]
        for key in self.key_iterator(d):
            made = convert_to_tensor(d[key], track_meta=False).detach().cpu().float().clamp(-1, 1)
            hu = self.window.unscale(made).round().to(torch.int16)
            pasted = scan.as_tensor().cpu().clone()
            here, there = overlap(first, hu.shape[1:], pasted.shape[1:])
            mask = torch.as_tensor(d["mask"]).cpu()[(slice(None), *there)] > 0
            pasted[(slice(None), *here)] = torch.where(mask, hu[(slice(None), *there)], pasted[(slice(None), *here)])
            meta = {"filename_or_obj": str(d[self.name_key])}
            d[key] = MetaTensor(pasted, affine=scan.affine, meta=meta)
        return d


def overlap(first: Sequence[int], size: Sequence[int], of: Sequence[int]) -> tuple[tuple[slice, ...], ...]:
    """Where a box that may reach beyond a volume lies in it, and which part of the box that is."""
    here = tuple(slice(max(f, 0), min(f + n, length)) for f, n, length in zip(first, size, of, strict=True))
    there = tuple(slice(part.start - f, part.stop - f) for part, f in zip(here, first, strict=True))
    return here, there


def cut(volume: Tensor, first: Sequence[int], size: Sequence[int], outside: float) -> Tensor:
    """A box [C, *size] of a volume [C, D, H, W] that may reach beyond it."""
    box = torch.full((len(volume), *size), outside, dtype=volume.dtype)
    here, there = overlap(first, size, volume.shape[1:])
    box[(slice(None), *there)] = volume[(slice(None), *here)]
    return box
