"""`train.json`."""

from __future__ import annotations

from tools.catalogue import training_parts
from tools.catalogue.parts import Config
from tools.catalogue.slices.maker import SliceBundle
from tools.catalogue.slices.styles import style_discriminator
from tools.catalogue.slices.training import MODELS, adversaries, training
from tools.catalogue.stylegan3.entry import CHECKED, OF_NETWORK, PHANTOM_WIDTHS, maker
from tools.catalogue.stylegan3.metadata import metadata


def train(bundle: SliceBundle) -> Config:
    making = maker()
    return training(
        bundle,
        metadata(bundle)["version"],
        making,
        phantom={**PHANTOM_WIDTHS, "max_epochs": 20, "batch_size": 8, "val_interval": 5},
        paper={
            **{setting: OF_NETWORK[setting] for setting in PHANTOM_WIDTHS},
            "max_epochs": 750,
            "batch_size": 16,
            "val_interval": 10,
        },
        options={
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
        },
        checked=(
            *CHECKED,
            *making.options,
            *("iterations", "gamma", "blur", "blur_images", "r1_interval", "frozen"),
            *("half_life", "ramp_up", "learning_rates"),
        ),
        networks={
            **adversaries(style_discriminator(), half_life="@half_life", ramp_up="@ramp_up"),
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
            "models": MODELS,
        },
        updates={
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
        },
    )


def of_discriminator(name: str, **more: str) -> Config:
    optimizer = "@train#optimizers#discriminator"
    return training_parts.update(
        name, {"discriminator": "@discriminator"}, optimizer, f"$@objective.{name}_loss", **more
    )
