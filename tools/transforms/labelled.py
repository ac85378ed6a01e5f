"""From samples of images, alone or together with their labels, as networks make them, to a folder to train on."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import Orientation
from torch import Tensor

from tools.io.labelled_folder import LabelledFolder
from tools.io.provenance import Provenance
from tools.transforms.channels import Channels
from tools.transforms.window import Window
from tools.transforms.writing import WriteIntod


class WriteSamplesd(WriteIntod[LabelledFolder]):
    """Write samples [channels, D, H, W], which have a place by `PlaceVolumed`, as the cases of a `LabelledFolder`.

    Images go from [-1, 1] to whole numbers: HU of their window, or `Channels.grey_values`; what lies beyond is clipped.
    Labels are the classes that `Channels.split` reads; where there are none, images alone are written. Axes of the
    files run to the right, the front and the head.

    Args:
        channels: channels of the samples; their classes are those of the folder.
        folder: folder to which the cases are added; its `finish` is the caller's.
        provenance: origin of the samples, which every file says.
        keys: keys of the samples, MetaTensors.
        name_key: key of the case's name.
        seed_key: key of the number that a sample follows from; may be missing.

    Raises:
        ValueError: images or classes of the folder are others than those of the channels.

    Example::

        channels = Channels({"t1": 99.5}, {"anterior": 1, "posterior": 2})
        folder = LabelledFolder("cohort", "Hippocampus", [*channels.images], channels.classes, "MR")
        WriteSamplesd(channels, folder, provenance)({"pred": sample, "name": "synthetic_00000", "seed": 0})
        folder.finish()
    """

    def __init__(
        self,
        channels: Channels,
        folder: LabelledFolder,
        provenance: Provenance,
        keys: KeysCollection = "pred",
        name_key: str = "name",
        seed_key: str = "seed",
    ) -> None:
        super().__init__(keys, folder, provenance, name_key, seed_key)
        if (*channels.images,) != folder.images or channels.classes != folder.classes:
            raise ValueError(
                f"the folder is for images {folder.images} and classes {folder.classes}, expected those of the "
                f"channels: {(*channels.images,)} and {channels.classes}"
            )
        self.channels = channels
        self._classes = np.array([*channels.classes.values()], np.uint8)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        name, record = self.named(d)
        turn = Orientation(axcodes="RAS", labels=None)
        windows = {**self.channels.images, **self.channels.grey_values}
        for key in self.key_iterator(d):
            placed = turn(MetaTensor(d[key].as_tensor().detach().cpu().float(), affine=d[key].affine))
            images, label = self.channels.split(placed.as_tensor()[None])
            self.folder.add(
                name,
                [
                    self._in_unit(image, Window(*window))
                    for image, window in zip(images[0], windows.values(), strict=True)
                ],
                None if label is None else self._classes[label[0, 0].numpy()],
                placed.affine.numpy(),
                record,
            )
        return d

    @staticmethod
    def _in_unit(image: Tensor, window: Window) -> np.ndarray:
        return window.unscale(image.clamp(-1, 1).double()).round().numpy()


class WriteCasesd(WriteIntod[LabelledFolder]):
    """Write scans [1, D, H, W] in whole HU with their label maps of class indices as cases of a `LabelledFolder`.

    Axes of the files run to the right, the front and the head; no voxel changes.

    Args:
        keys: keys of scans, MetaTensors.
        label_key: key of a scan's label map, on the same voxels.
        channels: channels whose classes are meant; they are those of the folder.
        folder: folder to which the cases are added; its `finish` is the caller's.
        provenance: origin of the scans, which every file says.
        name_key: key of the case's name.
        seed_key: key of the number that a scan follows from; may be missing.
    """

    def __init__(
        self,
        keys: KeysCollection,
        label_key: str,
        channels: Channels,
        folder: LabelledFolder,
        provenance: Provenance,
        name_key: str = "name",
        seed_key: str = "seed",
    ) -> None:
        super().__init__(keys, folder, provenance, name_key, seed_key)
        self.label_key = label_key
        self.channels = channels

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        name, record = self.named(d)
        turn = Orientation(axcodes="RAS", labels=None)
        label = turn(d[self.label_key])
        for key in self.key_iterator(d):
            scan = turn(d[key])
            values = self.channels.to_values(label[0].numpy())
            self.folder.add(name, [scan[0].numpy()], values, scan.affine.numpy(), record)
        return d
