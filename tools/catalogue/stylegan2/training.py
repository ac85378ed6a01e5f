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
from tools.catalogue.stylegan2.entry import (
    OF_NETWORK,
    PHANTOM_SIZE,
    PHANTOM_WIDTHS,
    StyleGAN2Bundle,
    inferer,
    latent_from_seed,
    network,
    prepare_latents,
    sampling_options,
)
from tools.catalogue.stylegan2.metadata import metadata


def train(bundle: StyleGAN2Bundle) -> Config:
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
                "image_size": bundle.image_size,
                "channel_base": bundle.settings["channel_base"],
                "channel_max": bundle.settings["channel_max"],
                "max_epochs": 750,
                "batch_size": 8 if bundle.image_size > 256 else 16,
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
        "gamma": "$0.0002 * @image_size ** 2 / @batch_size",
        "path_length_weight": 2.0,
        "style_mixing": 0.9,
        "lazy": {"path_length": 4, "r1": 16},
        "ada": {
            "limit": bundle.limit,
            "target": 0.6,
            "interval": 4,
            "speed": None,
            "start": 0.0,
            "rotate_max": bundle.rotate_max,
            "strengths": dict(bundle.strengths),
        },
        "start_from": None,
        "frozen": 0,
        "half_life": "$@batch_size * 10000 // 32",
        "ramp_up": 0.05,
        "learning_rates": {"generator": 0.0025, "discriminator": 0.0025},
        "betas": [0.0, 0.99],
        "resume": None,
        "save_interval": 1,
        **parts.check(
            *OPTIONS,
            *OF_NETWORK,
            *sampling_options(),
            *("iterations", "gamma", "path_length_weight", "style_mixing", "frozen"),
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
            "group_size": 4,
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
        "path_length_def": {"_target_": "tools.losses.stylegan2.PathLength", "weight": "@path_length_weight"},
        "path_length": "$@path_length_def.to(@device)",
        "augmentation_def": {
            "_target_": "tools.losses.adaptive_augmentation.AdaptiveAugmentation",
            "images": "$@sample_channels.num_images",
            "labels": "$@sample_channels.number - @sample_channels.num_images",
            **{
                key: f"@ada#{key}"
                for key in ("strengths", "rotate_max", "target", "interval", "speed", "limit", "start")
            },
        },
        "augmentation": "$@augmentation_def.to(@device)",
        "objective": {
            "_target_": "tools.losses.stylegan2.StyleGAN2Objective",
            "generator": "@network",
            "discriminator": "@discriminator",
            "channels": "@sample_channels",
            "num_classes": "$len(@classes)",
            "gamma": "@gamma",
            "style_mixing": "@style_mixing",
            "path_length": "@path_length",
            "path_every": "@lazy#path_length",
            "augmentation": "@augmentation",
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
                network: {
                    "_target_": "tools.engines.update.lazy_adam",
                    "params": f"$@{id}.parameters()",
                    "lr": f"@learning_rates#{network}",
                    "betas": "@betas",
                    "every": f"@lazy#{lazy}",
                    "eps": 1e-8,
                }
                for network, id, lazy in (
                    ("generator", "network", "path_length"),
                    ("discriminator", "discriminator", "r1"),
                )
            },
            "updates": [
                update("generator", "network", "generator"),
                update("path_length", "network", "generator", every="@lazy#path_length"),
                update("discriminator", "discriminator", "discriminator"),
                update("r1", "discriminator", "discriminator", every="@lazy#r1"),
            ],
            "handlers": training_parts.training_handlers(
                also={"augmentation": "@augmentation", "path_length": "@path_length"}
            ),
            "trainer": training_parts.trainer(
                ema="@ema",
                max_epochs="$@max_epochs if @iterations is None else "
                "epochs_for(@iterations, len(@train#dataset), @batch_size)",
            ),
        },
        "validate": validation(bundle.data, latent_from_seed(), "$@ema.module", prepare_latents("class")),
        **training_parts.start_training(),
    }


def update(name: str, id: str, network: str, **more: str) -> Config:
    return training_parts.update(
        name, {network: f"@{id}"}, f"@train#optimizers#{network}", f"$@objective.{name}_loss", **more
    )
