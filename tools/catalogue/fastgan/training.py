"""`train.json`."""

from __future__ import annotations

from tools.catalogue import training_parts
from tools.catalogue.fastgan.entry import OF_NETWORK, PHANTOM_WIDTH, maker
from tools.catalogue.fastgan.metadata import metadata
from tools.catalogue.parts import Config
from tools.catalogue.slices.maker import SliceBundle
from tools.catalogue.slices.training import MODELS, adversaries, training


def train(bundle: SliceBundle) -> Config:
    return training(
        bundle,
        metadata(bundle)["version"],
        maker(),
        phantom={"width": PHANTOM_WIDTH, "max_epochs": 20, "iterations": None, "batch_size": 8, "val_interval": 5},
        paper={
            "width": OF_NETWORK["width"],
            "max_epochs": 1,
            "iterations": 50000,
            "batch_size": 8,
            "val_interval": 1,
        },
        length={},
        options={
            "ema_decay": 0.999,
            "reconstruction_weight": 8.0,
            "lpips": None,
            "augment": {"kinds": ["color", "translation"], "brightness": 0.5, "contrast": 0.5, "shift": 0.125},
            "mirror": 0.5,
            "learning_rates": {"generator": 0.0002, "discriminator": 0.0002},
            "betas": [0.5, 0.999],
            "start_from": None,
        },
        checked=(
            *OF_NETWORK,
            *("iterations", "ema_decay", "reconstruction_weight", "mirror", "learning_rates"),
        ),
        networks={
            **adversaries(
                {
                    "_target_": "tools.networks.fastgan.Discriminator",
                    "image_size": "@image_size",
                    "in_channels": "$@sample_channels.number",
                    "width": "@width",
                    "num_classes": "$len(@classes)",
                },
                decay="@ema_decay",
            ),
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
            "models": MODELS,
        },
        updates={
            "updates": [
                training_parts.update(
                    name,
                    {name: f"@{id}"},
                    training_parts.adam(f"$@{id}.parameters()", f"@learning_rates#{name}"),
                    f"$@objective.{name}_loss",
                )
                for name, id in (("generator", "network"), ("discriminator", "discriminator"))
            ],
        },
    )
