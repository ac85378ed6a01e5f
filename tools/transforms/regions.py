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
from tools.transforms.flat import spacing_of
from tools.transforms.label_maps import LABEL_MAP, LoadLabelMapd
from tools.transforms.latent import LatentFromSeedd
from tools.transforms.lungs import seeded_places
from tools.transforms.spatial import load_volume
from tools.transforms.spheres import paint_spheres
from tools.transforms.views import AIR, label_channels, told
from tools.transforms.window import Window

SCAN, BOX = "scan", "box"
"""Keys of the whole scan, whole numbers [1, axial, H, W], and of the first voxel of what was cut out of it, [3]."""

BEFORE = "before"
"""Key of the scan as it was, beside what was made of it."""


class _CutBoxd(Transform):
    """What all transforms share that cut a region of a scan out."""

    def __init__(self, window: Sequence[float], times: int, margin: float, context: int) -> None:
        super().__init__()
        self.window = Window.of(window)
        self.times = times
        self.margin = margin
        self.context = context
        self._load = Compose(load_volume(as_stored=True))

    def cut_out(self, d: dict[Hashable, Any], scan: MetaTensor, mask: np.ndarray) -> dict[Hashable, Any]:
        """Adds to an item what a sampler needs to make the voxels of a mask [axial, H, W] anew."""
        stored = scan.as_tensor().to(torch.int16)
        if not torch.equal(stored.to(scan.dtype), scan.as_tensor()):
            raise VolumeError.of(
                str(scan.meta["filename_or_obj"]),
                "its values are no whole numbers of 16 bits, which alone stay as they are",
            )
        first, size = self._box(mask)
        made = LatentFromSeedd(latent_dim=[1, *size])(d)
        box, of = torch.tensor([first, size]), torch.tensor(mask.shape)
        faces = (edge[None] / of for edge in (box[0], box.sum(0)))
        made |= {key: one[0] for key, one in told(torch.tensor([spacing_of(scan)]), *faces).items()}
        return {
            **made,
            SCAN: MetaTensor(stored, affine=scan.affine),
            BOX: torch.tensor(first),
            "known": cut(self.window.scale(scan.as_tensor().float()).clamp(-1, 1), first, size, AIR),
            "mask": cut(torch.from_numpy(mask)[None].float(), first, size, 0),
        }

    def with_margin(self, inside: np.ndarray, scan: MetaTensor) -> np.ndarray:
        return distance_transform_edt(~inside, sampling=spacing_of(scan)) <= self.margin

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


class CutRegiond(_CutBoxd):
    """From an item with "image", a path of a scan, and one of its label map to what a sampler needs to make a class of
    it anew.

    The region is where the class is, or a sphere that is added to it, and ``margin`` around it. A box around the region
    and ``context`` is cut out: "known" [1, D, H, W] in [-1, 1], "mask" alike, 1 in the region, "labels" [classes, D, H,
    W], "latent", the noise of the item's "seed", and what a network is told of its spacing and its place in the scan.
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
        if region not in channels.labels:
            raise ValueError(f"region is {region!r}, expected one of the classes: {', '.join(channels.labels)}")
        (window,) = channels.images.values()
        super().__init__(window, times, margin, context)
        self.channels = channels
        self.index = [*channels.labels].index(region) + 1
        self.region = region
        self.sphere = sphere
        self._load_label_map = LoadLabelMapd(channels)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = self._load_label_map(self._load(dict(data)))
        scan, label = d.pop("image"), d[LABEL_MAP]
        if scan.shape != label.shape or not np.allclose(scan.affine, label.affine, atol=1e-2):
            raise VolumeError.of(
                str(data[LABEL_MAP]), f"it has not the voxels of its image: {tuple(label.shape[1:])} there, "
                f"{tuple(scan.shape[1:])} here, axial first, or another place"
            )  # fmt: skip
        if self.sphere is not None:
            painted = paint_spheres(label.shape[1:], label.affine.numpy(), [self.sphere])
            label = d[LABEL_MAP] = label.clone()
            label[0][torch.from_numpy(painted > 0)] = self.index
        inside = (label[0] == self.index).numpy()
        if not inside.any():
            raise VolumeError.of(str(data[LABEL_MAP]), f"it has no voxel of {self.region!r}, which is to be made")
        made = self.cut_out(d, scan, self.with_margin(inside, scan))
        index = cut(label.as_tensor(), [int(n) for n in made[BOX]], made["mask"].shape[1:], 0)
        return {**made, "labels": label_channels(self.channels, index[None])[0]}


class CutSphered(_CutBoxd):
    """From an item with "image", a path of a chest CT, to what a sampler needs to make a sphere in it anew.

    The sphere is the one that is given, or one of the item's "diameters" at a place in the lungs that follows from its
    "seed", see `places_in_lungs`, away from the nodules of "known". What is cut out is that of `CutRegiond`, without
    labels; "label_map", uint8 [1, axial, H, W], is 1 where the scan is made anew.

    Args:
        window: HU of -1 and 1.
        times: number by which the network's sides are divisible.
        margin: mm around the sphere that are made anew too.
        context: voxels around the region that the network sees.
        sphere: centre x, y, z in mm of RAS, and diameter in mm.

    Raises:
        VolumeError: the scan is not of whole numbers of 16 bits, the sphere lies outside of it, or there is no room in
            the lungs.
    """

    def __init__(
        self,
        window: Sequence[float],
        times: int,
        margin: float = 2.0,
        context: int = 16,
        sphere: Sequence[float] | None = None,
    ) -> None:
        super().__init__(window, times, margin, context)
        self.sphere = sphere

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = self._load(dict(data))
        scan = d.pop("image")
        spheres = [self.sphere] if self.sphere is not None else seeded_places(d, data["image"], scan, 2 * self.margin)
        inside = paint_spheres(scan.shape[1:], scan.affine.numpy(), spheres) > 0
        if not inside.any():
            *centre, diameter = self.sphere
            raise VolumeError.of(
                str(data["image"]), f"a sphere of {diameter:g} mm at {centre} mm in RAS has no voxel of it; check the "
                "signs of its place"
            )  # fmt: skip
        mask = self.with_margin(inside, scan)
        d[LABEL_MAP] = MetaTensor(torch.from_numpy(mask.astype(np.uint8))[None], affine=scan.affine)
        return self.cut_out(d, scan, mask)


class PasteRegiond(MapTransform):
    """Put what was made of a region [1, D, H, W] in [-1, 1] back into its scan: whole HU [1, axial, H, W], int16.

    Outside of the region every voxel is that of the file, whatever the window. "before" is the scan as it was, and
    "centre" the middle of the region, x, y, z in mm of RAS.

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
        middle = torch.as_tensor(d["mask"])[0].cpu().nonzero().double().mean(0) + torch.tensor(first)
        d["centre"] = (scan.affine.double() @ torch.cat([middle, torch.ones(1, dtype=torch.float64)]))[:3].tolist()
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
