"""How 3D-StyleGAN makes volumes."""

from __future__ import annotations

from tools.catalogue.volume_maker import LatentVolumes, VolumeMaker

PHANTOM = {"latent_dim": 64, "style_dim": 64, "mapping_layers": 4, "network_width": 16}
PAPER = {"latent_dim": 96, "style_dim": 96, "mapping_layers": 8}
"""Sizes of the network with phantoms, and with the dataset."""


def maker(bundle: LatentVolumes) -> VolumeMaker:
    sizes = {size: bundle.paper[size] for size in PHANTOM}
    return VolumeMaker(
        network={
            "_target_": "tools.networks.stylegan3d.StyleGAN3DGenerator",
            "volume_size": "@volume_size",
            "base_grid": "@base_grid",
            "image_channels": bundle.samples.number,
            "latent_dim": "@latent_dim",
            "style_dim": "@style_dim",
            "mapping_layers": "@mapping_layers",
            "channels": "@network_width",
            "average_decay": 0.995,
        },
        sizes={"doublings": (bundle.image_size // 4).bit_length() - 1, **sizes},
        inferer={
            "_target_": "tools.engines.styles.StyleInferer",
            "truncation": "@truncation",
            "cutoff": "@truncated_layers",
        },
        options={"truncation": 1.0, "truncated_layers": None},
        before={"base_grid": "$[n // 2**@doublings for n in divisible(@volume_size, @doublings + 1)]"},
    )
