"""`train.json` of every method."""

from __future__ import annotations

from copy import deepcopy

from tools.catalogue import parts, training_parts
from tools.catalogue.diffusion.entry import prepare_noise
from tools.catalogue.parts import Config
from tools.catalogue.volume_gan.entry import (
    NETWORKS,
    VolumeGANBundle,
    discriminator,
    encoder,
    latent_from_seed,
    network,
)
from tools.catalogue.volume_gan.metadata import metadata

OPTIONS = tuple(option for option in training_parts.TRAINING_OPTIONS if option != "window")


def train(bundle: VolumeGANBundle) -> Config:
    samples, method = bundle.samples, deepcopy(bundle.method)  # pieces of it become the config's, which may be changed
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
        **training_parts.scales(**bundle.scales),
        **samples.ids,
        "fitting_size": "$doublable(@volume_size)",
        "iterations": None,
        "phantoms": samples.phantoms,
        "data_dir": samples.data_dir,
        "train_data": samples.files("training"),
        "val_data": f"$with_seeds({samples.files('validation')[1:]})",
        "cache_dir": "$@bundle_root + '/cache'",
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
            *OPTIONS,
            *samples.checked,
            *("latent_dim", "base_channels", "ema_decay", "learning_rates", "iterations", "implementation"),
            *method.sizes[2:],
            *(("code_channels",) if method.codes else ()),
            *method.options,
        ),
        **samples.described,
        **samples.reading,
        "network_def": network(bundle),
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
        "provenance": "$data_provenance(@data_dir, @train#dataset.data, "
        f"{samples.fields_of_view.replace('@volumes', '@train#dataset')})",
        "settings": {
            "bundle": bundle.name,
            "version": metadata(bundle)["version"],
            "image_size": "@image_size",
            **{id: f"@{id}" for id in (*samples.kept, *method.sizes, "seed", "batch_size", "precision")},
            "data": "@provenance",
        },
        "train": {
            "preprocessing": samples.preprocessing,
            "dataset": samples.dataset("$enough_for_a_batch(@train_data, @batch_size)"),
            "sampler": training_parts.sampler("torch.utils.data.DistributedSampler"),
            "dataloader": training_parts.training_loader(),
            "inferer": {"_target_": "tools.engines.generation.OneByOneInferer"},
            "updates": list(method.updates),
            "handlers": training_parts.training_handlers(),
            "trainer": training_parts.trainer(
                ema="$[@ema, @encoder_ema]" if method.encoder else "@ema",
                compile="@compile",
                max_epochs="$@max_epochs if @iterations is None else "
                "epochs_for(@iterations, len(@train#dataset), @batch_size)",
            ),
        },
        "validate": {
            **training_parts.validation_data(
                latent_from_seed(bundle), samples.dataset("@val_data", "@validate#preprocessing")
            ),
            "distances": {
                "_target_": "tools.evaluation.handlers.FeatureDistances",
                "features": {"_target_": "tools.features.untrained.UntrainedFeatures"},
                "output_transform": samples.compared,
            },
            **training_parts.validation_of_samples("$@ema.module", prepare_noise(), samples.names),
        },
        **training_parts.start_training(),
    }


def average(network: str) -> Config:
    return {
        "_target_": "tools.engines.ema.ExponentialMovingAverage",
        "network": network,
        "decay": "@ema_decay",
    }
