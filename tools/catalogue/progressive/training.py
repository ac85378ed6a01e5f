"""`train.json`."""

from __future__ import annotations

from tools.catalogue.parts import Config
from tools.catalogue.progressive import growing
from tools.catalogue.progressive.entry import PHANTOM_WIDTHS, WIDTHS, ProgressiveBundle, maker
from tools.catalogue.progressive.metadata import metadata
from tools.catalogue.slices.training import MODELS, adversaries, training


def train(bundle: ProgressiveBundle) -> Config:
    making = maker(bundle)
    own = styles() if bundle.styled else distances()
    return training(
        bundle,
        metadata(bundle)["version"],
        making,
        phantom={
            **PHANTOM_WIDTHS,
            "training_images": 12_000,
            "batch_size": 8,
            "largest_batch": 16,
            "val_interval": 5,
        },
        paper={
            **WIDTHS,
            "training_images": bundle.images,
            "batch_size": 8,
            "largest_batch": 128,
            "val_interval": 10,
        },
        length={"max_epochs": None},
        options={
            **growing.growth(own["phase"], first_level=int(bundle.styled)),
            **own["options"],
            "start_from": None,
            "learning_rates": {"generator": 0.001, "discriminator": 0.001},
            "betas": [0.0, 0.99],
        },
        checked=(
            *bundle.settings,
            *making.options,
            *("training_images", "largest_batch", "learning_rates"),
            *own["checked"],
        ),
        networks={
            **adversaries(
                {
                    "_target_": "tools.networks.pggan.ProgressiveDiscriminator",
                    "image_size": "@image_size",
                    "image_channels": "$@sample_channels.number",
                    "num_classes": "$len(@classes)",
                    "auxiliary": not bundle.styled,
                    "channel_base": "@channel_base",
                    "channel_max": "@channel_max",
                    "blur": bundle.styled,
                    "group_size": 4,
                },
                **own["average"],
            ),
            **growing.schedule(),
            "objective": {
                "_target_": own["objective"],
                "generator": "@network",
                "discriminator": "@discriminator",
                "schedule": "@growth_schedule",
                "channels": "@sample_channels" if bundle.data.images else None,
                "num_classes": "$len(@classes)",
                **{option: f"@{option}" for option in own["of_objective"]},
            },
            "models": MODELS,
        },
        updates=growing.updates(rates=bundle.styled),
        trainer=growing.TRAINER,
    )


def distances() -> Config:
    """Return what is Progressive GAN's own: 600,000 images a phase, of 12 million, and Wasserstein's distance."""
    weights = {"penalty": 10.0, "drift": 0.001, "class_weight": 1.0}
    return {
        "phase": growing.A_TWENTIETH,
        "options": {**weights, "ema_decay": 0.999},
        "checked": (*weights, "ema_decay"),
        "average": {"decay": "@ema_decay"},
        "objective": "tools.losses.progressive.PGGANObjective",
        "of_objective": tuple(weights),
    }


def styles() -> Config:
    """Return what is StyleGAN's own: 600,000 images a phase, of 25 million, and logistic losses."""
    weights = {"gamma": 10.0, "style_mixing": 0.9}
    return {
        "phase": "$@training_images * 0.024",
        "options": {**weights, "half_life": 10000, "rates": {"5": 1.5, "6": 2.0, "7": 3.0, "8": 3.0}},
        "checked": (*weights, "half_life", "rates"),
        "average": {"half_life": "@half_life"},
        "objective": "tools.losses.progressive.StyleGANObjective",
        "of_objective": tuple(weights),
    }
