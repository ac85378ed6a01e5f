"""`train.json`."""

from __future__ import annotations

from tools.catalogue import denoising_parts
from tools.catalogue.parts import Config
from tools.catalogue.pixel_diffusion.entry import OF_SCHEDULE, PHANTOM_WIDTHS, WIDTHS, maker, scheduler
from tools.catalogue.pixel_diffusion.metadata import metadata
from tools.catalogue.slices.maker import SliceBundle
from tools.catalogue.slices.training import training


def train(bundle: SliceBundle) -> Config:
    making = maker()
    return training(
        bundle,
        metadata(bundle)["version"],
        making,
        phantom={"network_channels": PHANTOM_WIDTHS, "max_epochs": 40, "batch_size": 16, "val_interval": 10},
        paper={"network_channels": WIDTHS, "max_epochs": 60, "batch_size": 16, "val_interval": 5},
        learned=OF_SCHEDULE,
        options={
            "half_life": 50000,
            "ramp_up": 0.05,
            "drop_class": 0.1,
            "label_weight": 1.0,
            "mirror": 0.5,
            "learning_rates": {"denoiser": 0.0001},
            "betas": [0.9, 0.999],
        },
        checked=(
            *("network_channels", "num_res_blocks", "iterations", "prediction", "num_train_timesteps"),
            *making.options,
            *("half_life", "ramp_up", "drop_class", "mirror", "label_weight", "learning_rates"),
        ),
        networks={
            "network": "$@network_def.to(@device)",
            "ema": denoising_parts.average(),
            "scheduler": scheduler(),
            "objective": {
                "_target_": "tools.losses.diffusion.DiffusionObjective",
                "network": "@network",
                "scheduler": "@scheduler",
                "channels": "@sample_channels",
                "num_classes": "$len(@classes)",
                "drop_class": "@drop_class",
                "label_weight": "@label_weight",
                "prepare": {"_target_": "tools.engines.views.RandomMirror", "share": "@mirror"},
            },
            "models": {"model": "$@ema.module"},
        },
        updates={"updates": denoising_parts.updates()},
        image_size="$halvable(@image_size, len(@network_channels))",
    )
