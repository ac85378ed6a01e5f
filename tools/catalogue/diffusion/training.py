"""`train.json`."""

from __future__ import annotations

from tools.catalogue import denoising_parts, parts, training_parts
from tools.catalogue.diffusion.entry import (
    MOVED,
    NETWORK,
    SAMPLE,
    STEPS,
    UNIFORM_SIDE,
    VOLUME_SIZE,
    WIDTHS,
    JointBundle,
    labelled_volumes,
    network,
    noise_from_seed,
    prepare_noise,
    sample_channels,
)
from tools.catalogue.diffusion.metadata import metadata
from tools.catalogue.parts import Config

OPTIONS = tuple(option for option in training_parts.TRAINING_OPTIONS if option != "window")
"""Those of every training: each image has its own scale here."""


def train(bundle: JointBundle) -> Config:
    return {
        **training_parts.where_training_writes(bundle.name),
        **training_parts.scales(
            phantom={
                "image_size": bundle.phantom_size,
                "patch": 2,
                "max_epochs": 600,
                "batch_size": 8,
                "val_interval": 200,
                "save_interval": 50,
                "num_workers": 0,
            },
            paper={
                "image_size": bundle.image_size,
                "patch": 1,
                "max_epochs": 200,
                "batch_size": 4,
                "val_interval": 20,
                "save_interval": 1,
                "num_workers": 2,
            },
        ),
        "volume_size": VOLUME_SIZE,
        "iterations": None,
        "images": dict(bundle.images),
        "labels": bundle.labels,
        "network_channels": list(WIDTHS),
        "num_res_blocks": 1,
        "prediction": "flow",
        **denoising_parts.PRECONDITIONED,
        "components": "$16 if @preconditioned else 0",
        "uniform_side": f"${UNIFORM_SIDE} if @prediction == 'flow' else None",
        "sampler": None,
        "steps": STEPS,
        "phantoms": {"count": 24, "seed": 0, "shape": list(bundle.phantom_shape)},
        "data_dir": "$dataset_or_phantoms(@dataset_dir, @bundle_root + '/phantoms', write_msd_phantoms, "
        f"task='{bundle.phantoms}', **@phantoms)",
        "train_data": files(bundle, "training"),
        "val_data": f"$with_seeds({files(bundle, 'validation')[1:]})",
        "cache_dir": "$@bundle_root + '/cache'",
        "precision": "fp32",
        "accumulation": 1,
        "half_life": 10000,
        "ramp_up": 0.05,
        "label_weight": 1.0,
        "augment": 0.0,
        "learning_rates": {"denoiser": "$0.001 if @dataset_dir is None else 0.0002"},
        "betas": [0.9, 0.999],
        "resume": None,
        **parts.check(
            *OPTIONS,
            *NETWORK,
            "iterations",
            "prediction",
            "sampler",
            "steps",
            "half_life",
            "ramp_up",
            "learning_rates",
            "label_weight",
            "augment",
        ),
        "sample_channels": sample_channels(),
        "network_def": network(),
        "network": "$@network_def.to(@device)",
        "ema": denoising_parts.average(),
        "scheduler": denoising_parts.scheduler(**MOVED),
        "changes": {"_target_": "tools.engines.views.RandomChanges", "share": "@augment"},
        "objective": {
            "_target_": "tools.losses.diffusion.DiffusionObjective",
            "network": "@network",
            "scheduler": denoising_parts.scheduler(),
            "channels": "@sample_channels",
            "label_weight": "@label_weight",
            "prepare": "@changes",
        },
        "models": {"model": "$@ema.module"},
        "provenance": "$data_provenance(@data_dir, @train#dataset.data, @train#dataset.fields_of_view())",
        "settings": {
            "bundle": bundle.name,
            "version": metadata(bundle)["version"],
            **{
                id: f"@{id}"
                for id in ("image_size", *NETWORK, "prediction", *SAMPLE, "seed", "batch_size", "precision")
            },
            "data": "@provenance",
        },
        "train": {
            "preprocessing": {
                "_target_": "tools.transforms.sample_volumes.sample_volumes",
                "channels": "@sample_channels",
                "image_size": "$divisible(@volume_size, len(@network_channels), @patch)",
                "modality": bundle.modality,
            },
            "dataset": labelled_volumes("$enough_for_a_batch(@train_data, @batch_size)"),
            "sampler": training_parts.sampler("torch.utils.data.DistributedSampler"),
            "dataloader": training_parts.training_loader(),
            **denoising_parts.training(denoising_parts.sampler(), denoising_parts.measuring(prepare="@changes")),
        },
        "validate": {
            **training_parts.validation_data(
                noise_from_seed(),
                {
                    "_target_": "Dataset",
                    "data": labelled_volumes("@val_data"),
                    "transform": "@validate#preprocessing",
                },
            ),
            "distances": {
                "_target_": "tools.evaluation.handlers.FeatureDistances",
                "features": {"_target_": "tools.features.untrained.UntrainedFeatures"},
                "output_transform": "$lambda output: tuple([item[key][:1] for item in output] "
                "for key in ('pred', 'label'))",
            },
            **training_parts.validation_of_samples(
                "$@ema.module", prepare_noise(), {"names": "$@sample_channels.names"}
            ),
        },
        **training_parts.start_training(),
    }


def files(bundle: JointBundle, section: str) -> str:
    return f"$case_datalist({bundle.record}, @data_dir, '{section}', [*@sample_channels.images], labelled=True)"
