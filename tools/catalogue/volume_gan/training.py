"""`train.json` of every method."""

from __future__ import annotations

from copy import deepcopy

from tools.catalogue import parts, training_parts, volume_maker
from tools.catalogue.parts import Config
from tools.catalogue.volume_gan.entry import NETWORKS, VolumeGANBundle, discriminator, encoder, maker
from tools.catalogue.volume_gan.metadata import metadata


def train(bundle: VolumeGANBundle) -> Config:
    samples, making = bundle.samples, maker(bundle)
    method = deepcopy(bundle.method)  # pieces of it become the config's, which may be changed
    others = {"discriminator": discriminator(bundle, **method.discriminator)}
    if method.encoder:
        others["encoder"] = encoder(bundle)
    if method.codes:
        others["code_discriminator"] = {
            "_target_": f"{NETWORKS}.CodeDiscriminator",
            "latent_dim": "@latent_dim",
            "hidden_channels": "@code_channels",
            "norm": method.discriminator["norm"],
        }
    labelled = {"channels": samples.channels, **method.labelled_loss} if bundle.labels else {}
    return {
        **training_parts.where_training_writes(bundle.name),
        **training_parts.scales(phantom=bundle.phantom, paper=bundle.paper),
        **samples.ids,
        "fitting_size": "$doublable(@volume_size)",
        "iterations": None,
        **volume_maker.data_of_training(bundle),
        "precision": "fp32",
        "implementation": "optimised",
        "compile": False,
        "accumulation": 1,
        "ema_decay": 0.999,
        **method.options,
        "learning_rates": method.learning_rates,
        "betas": list(method.betas),
        "resume": None,
        "save_interval": 1,
        **parts.check(
            *volume_maker.OPTIONS,
            *samples.checked,
            *("latent_dim", "base_channels", "ema_decay", "learning_rates", "iterations", "implementation"),
            *method.sizes[2:],
            *(("code_channels",) if method.codes else ()),
            *method.options,
        ),
        **samples.described,
        **samples.reading,
        "network_def": making.network,
        **{f"{name}_def": definition for name, definition in others.items()},
        "network": "$set_implementation(@network_def, @implementation).to(@device)",
        **{name: f"$set_implementation(@{name}_def, @implementation).to(@device)" for name in others},
        "ema": average("@network"),
        **({"encoder_ema": average("@encoder")} if method.encoder else {}),
        "objective": {
            "_target_": f"tools.losses.{method.objective}",
            "generator": "@network",
            **{name: f"@{name}" for name in others},
            **labelled,
            **method.loss_options,
        },
        "models": {"model": "$@ema.module", **({"encoder": "$@encoder_ema.module"} if method.encoder else {})},
        **volume_maker.provenance(bundle),
        **(private_training() if method.private else {}),
        **settings(bundle),
        "train": {
            **volume_maker.reading(bundle),
            "dataloader": training_parts.training_loader() | (PRIVATE_BATCHES if method.private else {}),
            "inferer": making.inferer,
            "updates": list(method.updates),
            "handlers": training_parts.training_handlers(),
            "trainer": training_parts.trainer(
                ema="$[@ema, @encoder_ema]" if method.encoder else "@ema",
                compile="@compile",
                max_epochs=f"${EPOCHS}",
            ),
        },
        "validate": volume_maker.validation(bundle, making),
        **training_parts.start_training(),
    }


EPOCHS = "@max_epochs if @iterations is None else epochs_for(@iterations, len(@train#dataset), @batch_size)"

PRIVATE_BATCHES = {
    "sampler": "$@train#sampler if @private is None else None",
    "batch_size": "$@batch_size if @private is None else 1",
    "drop_last": "$@private is None and full_batches(@train#sampler, @batch_size)",
    "batch_sampler": "$None if @private is None else @private.batches",
}
"""What a loader has otherwise where the training may be private: batches are then the sampler's."""


def private_training() -> Config:
    """Privacy of the discriminator's update, None without an epsilon."""
    return {
        "private": {
            "_target_": "tools.engines.private_training.PrivateTraining",
            "_disabled_": "$@epsilon is None",
            "epsilon": "@epsilon",
            "delta": "@delta",
            "max_norm": "@max_norm",
            "people": "$len(@train#dataset)",
            "subjects": "$len(@provenance['subjects'])",
            "batch_size": "@batch_size",
            "epochs": f"${EPOCHS}",
            "rows": "@objective#rows",
        }
    }


def settings(bundle: VolumeGANBundle) -> Config:
    """What weights say of how they were trained, also how private that was."""
    said = volume_maker.settings(bundle, metadata(bundle)["version"], maker(bundle))
    if bundle.method.private:
        said["settings"]["privacy"] = "$None if @private is None else @private.statement"
    return said


def average(network: str) -> Config:
    return {
        "_target_": "tools.engines.ema.ExponentialMovingAverage",
        "network": network,
        "decay": "@ema_decay",
    }
