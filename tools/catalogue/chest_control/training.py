"""`train.json`."""

from __future__ import annotations

from tools.catalogue import denoising_parts, parts, training_parts
from tools.catalogue.chest_control.entry import (
    CONDITIONS,
    NETWORK,
    SAMPLE,
    ControlBundle,
    definitions,
    guided,
    prepare,
)
from tools.catalogue.chest_control.metadata import metadata
from tools.catalogue.chest_flow.entry import CONDITIONS as OF_VIEWS
from tools.catalogue.chest_flow.entry import PAPER, PHANTOM, PHANTOM_SHAPE, noise_from_seed, tell
from tools.catalogue.diffusion.entry import MOVED, STEPS, UNIFORM_SIDE, labelled_volumes, sample_channels, scheduler
from tools.catalogue.parts import Config

OPTIONS = tuple(option for option in training_parts.TRAINING_OPTIONS if option != "window")
"""Those of every training: the image has its own scale here."""


def train(bundle: ControlBundle) -> Config:
    return {
        **training_parts.where_training_writes(bundle.name),
        **training_parts.scales(
            phantom={**PHANTOM, "max_epochs": 100, "batch_size": 4, "val_interval": 50, "num_workers": 0},
            paper={**PAPER, "max_epochs": 300, "batch_size": 2, "val_interval": 10, "num_workers": 2},
        ),
        "volume_size": "$[@image_size] * 3",
        "iterations": None,
        "images": bundle.images,
        "labels": dict(bundle.labels),
        "control": "controlnet",
        "denoiser_path": None,
        "whole": 0.5,
        "num_res_blocks": 1,
        "patch": 2,
        "preconditioned": "$@denoiser_path is None or model_settings(@denoiser_path, {}).get('preconditioned', False)",
        "regions": "$3 if @denoiser_path is None else int(model_settings(@denoiser_path, {}).get('regions', 1))",
        "components": "$model_settings(@denoiser_path, {}).get('components', 0) if @denoiser_path else 0",
        "uniform_side": f"${UNIFORM_SIDE} if @denoiser_path is None else "
        "model_settings(@denoiser_path, {}).get('uniform_side')",
        "steps": STEPS,
        "phantoms": {"count": 24, "seed": 0, "shape": list(PHANTOM_SHAPE)},
        "data_dir": "$dataset_or_phantoms(@dataset_dir, @bundle_root + '/phantoms', write_msd_phantoms, task='chest', "
        "**@phantoms)",
        "data_record": "$labelled_dataset(@data_dir)",
        "train_data": files("training"),
        "val_data": f"$with_seeds({files('validation')[1:]})",
        "cache_dir": "$@bundle_root + '/cache'",
        "precision": "fp32",
        "accumulation": 1,
        "half_life": 10000,
        "ramp_up": 0.05,
        "learning_rates": dict.fromkeys(("denoiser", "control"), "$0.0004 if @dataset_dir is None else 0.0001"),
        "betas": [0.9, 0.999],
        "resume": None,
        "save_interval": 1,
        **parts.check(
            *OPTIONS,
            *("volume_size", "network_channels", "num_res_blocks", "patch", "preconditioned", "regions", "control"),
            *("components", "uniform_side"),
            *("iterations", "steps", "half_life", "ramp_up", "learning_rates", "whole"),
        ),
        "sample_channels": sample_channels(),
        **definitions(),
        "network": "$with_denoiser(@network_def, @denoiser_path).to(@device)",
        "denoiser": "$@network.denoiser",
        "learner": "$@network.control if @control == 'controlnet' else @network.denoiser",
        "is_alone": "$@control == 'controlnet' and @denoiser_path is None",
        "ema": average("@learner"),
        "ema_denoiser": {**average("@denoiser"), "_disabled_": "$not @is_alone"},
        "averaged": guided(
            "$@ema.module if @control == 'concatenation' else @ema_denoiser.module if @is_alone else @denoiser",
            "$@ema.module if @control == 'controlnet' else None",
        ),
        "scheduler": scheduler(**MOVED),
        "views": {
            "_target_": "tools.engines.views.RandomViews",
            "sizes": "$[divisible([n] * 3, len(@network_channels), @patch)[0] for n in @sizes]",
            "whole": "@whole",
            "channels": "@sample_channels",
        },
        "objective": {
            "_target_": "tools.losses.diffusion.DiffusionObjective",
            "network": "@network",
            "scheduler": scheduler(),
            "prepare": "@views",
            "conditions": dict(CONDITIONS),
        },
        "without_labels": {
            "_target_": "tools.losses.diffusion.DiffusionObjective",
            "network": "@denoiser",
            "scheduler": scheduler(),
            "conditions": dict(OF_VIEWS),
        },
        "models": {"model": "@averaged"},
        "provenance": "$data_provenance(@data_dir, @train#dataset.data, @train#dataset.fields_of_view())",
        "settings": {
            "bundle": bundle.name,
            "version": metadata(bundle)["version"],
            **{id: f"@{id}" for id in ("image_size", *NETWORK, *SAMPLE, "sizes", "seed", "batch_size", "precision")},
            "data": "@provenance",
        },
        "train": {
            "preprocessing": {
                "_target_": "tools.transforms.sample_volumes.sample_volumes",
                "channels": "@sample_channels",
                "image_size": "$divisible(@volume_size, len(@network_channels), @patch)",
                "modality": "CT",
            },
            "dataset": labelled_volumes("$enough_for_a_batch(@train_data, @batch_size)"),
            "sampler": training_parts.sampler("torch.utils.data.DistributedSampler"),
            "dataloader": training_parts.training_loader(),
            "inferer": denoising_parts.sampler(),
            "updates": [
                {
                    **training_parts.update(
                        "denoiser",
                        {"denoiser": "@denoiser"},
                        training_parts.adam("$@denoiser.parameters()", "@learning_rates#denoiser"),
                        "$@without_labels.denoiser_loss",
                    ),
                    "_disabled_": "$not @is_alone",
                },
                training_parts.update(
                    "control",
                    {"control": "@learner"},
                    training_parts.adam("$@learner.parameters()", "@learning_rates#control"),
                    "$@objective.denoiser_loss",
                ),
            ],
            "handlers": denoising_parts.handlers(denoising_parts.measuring("@denoiser", channels=None)),
            "trainer": training_parts.trainer(
                ema="$[@ema, *([@ema_denoiser] if @is_alone else [])]",
                max_epochs="$@max_epochs if @iterations is None else "
                "epochs_for(@iterations, len(@train#dataset), @batch_size)",
            ),
        },
        "validate": {
            **training_parts.validation_data(
                parts.compose(noise_from_seed("@volume_size"), tell("@volume_size"), labels()),
                told("@val_data"),
            ),
            "postprocessing": {"_target_": "Lambdad", "keys": "pred", "func": "$lambda sample: sample.clamp(-1, 1)"},
            "key_metric": {"fid": "$@validate#distances['fid']"},
            "additional_metrics": {"mmd": "$@validate#distances['mmd']"},
            "handlers": training_parts.validation_handlers(),
            "evaluator": training_parts.validator(
                "@averaged", prepare_batch=prepare(), postprocessing="@validate#postprocessing"
            ),
        },
        **training_parts.start_training(),
    }


def files(section: str) -> str:
    return f"$case_datalist(@data_record, @data_dir, '{section}', [*@sample_channels.images], labelled=True)"


def told(data: str) -> Config:
    """A dataset of volumes with all that the network is given to make them again."""
    return {"_target_": "Dataset", "data": labelled_volumes(data), "transform": "@validate#preprocessing"}


def labels() -> Config:
    return {"_target_": "tools.transforms.label_maps.LabelChannelsd", "keys": "label", "channels": "@sample_channels"}


def average(network: str) -> Config:
    return {
        "_target_": "tools.engines.ema.ExponentialMovingAverage",
        "network": network,
        "half_life": "@half_life",
        "ramp_up": "@ramp_up",
    }
