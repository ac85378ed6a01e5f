"""`train.json`: an autoencoder, by the section ``compress``, then a denoiser of its latents, by ``train``."""

from __future__ import annotations

from typing import Any

from tools.catalogue import denoising_parts, parts, training_parts
from tools.catalogue.diffusion.entry import prepare_noise
from tools.catalogue.latent_diffusion.entry import (
    LATENT_CHANNELS,
    PHANTOM_WIDTHS,
    SIZES,
    STEPS,
    WIDTHS,
    LatentBundle,
    networks,
    noise_from_seed,
    noise_shape,
    sampler,
    schedule,
)
from tools.catalogue.latent_diffusion.metadata import metadata
from tools.catalogue.parts import Config

OPTIONS = tuple(option for option in training_parts.TRAINING_OPTIONS if option != "window")


def train(bundle: LatentBundle) -> Config:
    samples = bundle.samples
    return {
        **training_parts.where_training_writes(bundle.name),
        **training_parts.scales(
            phantom={
                "image_size": bundle.phantom_size,
                **PHANTOM_WIDTHS,
                "autoencoder_epochs": 20,
                "adversarial_start": 10,
                "max_epochs": 60,
                "batch_size": 4,
                "val_interval": 20,
                "num_workers": 0,
            },
            paper={
                "image_size": bundle.image_size,
                **WIDTHS,
                "autoencoder_epochs": bundle.autoencoder_epochs,
                "adversarial_start": bundle.autoencoder_epochs // 2,
                "max_epochs": bundle.max_epochs,
                "batch_size": bundle.batch_size,
                "val_interval": 20,
                "num_workers": 2,
            },
        ),
        **samples.ids,
        "fitting_size": "$divisible(@volume_size, len(@autoencoder_channels) + len(@network_channels) - 1, "
        "@autoencoder_patch)",
        "iterations": None,
        "autoencoder_patch": 1,
        "latent_channels": LATENT_CHANNELS,
        "codebook": 0,
        "num_res_blocks": 1,
        "prediction": "flow",
        "sampler": None,
        "steps": STEPS,
        "slab_length": 32,
        "phantoms": samples.phantoms,
        "data_dir": samples.data_dir,
        "train_data": samples.files("training"),
        "val_data": f"$with_seeds({samples.files('validation')[1:]})",
        "cache_dir": "$@bundle_root + '/cache'",
        "precision": "fp32",
        "accumulation": 1,
        "half_life": 10000,
        "ramp_up": 0.05,
        "loss_weights": {"kl": 0.001, "label": 1.0, "adversarial": 0.1, "feature": 1.0, "perceptual": 0.3},
        "medicalnet": None,
        "discriminator_channels": 32,
        "learning_rates": {"autoencoder": 0.0002, "discriminator": 0.0002, "denoiser": 0.0002},
        "betas": [0.9, 0.999],
        "resume": None,
        "save_interval": 1,
        **parts.check(
            *OPTIONS,
            *SIZES,
            *samples.checked,
            *(
                "iterations",
                "prediction",
                "sampler",
                "steps",
                "slab_length",
                "half_life",
                "ramp_up",
                "autoencoder_epochs",
                "adversarial_start",
            ),
            *("loss_weights", "discriminator_channels", "learning_rates"),
        ),
        **samples.described,
        **samples.reading,
        **noise_shape(),
        **networks(bundle),
        "discriminator_def": {
            "_target_": "PatchDiscriminator",
            "spatial_dims": 3,
            "channels": "@discriminator_channels",
            "in_channels": samples.number,
            "num_layers_d": 2,
            "norm": "INSTANCE",
        },
        "network": "$@network_def.to(@device)",
        "autoencoder": "$@network.autoencoder",
        "discriminator": "$@discriminator_def.to(@device)",
        "ema": denoising_parts.average("$@network.denoiser"),
        "average": {
            "_target_": "tools.networks.latent_diffusion.LatentDiffusion",
            "autoencoder": "@autoencoder",
            "denoiser": "$@ema.module",
        },
        "scheduler": schedule(),
        "volumes": samples.dataset("$enough_for_a_batch(@train_data, @batch_size)"),
        "objective": {
            "_target_": "tools.losses.autoencoder.AutoencoderObjective",
            "autoencoder": "@autoencoder",
            "discriminator": "@discriminator",
            "channels": samples.channels,
            "kl_weight": "@loss_weights#kl",
            "label_weight": "@loss_weights#label",
            "adversarial_weight": "@loss_weights#adversarial",
            "feature_weight": "@loss_weights#feature",
            "start": "@compress#judged_from",
            "perceptual": "$medicalnet_distance(@medicalnet, @device)",
            "perceptual_weight": "@loss_weights#perceptual",
        },
        "denoising": {
            "_target_": "tools.losses.diffusion.DiffusionObjective",
            "network": "$@network.denoiser",
            "scheduler": "@scheduler",
        },
        "models": {"model": "@average"},
        "provenance": f"$data_provenance(@data_dir, @volumes.data, {samples.fields_of_view})",
        "settings": {
            "bundle": bundle.name,
            "version": metadata(bundle)["version"],
            "image_size": "@image_size",
            **{id: f"@{id}" for id in (*samples.kept, *SIZES, "prediction", "seed", "batch_size", "precision")},
            "data": "@provenance",
        },
        "compress": compress(samples.channels, {"one_by_one": True} if bundle.one_by_one else {}),
        "train": {
            "preprocessing": samples.preprocessing,
            "dataset": {
                "_target_": "tools.engines.latents.LatentDataset",
                "data": "@volumes",
                "autoencoder": "@autoencoder",
                "channels": samples.channels,
            },
            "sampler": training_parts.sampler("torch.utils.data.DistributedSampler"),
            "dataloader": training_parts.training_loader(),
            "inferer": sampler(),
            "updates": [learn("denoiser", "$@network.denoiser", "$@denoising.denoiser_loss")],
            "handlers": [
                *training_parts.training_handlers({"autoencoder": "@autoencoder"}),
                {"_target_": "tools.engines.latents.EncodeVolumes", "latents": "@train#dataset"},
            ],
            "trainer": training_parts.trainer(
                draw="$@denoising.draw",
                ema="@ema",
                max_epochs="$@max_epochs if @iterations is None else "
                "epochs_for(@iterations, len(@train#dataset), @batch_size)",
            ),
        },
        "validate": {
            **training_parts.validation_data(
                noise_from_seed(), samples.dataset("@val_data", "@validate#preprocessing")
            ),
            "distances": {
                "_target_": "tools.evaluation.handlers.FeatureDistances",
                "features": {"_target_": "tools.features.untrained.UntrainedFeatures"},
                "output_transform": samples.compared,
            },
            **training_parts.validation_of_samples("@average", prepare_noise(), samples.names),
        },
        **start(),
    }


