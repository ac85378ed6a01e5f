"""What the configs of the family share."""

from __future__ import annotations

from tools.catalogue.slices.maker import SliceMaker
from tools.catalogue.slices.styles import style_maker

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


CHECKED = tuple(setting for setting in OF_NETWORK if setting != "rotation")
"""Those that are checked."""


def maker() -> SliceMaker:
    return style_maker("tools.networks.stylegan3.StyleGAN3Generator", OF_NETWORK, CHECKED)
