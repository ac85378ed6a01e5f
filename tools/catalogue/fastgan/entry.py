"""What the configs of the family share."""

from __future__ import annotations

from tools.catalogue import parts
from tools.catalogue.slices.maker import SliceMaker

OF_NETWORK = {"latent_dim": 256, "width": 64}
"""Settings of the network, which go with its weights."""

PHANTOM_WIDTH = 16
"""Width with phantoms."""


def maker() -> SliceMaker:
    return SliceMaker(
        network={
            "_target_": "tools.networks.fastgan.Generator",
            "image_size": "@image_size",
            "out_channels": "$@sample_channels.number",
            "latent_dim": "@latent_dim",
            "width": "@width",
            "num_classes": "$len(@classes)",
        },
        settings=OF_NETWORK,
        inferer={"_target_": "tools.engines.generation.OneByOneInferer"},
        latents=parts.latent_from_seed(),
        checked=tuple(OF_NETWORK),
    )
