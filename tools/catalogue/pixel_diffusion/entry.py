"""What the configs of the family share."""

from __future__ import annotations

from tools.catalogue import denoising_parts, parts
from tools.catalogue.parts import Config
from tools.catalogue.slices.maker import SliceMaker

WIDTHS, PHANTOM_WIDTHS = [64, 128, 256, 256], [32, 64, 64]
"""Widths of the network's levels, of which each but the first halves the slice, with the dataset and with phantoms."""

STEPS = 50
"""Steps from noise to sample, by DDIM."""

OF_NETWORK = {"network_channels": WIDTHS, "num_res_blocks": 2}
"""Settings of the network, which go with its weights."""

OF_SCHEDULE = {"prediction": "epsilon", "num_train_timesteps": 1000, "noise_schedule": "linear_beta"}
"""Settings of what was learned, without which a sampler makes nothing of the weights."""

SETTINGS = {**OF_NETWORK, **OF_SCHEDULE}


def network() -> Config:
    """MONAI's U-Net, with attention of one head in its coarsest level; a class more than there are means none."""
    return {
        "_target_": "DiffusionModelUNet",
        "spatial_dims": 2,
        "in_channels": "$@sample_channels.number",
        "out_channels": "$@sample_channels.number",
        "channels": "@network_channels",
        "num_res_blocks": "@num_res_blocks",
        "attention_levels": "$[False] * (len(@network_channels) - 1) + [True]",
        "norm_num_groups": 8,
        "num_head_channels": "$@network_channels[-1]",
        "num_class_embeds": "$len(@classes) + 1 if @classes else None",
    }


def scheduler() -> Config:
    return denoising_parts.scheduler(num_train_timesteps="@num_train_timesteps", schedule="@noise_schedule")


def maker() -> SliceMaker:
    return SliceMaker(
        network=network(),
        settings=SETTINGS,
        inferer=denoising_parts.sampler(eta="@eta", guidance="@guidance"),
        latents=parts.latent_from_seed("$[@sample_channels.number, @image_size, @image_size]"),
        options={"sampler": "ddim", "steps": STEPS, "eta": 0.0, "guidance": 1.0},
        apart=denoising_parts.PRECISION,
        checked=("network_channels", "num_res_blocks", "prediction"),
        before={"scheduler": scheduler()},
    )
