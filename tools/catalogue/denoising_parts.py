"""Parts of configs that families of diffusion and rectified flow share: what is learned, and how samples are made."""

from __future__ import annotations

from typing import Any

from tools.catalogue import training_parts
from tools.catalogue.parts import Config


def average(network: str = "@network") -> Config:
    """The average of the network by which samples are made."""
    return {
        "_target_": "tools.engines.ema.ExponentialMovingAverage",
        "network": network,
        "half_life": "@half_life",
        "ramp_up": "@ramp_up",
    }


def scheduler(**schedule: Any) -> Config:
    """The schedule by the options `prediction` and `sampler`; ``schedule`` has further ones."""
    return {
        "_target_": "tools.engines.schedules.noise_scheduler",
        "prediction": "@prediction",
        "sampler": "@sampler",
        **schedule,
    }


def sampler(**more: Any) -> Config:
    return {"_target_": "tools.engines.sampling.DiffusionSampler", "scheduler": "@scheduler", "steps": "@steps", **more}


PRECISION: Config = {"precision": "fp32"}
"""Option of making samples, apart from that of the training, whose validation is in full precision."""


def in_precision(inferer: str = "train#inferer") -> Config:
    """The same of an `evaluate.json`: in the place of the training's, and for the sampler of an id of `train.json`."""
    return {**PRECISION, f"{inferer}#precision": "@precision"}


def updates() -> list[Config]:
    """One update by the objective's one loss."""
    return [
        training_parts.update(
            "denoiser",
            {"denoiser": "@network"},
            training_parts.adam("$@network.parameters()", "@learning_rates#denoiser"),
            "$@objective.denoiser_loss",
        )
    ]


PRECONDITIONED: Config = {"preconditioned": "$@prediction == 'flow'"}
"""Option of the network of a training: weights of before do not have it."""


def measuring(
    network: str = "@network", channels: str | None = "@sample_channels", prepare: str | None = None
) -> Config:
    """Handler that measures the training set for a network that is preconditioned by it."""
    return {
        "_target_": "tools.engines.preconditioning.MeasureSamples",
        "_disabled_": "$not @preconditioned",
        "preconditioning": f"${network}.preconditioning",
        "data": "@train#dataset",
        **({} if channels is None else {"channels": channels}),
        **({} if prepare is None else {"prepare": prepare}),
    }


def handlers(measuring: Config) -> list[Config]:
    """Those of every training, with one that follows the checkpoints'."""
    checkpoints, *others = training_parts.training_handlers()
    return [checkpoints, measuring, *others]


def training(inferer: Config, measuring: Config) -> Config:
    """The section `train` from the sampler on, with the handler of `measuring`."""
    return {
        "inferer": inferer,
        "updates": updates(),
        "handlers": handlers(measuring),
        "trainer": training_parts.trainer(
            ema="@ema",
            max_epochs="$@max_epochs if @iterations is None else "
            "epochs_for(@iterations, len(@train#dataset), @batch_size)",
        ),
    }
