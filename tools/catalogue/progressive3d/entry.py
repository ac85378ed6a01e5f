"""How Progressive GAN makes volumes."""

from __future__ import annotations

from tools.catalogue.volume_maker import LatentVolumes, VolumeMaker

PHANTOM = {"latent_dim": 32, "channel_base": 512, "channel_max": 32}
PAPER = {"latent_dim": 128, "channel_base": 16384, "channel_max": 128}
"""Sizes of the network with phantoms, and with the dataset."""


def maker(bundle: LatentVolumes) -> VolumeMaker:
    return VolumeMaker(
        network={
            "_target_": "tools.networks.pggan.PGGANGenerator",
            "image_size": "@image_size",
            "image_channels": bundle.samples.number,
            **{size: f"@{size}" for size in PAPER},
            "spatial_dims": 3,
        },
        sizes={size: bundle.paper[size] for size in PAPER},
        inferer={"_target_": "tools.engines.generation.OneByOneInferer"},
    )
