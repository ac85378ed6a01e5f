"""`train.json`."""

from __future__ import annotations

from tools.catalogue import denoising_parts, parts, training_parts
from tools.catalogue.chest_flow.entry import (
    CONDITIONS,
    NETWORK,
    PAPER,
    PHANTOM,
    WINDOW,
    ChestBundle,
    cube_dataset,
    network,
    noise_from_seed,
    phantoms,
    prepare_noise,
    tell,
)
from tools.catalogue.chest_flow.metadata import metadata
from tools.catalogue.diffusion.entry import MOVED, STEPS, UNIFORM_SIDE, scheduler
from tools.catalogue.parts import Config


def train(bundle: ChestBundle) -> Config:
    labelled = "with_labels(@{}_files, @labels, @num_classes) if @num_classes > 0 else @{}_files"
    return {
        **training_parts.where_training_writes(bundle.name),
        **training_parts.scales(
            phantom={**PHANTOM, "max_epochs": 100, "batch_size": 4, "val_interval": 50, "num_workers": 0},
            paper={**PAPER, "max_epochs": 300, "batch_size": 2, "val_interval": 10, "num_workers": 2},
        ),
        "volume_size": "$[@image_size] * 3",
        "iterations": None,
        "whole": 0.5,
        "num_res_blocks": 1,
        "patch": 2,
        "preconditioned": True,
        "components": "$16 if @preconditioned and @regions == 3 else 0",
        "uniform_side": UNIFORM_SIDE,
        "regions": 3,
        "num_classes": 0,
        "drop_class": 0.1,
        "steps": STEPS,
        "window": list(WINDOW),
        "validation_subsets": list(bundle.dataset.validation_folds),
        **phantoms(),
        "labels": "$os.path.join(@data_dir, 'labels.csv')",
        "train_files": "$section_datalist('luna16', @data_dir, 'training', @validation_subsets)",
        "val_files": "$section_datalist('luna16', @data_dir, 'validation', @validation_subsets)",
        "train_data": "$" + labelled.format("train", "train"),
        "val_data": f"$with_seeds({labelled.format('val', 'val')})",
        "cache_dir": "$@bundle_root + '/cache'",
        "precision": "fp32",
        "accumulation": 1,
        "half_life": 10000,
        "ramp_up": 0.05,
        "learning_rates": {"denoiser": "$0.0004 if @dataset_dir is None else 0.0001"},
        "betas": [0.9, 0.999],
        "resume": None,
        "save_interval": 1,
        **parts.check(
            *training_parts.TRAINING_OPTIONS,
            *("volume_size", "network_channels", "num_res_blocks", "patch", "preconditioned", "regions", "num_classes"),
            *("components", "uniform_side"),
            *("iterations", "steps", "half_life", "ramp_up", "learning_rates", "whole", "drop_class"),
        ),
        "network_def": network(),
        "network": "$@network_def.to(@device)",
        "ema": denoising_parts.average(),
        "scheduler": scheduler(**MOVED),
        "views": {
            "_target_": "tools.engines.views.RandomViews",
            "sizes": "$[divisible([n] * 3, len(@network_channels), @patch)[0] for n in @sizes]",
            "whole": "@whole",
        },
        "objective": {
            "_target_": "tools.losses.diffusion.DiffusionObjective",
            "network": "@network",
            "scheduler": scheduler(),
            "num_classes": "@num_classes",
            "drop_class": "@drop_class",
            "prepare": "@views",
            "conditions": dict(CONDITIONS),
        },
        "models": {"model": "$@ema.module"},
        "cubes": {
            "_target_": "tools.data.cubes.Cubes",
            "kind": bundle.dataset.modality,
            "dataset_dir": "@data_dir",
            "image_size": "$cubic(divisible(@volume_size, len(@network_channels), @patch))",
            "window": "@window",
            "cache_dir": "@cache_dir",
            "num_workers": "@num_workers",
        },
        "provenance": "$data_provenance(@data_dir, @train#dataset.data, @cubes.fields_of_view(@train#dataset))",
        "settings": {
            "bundle": bundle.name,
            "version": metadata(bundle)["version"],
            **{id: f"@{id}" for id in ("image_size", *NETWORK, "window", "sizes", "seed", "batch_size", "precision")},
            "data": "@provenance",
        },
        "train": {
            # a volume's class, which the objective knows by that name
            "preprocessing": {"_target_": "CopyItemsd", "keys": "label", "names": "class", "allow_missing_keys": True},
            "dataset": cube_dataset("$enough_for_a_batch(@train_data, @batch_size)", transform="@train#preprocessing"),
            "sampler": training_parts.sampler("torch.utils.data.DistributedSampler"),
            "dataloader": training_parts.training_loader(),
            **denoising_parts.training(denoising_parts.sampler(), denoising_parts.measuring(channels=None)),
        },
        "validate": {
            **training_parts.validation_data(
                parts.compose(noise_from_seed("@volume_size"), tell("@volume_size")),
                cube_dataset("@val_data", transform="@validate#preprocessing"),
            ),
            **training_parts.validation_of_samples("$@ema.module", prepare_noise()),
        },
        **training_parts.start_training(),
    }
