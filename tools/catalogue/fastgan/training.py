"""`train.json`."""

from __future__ import annotations

from tools.catalogue import parts, training_parts
from tools.catalogue.fastgan.entry import (
    OF_NETWORK,
    PHANTOM_SIZE,
    PHANTOM_WIDTH,
    SIZE,
    FastGANBundle,
    inferer,
    latent_from_seed,
    network,
    prepare_latents,
)
from tools.catalogue.fastgan.metadata import metadata
from tools.catalogue.parts import Config
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


def train(bundle: FastGANBundle) -> Config:
    return {
        **training_parts.where_training_writes(bundle.name),
        **training_parts.scales(
            phantom={
                "image_size": PHANTOM_SIZE,
                "width": PHANTOM_WIDTH,
                "max_epochs": 20,
                "iterations": None,
                "batch_size": 8,
                "val_interval": 5,
                **PHANTOM_SLICES,
                "num_workers": 0,
            },
            paper={
                "image_size": SIZE,
                "width": OF_NETWORK["width"],
                "max_epochs": 1,
                "iterations": 50000,
                "batch_size": 8,
                "val_interval": 1,
                **SLICES,
                "num_workers": 4,
            },
        ),
        "latent_dim": OF_NETWORK["latent_dim"],
        **slice_options(bundle.data),
        "precision": "fp32",
        "accumulation": 1,
        "ema_decay": 0.999,
        "reconstruction_weight": 8.0,
        "lpips": None,
        "augment": {"kinds": ["color", "translation"], "brightness": 0.5, "contrast": 0.5, "shift": 0.125},
        "mirror": 0.5,
        "learning_rates": {"generator": 0.0002, "discriminator": 0.0002},
        "betas": [0.5, 0.999],
        "start_from": None,
        "resume": None,
        "save_interval": 1,
        **parts.check(
            *OPTIONS,
            *OF_NETWORK,
            *("iterations", "ema_decay", "reconstruction_weight", "mirror", "learning_rates"),
        ),
        "network_def": network(),
        "discriminator_def": {
            "_target_": "tools.networks.fastgan.Discriminator",
            "image_size": "@image_size",
            "in_channels": "$@sample_channels.number",
            "width": "@width",
            "num_classes": "$len(@classes)",
        },
        "network": "$begun_with(@network_def, @start_from, @sample_channels.number).to(@device)",
        "discriminator": "$begun_with(@discriminator_def, @start_from, @sample_channels.number, 'discriminator.pt')"
        ".to(@device)",
        "ema": {
            "_target_": "tools.engines.ema.ExponentialMovingAverage",
            "network": "@network",
            "decay": "@ema_decay",
        },
        "perceptual": "$None if @lpips is None else LPIPS(*@lpips).to(@device)",
        "objective": {
            "_target_": "tools.losses.fastgan.FastGANObjective",
            "generator": "@network",
            "discriminator": "@discriminator",
            "channels": "@sample_channels",
            "augmentation": {
                "_target_": "tools.losses.differentiable_augmentation.DifferentiableAugmentation",
                **{key: f"@augment#{key}" for key in ("kinds", "brightness", "contrast", "shift")},
                "is_label": "$@sample_channels.is_label",
            },
            "reconstruction_weight": "@reconstruction_weight",
            "perceptual": "@perceptual",
            "latent_dim": "@latent_dim",
            "prepare": {"_target_": "tools.engines.views.RandomMirror", "share": "@mirror"},
        },
        "models": {"model": "$@ema.module", "discriminator": "@discriminator"},
        "provenance": PROVENANCE,
        "settings": {
            "bundle": bundle.name,
            "version": metadata(bundle)["version"],
            **{id: f"@{id}" for id in (*SAMPLE, *OF_NETWORK, "seed", "batch_size", "precision")},
            "data": "@provenance",
        },
        "train": {
            **training_data(bundle.data),
            "inferer": inferer(),
            "updates": [
                training_parts.update(
                    name,
                    {name: f"@{id}"},
                    training_parts.adam(f"$@{id}.parameters()", f"@learning_rates#{name}"),
                    f"$@objective.{name}_loss",
                )
                for name, id in (("generator", "network"), ("discriminator", "discriminator"))
            ],
            "handlers": training_parts.training_handlers(),
            "trainer": training_parts.trainer(
                ema="@ema",
                max_epochs="$@max_epochs if @iterations is None else "
                "epochs_for(@iterations, len(@train#dataset), @batch_size)",
            ),
        },
        "validate": validation(bundle.data, latent_from_seed(), "$@ema.module", prepare_latents("class")),
        **training_parts.start_training(),
    }
