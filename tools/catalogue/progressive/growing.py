"""Parts of `train.json` by which networks grow, for slices and volumes alike."""

from __future__ import annotations

from typing import Any

from tools.catalogue import training_parts
from tools.catalogue.parts import Config

TRAINER = {
    "max_epochs": "$@growth_schedule.epochs(@training_images, len(@train#dataloader)) if @max_epochs is None "
    "else @max_epochs",
    "epoch_length": "$len(@train#dataloader)",
    "prepare": "@train#growing",
}
"""Arguments of the trainer: epochs have as many iterations at every level."""

A_TWENTIETH = "$@training_images / 20"
"""Length of a phase in Progressive GAN, of 2D as of 3D: 600,000 images of 12 million, or a million of 20."""


def growth(phase: str, first_level: int = 0) -> Config:
    """The option of when networks grow, by the length of a phase in images."""
    return {"growth": {"first_level": first_level, "stay": phase, "fade": phase}}


def schedule() -> Config:
    return {
        "growth_schedule": {
            "_target_": "tools.losses.growth_schedule.GrowthSchedule",
            "last_level": "$@image_size.bit_length() - 3",
            "stay": "@growth#stay",
            "fade": "@growth#fade",
            "batch_size": "@batch_size",
            "largest_batch": "@largest_batch",
            "first_level": "@growth#first_level",
        }
    }


def updates(rates: bool, **optimizer: Any) -> Config:
    """The ids of `train` that say how networks learn.

    Args:
        rates: True if a level has a factor of its own.
        optimizer: further arguments of Adam.
    """
    return {
        "growing": {
            "_target_": "tools.losses.growth_schedule.Growing",
            "schedule": "@growth_schedule",
            "loader": {
                "_mode_": "callable",
                **{key: value for key, value in training_parts.training_loader().items() if key != "batch_size"},
            },
            **({"rates": "@rates"} if rates else {}),
        },
        "updates": [
            training_parts.update(
                name,
                {name: f"@{id}"},
                training_parts.adam(f"$@{id}.parameters()", f"@learning_rates#{name}", **optimizer),
                f"$@objective.{name}_loss",
            )
            for name, id in (("discriminator", "discriminator"), ("generator", "network"))
        ],
    }