def compress(channels: str | None, ways: Config) -> Config:
    """The first stage: autoencoder and discriminator, judged by the absolute error of what is reconstructed.

    ``ways`` has further arguments of their updates.
    """
    places = {
        "directory": "$@ckpt_dir + '/autoencoder'",
        "models": {"autoencoder": "@autoencoder"},
        "evaluator": "@compress#evaluator",
        "resume": "$'auto' if @resume else None",
        "writer": "@compress#writer",
    }
    return {
        "writer": "$tensorboard_writer(@output_dir + '/autoencoder')",
        "sampler": {
            "_target_": "torch.utils.data.DistributedSampler",
            "dataset": "@volumes",
            "num_replicas": "@train#sampler#num_replicas",
            "rank": "@train#sampler#rank",
            "seed": "@seed",
        },
        "dataloader": {
            **training_parts.training_loader(),
            "dataset": "@volumes",
            "sampler": "@compress#sampler",
            "drop_last": "$full_batches(@compress#sampler, @batch_size)",
        },
        "judged_from": "$@adversarial_start * len(@compress#dataloader)",
        "updates": [
            learn("autoencoder", "@autoencoder", "$@objective.autoencoder_loss", **ways),
            learn(
                "discriminator",
                "@discriminator",
                "$@objective.discriminator_loss",
                start="@compress#judged_from",
                **ways,
            ),
        ],
        "handlers": training_parts.training_handlers(places=places),
        "trainer": training_parts.trainer(
            train_data_loader="@compress#dataloader",
            network="@autoencoder",
            updates="@compress#updates",
            draw="$@objective.draw",
            max_epochs="@autoencoder_epochs",
            handlers="@compress#handlers",
        ),
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@validate#dataloader",
            "network": "@autoencoder",
            "prepare_batch": {"_target_": "tools.engines.samples.PrepareSamples", "channels": channels},
            "key_val_metric": {
                "mae": {
                    "_target_": "MeanAbsoluteError",
                    "output_transform": "$monai.handlers.from_engine(['pred', 'label'])",
                }
            },
            "metric_cmp_fn": "$is_smaller",
            "val_handlers": training_parts.logs_of_validation(
                {"beside": {"label": [-1, 1]}, "tag": "reconstructions"}, writer="@compress#writer"
            ),
        },
    }


def learn(name: str, network: str, loss: str, **more: Any) -> Config:
    parameters = f"${network.lstrip('$')}.parameters()"
    return training_parts.update(
        name, {name: network}, training_parts.adam(parameters, f"@learning_rates#{name}"), loss, **more
    )


def start() -> Config:
    """Both stages, one after the other: the folders are locked for each."""
    started = training_parts.start_training()
    check, lock, *rest = started["run"]
    return started | {"run": [check, lock, "$@compress#trainer.run()", lock, *rest]}
