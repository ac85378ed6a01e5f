"""`train.json`."""

from __future__ import annotations

from tools.catalogue import parts, training_parts
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
from tools.catalogue.stylegan2.entry import inferer, latent_from_seed, prepare_latents, sampling_options
from tools.catalogue.stylegan3.entry import (
    OF_NETWORK,
    PHANTOM_SIZE,
    PHANTOM_WIDTHS,
    SIZE,
    StyleGAN3Bundle,
    network,
)
from tools.catalogue.stylegan3.metadata import metadata


def train(bundle: StyleGAN3Bundle) -> Config:
    return {
        **training_parts.where_training_writes(bundle.name),
        **training_parts.scales(
            phantom={
                "image_size": PHANTOM_SIZE,
                **PHANTOM_WIDTHS,
                "max_epochs": 20,
                "batch_size": 8,
                "val_interval": 5,
                **PHANTOM_SLICES,
                "num_workers": 0,
            },
            paper={
                "image_size": SIZE,
                **{setting: OF_NETWORK[setting] for setting in PHANTOM_WIDTHS},
                "max_epochs": 750,
                "batch_size": 16,
                "val_interval": 10,
                **SLICES,
                "num_workers": 4,
            },
        ),
        "iterations": None,
        **{setting: value for setting, value in OF_NETWORK.items() if setting not in PHANTOM_WIDTHS},
        **slice_options(bundle.data),
        **sampling_options(),
        "precision": "fp32",
        "accumulation": 1,
        "gamma": "$2.0 * (@image_size / 256) ** 2",
        "blur": "$10.0 if @rotation else 0.0",
        "blur_images": "$@batch_size * 200000 // 32",
        "r1_interval": 16,
        "frozen": 0,
        "half_life": "$@batch_size * 10000 // 32",
        "ramp_up": 0.05,
        "learning_rates": {"generator": 0.0025, "discriminator": 0.002},
        "betas": [0.0, 0.99],
        "start_from": None,
        "resume": None,
        "save_interval": 1,
        **parts.check(
            *OPTIONS,
            *(setting for setting in OF_NETWORK if setting != "rotation"),
            *sampling_options(),
            *("iterations", "gamma", "blur", "blur_images", "r1_interval", "frozen"),
            *("half_life", "ramp_up", "learning_rates"),
        ),
        "network_def": network(),
        "discriminator_def": {
            "_target_": "tools.networks.stylegan2.StyleGAN2Discriminator",
            "image_size": "@image_size",
            "image_channels": "$@sample_channels.number",
            "num_classes": "$len(@classes)",
            "channel_base": "@channel_base",
            "channel_max": "@channel_max",
            "frozen": "@frozen",
        },
        "network": "$begun_with(@network_def, @start_from, @sample_channels.number).to(@device)",
        "discriminator": "$begun_with(@discriminator_def, @start_from, @sample_channels.number, 'discriminator.pt')"
        ".to(@device)",
        "ema": {
            "_target_": "tools.engines.ema.ExponentialMovingAverage",
            "network": "@network",
            "half_life": "@half_life",
            "ramp_up": "@ramp_up",
        },
        "objective": {
            "_target_": "tools.losses.stylegan3.StyleGAN3Objective",
            "generator": "@network",
            "discriminator": "@discriminator",
            "channels": "@sample_channels",
            "num_classes": "$len(@classes)",
            "gamma": "@gamma",
            "blur": "@blur",
            "blur_images": "@blur_images",
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
            "optimizers": {
                "discriminator": {
                    "_target_": "tools.engines.update.lazy_adam",
                    "params": "$@discriminator.parameters()",
                    "lr": "@learning_rates#discriminator",
                    "betas": "@betas",
                    "every": "@r1_interval",
                },
            },
            "updates": [
                training_parts.update(
                    "generator",
                    {"generator": "@network"},
                    training_parts.adam("$@network.parameters()", "@learning_rates#generator"),
                    "$@objective.generator_loss",
                ),
                of_discriminator("discriminator"),
                of_discriminator("r1", every="@r1_interval"),
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


def of_discriminator(name: str, **more: str) -> Config:
    optimizer = "@train#optimizers#discriminator"
    return training_parts.update(
        name, {"discriminator": "@discriminator"}, optimizer, f"$@objective.{name}_loss", **more
    )
