"""What a translation should have been, where somebody knows it: of phantoms."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, ResampleToMatch

from tools.transforms.slices import LoadStudyd


def name_of_truth(truth: Mapping[str, Any], study: str) -> str | None:
    """The name under which the truth of a study is known, which may be one modality of it ("MR/7/in_phase")."""
    return next((name for name in truth if study == name or study.startswith(f"{name}/")), None)


def load_on_grid(path: str, grid: MetaTensor | None = None, mode: str = "bilinear") -> MetaTensor:
    """A volume [1, axial, H, W], on the grid of another if one is given; beyond its own ends it goes on as there."""
    volume = LoadStudyd("image")({"image": path})["image"]
    if grid is None or (volume.shape == grid.shape and torch.allclose(volume.affine, grid.affine, atol=1e-3)):
        return volume
    return ResampleToMatch(mode=mode, padding_mode="border")(volume, img_dst=grid)


class TrueCTd(MapTransform):
    """Adds the true CT of a study, HU [1, axial, H, W] on the grid of one of its images; nothing where none is known.

    Args:
        keys: keys of an image [channels, axial, H, W], with an affine, on whose grid it is to lie.
        truth: MR id -> "ct", the path of its true CT, see `tools.data.studies.true_ct`.
        name: key of the true CT.
    """

    def __init__(
        self, keys: KeysCollection, truth: Mapping[str, Mapping[str, Any]], name: Hashable = "true_ct"
    ) -> None:
        super().__init__(keys)
        self.truth = truth
        self.name = name

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        known = name_of_truth(self.truth, str(d.get("id", "")))
        if known is not None:
            for key in self.key_iterator(d):
                d[self.name] = load_on_grid(self.truth[known]["ct"], d[key][:1])
        return d
