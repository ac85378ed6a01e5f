"""An entry of the family, and the parts that its configs share."""

from __future__ import annotations

from dataclasses import dataclass

from tools.catalogue import parts
from tools.catalogue.diffusion.entry import sample_channels
from tools.catalogue.parts import Config

WINDOW = (-1000, 400)
"""HU of -1 and 1: air and the lungs to soft tissue, as nodules are read."""

PHANTOM = {"image_size": 32, "voxel_size": 2.0, "margins": [3.0, 6.0], "channels": 8, "discriminator_channels": 16}
"""Phantoms have voxels of 3 mm and nodules of two of them or more."""

PAPER = {"image_size": 32, "voxel_size": 1.0, "margins": [1.0, 3.0], "channels": 32, "discriminator_channels": 64}

SHAPE = ("image_size", "voxel_size", "channels")
"""Ids of the network's sizes, which go with the weights."""

MIDDLE = "$sum(@margins) / 2"
"""The margin of holes where none is drawn."""


@dataclass(frozen=True)
class NoduleBundle:
    """Nodules of LUNA16, painted into crops and scans.

    Attributes:
        name: name of the bundle.
    """

    name: str

    @property
    def images(self) -> Config:
        """HU of -1 and 1 by name of the image."""
        return {"ct": list(WINDOW)}

    @property
    def labels(self) -> Config:
        """Value in files by name of each class."""
        return {"nodule": 1}


def network() -> Config:
    return {"_target_": "tools.networks.nodule_gan.NoduleGenerator", "channels": "@channels"}


def inferer() -> Config:
    return {"_target_": "tools.engines.painting.CropsInferer"}


def phantoms() -> Config:
    """Phantoms with nodules where no data are given."""
    return {
        "phantoms": {"count": 24, "seed": 0, "shape": [96, 112, 112], "nodules": "all"},
        "data_dir": "$dataset_or_phantoms(@dataset_dir, @bundle_root + '/phantoms', write_luna16_phantoms, "
        "**@phantoms)",
    }


def crops(data: str) -> Config:
    """A dataset of crops around nodules, from the store."""
    return {
        "_target_": "tools.data.volume_samples.VolumeSamples",
        "data": data,
        "transform": "@train#preprocessing",
        "channels": "@sample_channels",
        "store_dir": "@cache_dir",
        "num_workers": "@num_workers",
    }


def trained(bundle: NoduleBundle, scale: Config | str) -> Config:
    """Return what the weights say, with this bundle's defaults.

    Args:
        bundle: entry.
        scale: sizes where the weights do not say theirs, or an expression for them.
    """
    sizes = {
        id: scale[id] if isinstance(scale, dict) else f"{scale}['{id}']"
        for id in ("image_size", "voxel_size", "margins", "channels")
    }
    defaults = {**sizes, "diameters": [4.0, 20.0], "images": bundle.images, "labels": bundle.labels}
    return parts.trained(bundle.name, defaults, (*SHAPE, "margins", "images", "labels"))


__all__ = ["crops", "inferer", "network", "phantoms", "sample_channels", "trained"]
