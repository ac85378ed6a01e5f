"""An entry of the family, and the parts that its configs share."""

from __future__ import annotations

from dataclasses import dataclass

from tools.catalogue.parts import Config
from tools.catalogue.slices.data import SliceData

SIZE, PHANTOM_SIZE = 256, 64
"""Pixels a side, with the dataset and with phantoms."""

OF_NETWORK = {
    "latent_dim": 512,
    "style_dim": 512,
    "mapping_layers": 2,
    "rotation": False,
    "num_layers": 14,
    "channel_base": 16384,
    "channel_max": 512,
}
"""Settings of the network, which go with its weights."""

PHANTOM_WIDTHS = {"num_layers": 6, "channel_base": 2048, "channel_max": 64}
"""Layers and widths with phantoms."""


@dataclass(frozen=True)
class StyleGAN3Bundle:
    """StyleGAN3 on labelled slices.

    Attributes:
        name: name of the bundle.
        data: dataset that it is trained on.
    """

    name: str
    data: SliceData


def network() -> Config:
    return {
        "_target_": "tools.networks.stylegan3.StyleGAN3Generator",
        "image_size": "@image_size",
        "image_channels": "$@sample_channels.number",
        "num_classes": "$len(@classes)",
        **{setting: f"@{setting}" for setting in OF_NETWORK},
    }
