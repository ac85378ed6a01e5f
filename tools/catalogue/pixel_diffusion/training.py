"""`train.json`."""

from __future__ import annotations

from tools.catalogue import denoising_parts, parts, training_parts
from tools.catalogue.parts import Config
from tools.catalogue.pixel_diffusion.entry import (
    OF_SCHEDULE,
    PHANTOM_SIZE,
    PHANTOM_WIDTHS,
    SETTINGS,
    SIZE,
    WIDTHS,
    SliceDiffusionBundle,
    network,
    noise_from_seed,
    prepare_noise,
    sampler,
    sampling_options,
    scheduler,
)
from tools.catalogue.pixel_diffusion.metadata import metadata
from tools.catalogue.slices.training import (
    OPTIONS,
    PHANTOM_SLICES,
    PROVENANCE,
    SAMPLE,
    SLICES,
    slice_options,
    training_data,
    validation,
)


def train(bundle: SliceDiffusionBundle) -> Config:
    return {
        **training_parts.where_training_writes(bundle.name),
        **training_parts.scales(
            phantom={
                "image_size": PHANTOM_SIZE,
                "network_channels": PHANTOM_WIDTHS,
                "max_epochs": 40,
                "batch_size": 16,
                "val_interval": 10,
                **PHANTOM_SLICES,
                "num_workers": 0,
            },
            paper={
                "image_size": SIZE,
                "network_channels": WIDTHS,
                "max_epochs": 60,
                "batch_size": 16,
                "val_interval": 5,
                **SLICES,
                "num_workers": 4,
            },
        ),
        "iterations": None,
        "num_res_blocks": SETTINGS["num_res_blocks"],
        **slice_options(bundle.data),
        **OF_SCHEDULE,
        **sampling_options(),
        "precision": "fp32",
        "accumulation": 1,
        "half_life": 50000,
        "ramp_up": 0.05,
        "drop_class": 0.1,
        "label_weight": 1.0,
        "mirror": 0.5,
        "learning_rates": {"denoiser": 0.0001},
        "betas": [0.9, 0.999],
        "resume": None,
        "save_interval": 1,
        **parts.check(
            *OPTIONS,
            *("network_channels", "num_res_blocks", "iterations", "prediction", "num_train_timesteps"),
            *sampling_options(),
            *("half_life", "ramp_up", "drop_class", "mirror", "label_weight", "learning_rates"),
        ),
        "network_def": network(),
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
        "provenance": PROVENANCE,
        "settings": {
            "bundle": bundle.name,
            "version": metadata(bundle)["version"],
            **{id: f"@{id}" for id in (*SAMPLE, *SETTINGS, "seed", "batch_size", "precision")},
            "data": "@provenance",
        },
        "train": {
            **training_data(bundle.data, "$halvable(@image_size, len(@network_channels))"),
            **denoising_parts.training(sampler()),
        },
        "validate": validation(bundle.data, noise_from_seed(), "$@ema.module", prepare_noise("class")),
        **training_parts.start_training(),
    }
