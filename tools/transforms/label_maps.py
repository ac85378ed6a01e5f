"""Label maps as what a network makes images of, at their own size and spacing or at another."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import LoadImage, MapTransform, Orientation, Transform
from torch import Tensor

from tools.io.readers import VolumeError
from tools.io.volume_reader import VolumeReader
from tools.transforms.channels import Channels
from tools.transforms.latent import LatentFromSeedd
from tools.transforms.sample_volumes import ResizeSamplesd
from tools.transforms.views import TellViewd, label_channels

LABEL_MAP = "label_map"
"""Key of an item's label map: a path, then class indices [1, axial, H, W]."""


class LabelChannelsd(MapTransform):
    """Adds "labels", the label channels [classes, D, H, W] of class indices [1, D, H, W].

    Args:
        keys: key of class indices.
        channels: channels of the samples.
    """

    def __init__(self, keys: KeysCollection, channels: Channels) -> None:
        super().__init__(keys)
        self.channels = channels

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        for key in self.key_iterator(d):
            index = torch.as_tensor(np.asarray(d[key]))
            known = d.get("known")
            d["labels"] = label_channels(self.channels, index[None], None if known is None else known[None])[0]
        return d


class LoadLabelMapd(Transform):
    """Adds class indices uint8 [1, axial, H, W] in the place of a label map's path, with its affine: axes run to the
    head, the back and the left. "label_values" of an item, {class: value}, are those of its file.

    Args:
        channels: channels whose classes are meant; any other value is background.
        size: voxels along each axis, axial first, into which the extent of the map is divided; each gets the class that
            has the greatest share of it. None for the map's own.

    Raises:
        VolumeError: a file cannot be read, holds other than whole numbers, or none of the classes.
    """

    def __init__(self, channels: Channels, size: Sequence[int] | None = None) -> None:
        super().__init__()
        self.channels = channels
        self.resize = None if size is None else ResizeSamplesd([*size])
        self._load = LoadImage(reader=VolumeReader, image_only=True, ensure_channel_first=True)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        path = str(data[LABEL_MAP])
        values = Orientation("SPL", labels=None)(self._load(path))
        try:
            index = torch.from_numpy(self.channels.indices(values.numpy(), data.get("label_values")))
        except ValueError as error:
            raise VolumeError.of(path, f"it is taken for a label map, but {error}") from error
        if not index.any():
            raise VolumeError.of(path, f"it has no voxel of a class: {', '.join(self.channels.labels)}")
        label = MetaTensor(index, affine=values.affine)
        if self.resize is not None:
            label = self.resize({"label": label})["label"]
        return {**data, LABEL_MAP: label}


class AskForLabelsd(Transform):
    """Adds to an item with a label map what a network is given to make an image of it.

    That is "labels", the map's channels, filled up with background to a size that the network can halve; "latent",
    noise of that size, which follows from the item's "seed"; and what it is told of the map's spacing and place, see
    `tools.transforms.views`.

    Args:
        channels: channels of the samples.
        times: number by which the network's sides are divisible.
        extent: mm of a whole scan along each axis, axial first; a map of less is taken to be in its middle.
    """

    def __init__(self, channels: Channels, times: int, extent: Sequence[float]) -> None:
        super().__init__()
        self.channels = channels
        self.times = times
        self.extent = extent

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        label = data[LABEL_MAP]
        size = [-(-n // self.times) * self.times for n in label.shape[1:]]
        beside = [pad for n, of in zip(reversed(label.shape[1:]), reversed(size), strict=True) for pad in (0, of - n)]
        filled = torch.nn.functional.pad(label.as_tensor(), beside)
        spacing = np.linalg.norm(label.affine.numpy()[:3, :3], axis=0).tolist()
        d = LatentFromSeedd(latent_dim=[self.channels.num_images, *size])(data)
        d = TellViewd([*label.shape[1:]], spacing, self.extent)(d)
        return {**d, "labels": label_channels(self.channels, filled[None])[0]}


class PairWithLabelMapd(MapTransform):
    """A made image [images, D, H, W] becomes a sample [channels, d, h, w] with its label map, in the map's place.

    What was filled up is cut off.

    Args:
        keys: keys of images.
        channels: channels of the samples.
        name_key: key of the case's name.
    """

    def __init__(self, keys: KeysCollection, channels: Channels, name_key: str = "name") -> None:
        super().__init__(keys)
        self.channels = channels
        self.name_key = name_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        label = d[LABEL_MAP]
        a, h, w = label.shape[1:]
        for key in self.key_iterator(d):
            image: Tensor = torch.as_tensor(d[key])[:, :a, :h, :w]
            labels = label_channels(self.channels, label.as_tensor()[None].to(image.device))[0]
            meta = {"filename_or_obj": str(d[self.name_key])}
            d[key] = MetaTensor(torch.cat([image, labels.to(image)]), affine=label.affine, meta=meta)
        return d
