"""`train.json`."""

from __future__ import annotations

from tools.catalogue import training_parts
from tools.catalogue.parts import Config
from tools.catalogue.slices.styles import style_discriminator
from tools.catalogue.slices.training import MODELS, adversaries, training
from tools.catalogue.stylegan2.entry import OF_NETWORK, PHANTOM_WIDTHS, StyleGAN2Bundle, maker
from tools.catalogue.stylegan2.metadata import metadata


def train(bundle: StyleGAN2Bundle) -> Config:
    making = maker(bundle)
    return training(
        bundle,
        metadata(bundle)["version"],
        making,
        phantom={**PHANTOM_WIDTHS, "max_epochs": 20, "batch_size": 8, "val_interval": 5},
        paper={
            **{setting: bundle.settings[setting] for setting in PHANTOM_WIDTHS},
            "max_epochs": 750,
            "batch_size": 8 if bundle.image_size > 256 else 16,
            "val_interval": 10,
        },
        options={
            "discriminator_architecture": "resnet",
            "implementation": "optimised",
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
                "sizes": dict(bundle.sizes),
            },
            "start_from": None,
            "frozen": 0,
            "half_life": "$@batch_size * 10000 // 32",
            "ramp_up": 0.05,
            "learning_rates": {"generator": 0.0025, "discriminator": 0.0025},
            "betas": [0.0, 0.99],
        },
        checked=(
            *OF_NETWORK,
            *making.options,
            *("iterations", "implementation", "gamma", "path_length_weight", "style_mixing", "frozen"),
            *("half_life", "ramp_up", "learning_rates", "discriminator_architecture"),
        ),
        networks={
            **adversaries(
                style_discriminator(group_size=4, architecture="@discriminator_architecture"),
                "set_fused({}, @implementation == 'optimised')",
                half_life="@half_life",
                ramp_up="@ramp_up",
            ),
            "path_length_def": {"_target_": "tools.losses.stylegan2.PathLength", "weight": "@path_length_weight"},
            "path_length": "$@path_length_def.to(@device)",
            "augmentation_def": {
                "_target_": "tools.losses.adaptive_augmentation.AdaptiveAugmentation",
                "images": "$@sample_channels.num_images",
                "labels": "$@sample_channels.number - @sample_channels.num_images",
                **{
                    key: f"@ada#{key}"
                    for key in ("strengths", "rotate_max", "sizes", "target", "interval", "speed", "limit", "start")
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
            "models": MODELS,
        },
        updates={
            "optimizers": {
                network: {
                    "_target_": "tools.engines.update.lazy_adam",
                    "params": f"$@{id}.parameters()",
                    "lr": f"@learning_rates#{network}",
                    "betas": "@betas",
                    "every": f"@lazy#{lazy}",
                    "eps": 1e-8,
                    "fused": training_parts.OPTIMISED,
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
        },
        also={"augmentation": "@augmentation", "path_length": "@path_length"},
    )


def update(name: str, id: str, network: str, **more: str) -> Config:
    return training_parts.update(
        name, {network: f"@{id}"}, f"@train#optimizers#{network}", f"$@objective.{name}_loss", **more
    )
