"""An entry of the family, and the parts that its configs share."""

from __future__ import annotations

from dataclasses import dataclass

from tools.catalogue.parts import Config
from tools.catalogue.slices.data import SliceData

SIZE, PHANTOM_SIZE = 256, 64
"""Pixels a side, with the dataset and with phantoms."""

OF_NETWORK = {"latent_dim": 256, "width": 64}
"""Settings of the network, which go with its weights."""

PHANTOM_WIDTH = 16
"""Width with phantoms."""


@dataclass(frozen=True)
class FastGANBundle:
    """FastGAN on slices.

    Attributes:
        name: name of the bundle.
        data: dataset that it is trained on.
    """

    name: str
    data: SliceData


def network() -> Config:
    return {
        "_target_": "tools.networks.fastgan.Generator",
        "image_size": "@image_size",
        "out_channels": "$@sample_channels.number",
        "latent_dim": "@latent_dim",
        "width": "@width",
        "num_classes": "$len(@classes)",
    }


def inferer() -> Config:
    return {"_target_": "tools.engines.generation.OneByOneInferer"}


def latent_from_seed() -> Config:
    return {"_target_": "tools.transforms.latent.LatentFromSeedd", "latent_dim": "@latent_dim"}


def prepare_latents(class_key: str) -> Config:
    """A latent goes in, and the class of a slice, if it has one."""
    return {"_target_": "tools.engines.generation.PrepareLatents", "class_key": class_key}
