"""What a network that turns slices into another condition is given."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.data import MetaTensor
from monai.transforms import MapTransform
from monai.utils import convert_to_tensor


class AskForConditiond(MapTransform):
    """A volume [1, axial, H, W] gets a second channel, the condition that is asked of it, the same everywhere.

    "label" is the volume as it was.

    Args:
        keys: keys of volumes.
        asked_key: key of the condition, in [0, 1].
    """

    def __init__(self, keys: str = "image", asked_key: str = "asked") -> None:
        super().__init__(keys)
        self.asked_key = asked_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        for key in self.key_iterator(d):
            volume = d[key]
            d["label"] = volume
            voxels = convert_to_tensor(volume, track_meta=False)
            both = torch.cat([voxels, torch.full_like(voxels, float(d[self.asked_key]))])
            if isinstance(volume, MetaTensor):
                d[key] = volume.clone()
                d[key].array = both
            else:
                d[key] = both
        return d
