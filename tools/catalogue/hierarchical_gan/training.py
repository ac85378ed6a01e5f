"""`train.json` of both methods."""

from __future__ import annotations

from copy import deepcopy

from tools.catalogue import parts, training_parts
from tools.catalogue.hierarchical_gan.metadata import metadata
from tools.catalogue.hierarchical_gan.method import (
    NETWORKS,
    SHAPE,
    VolumeBundle,
    cube_dataset,
    encoder,
    generator,
    prepare_latents,
)
from tools.catalogue.parts import Config


def train(bundle: VolumeBundle) -> Config:
    data = bundle.data
    method = deepcopy(bundle.method)  # pieces of it become the config's, which may be changed
    labelled = "with_labels(@{}_files, @labels, @num_classes) if @num_classes > 0 else @{}_files"
    return {
        **training_parts.where_training_writes(bundle.name),
        **training_parts.scales(
            phantom={"image_size": 64, "max_epochs": 4, "batch_size": 4, "val_interval": 4, "num_workers": 0},
            paper={"image_size": 256, "max_epochs": 80, "batch_size": 4, "val_interval": 5, "num_workers": 2},
        ),
        "iterations": None,
        "latent_dim": 1024,
        "base_channels": 32,
        "discriminator_channels": 512,
        **method.widths,
        "num_classes": 0,
        "window": list(data.window),
        **data.options,
        "phantoms": {
            "count": 24,
            "seed": 0,
            "shape": list(data.phantom_shape),
            data.classes: "$'half' if @num_classes > 0 else 'none'",
        },
        "data_dir": "$dataset_or_phantoms(@dataset_dir, @bundle_root + '/phantoms' + "
        f"('_{data.classes}' if @num_classes > 0 else ''), {data.write_phantoms}, **@phantoms)",
        "labels": "$os.path.join(@data_dir, 'labels.csv')",
        "train_files": data.files("training"),
        "val_files": data.files("validation"),
        "train_data": "$" + labelled.format("train", "train"),
        "val_data": f"$with_seeds({labelled.format('val', 'val')})",
        "cache_dir": "$@bundle_root + '/cache'",
        "precision": "fp32",
        **training_parts.renamed("plain", "'optimised'", "{True: 'reference', False: 'optimised'}"),
        **method.computing,
        "compile": False,
        "accumulation": 1,
        "ema_decay": 0.999,
        **method.options,
        "learning_rates": method.learning_rates,
        "betas": [0.0, 0.999],
        "resume": None,
        "save_interval": 1,
        **parts.check(
            *training_parts.TRAINING_OPTIONS,
            *("latent_dim", "base_channels", "discriminator_channels", "num_classes", "ema_decay", "learning_rates"),
            *("iterations", "implementation"),
            *method.widths,
            *method.options,
        ),
        "network_def": generator(method),
        "discriminator_def": {
            "_target_": f"{NETWORKS}.{method.discriminator}",
            "image_size": "@image_size",
            "channels": "@discriminator_channels",
            "num_classes": "@num_classes",
        },
        "encoder_def": encoder(),
        **{f"{name}_def": definition for name, definition in method.networks.items()},
        "network": "$set_implementation(@network_def, @implementation).to(@device)",
        "discriminator": "$set_implementation(@discriminator_def, @implementation).to(@device)",
        "encoder": "$set_implementation(@encoder_def, @implementation).to(@device)",
        **method.ready,
        "ema": {
            "_target_": "tools.engines.ema.ExponentialMovingAverage",
            "network": "@network",
            "decay": "@ema_decay",
        },
        "objective": {
            "_target_": f"tools.losses.{method.objective}",
            "generator": "@network",
            "discriminator": "@discriminator",
            "encoder": "@encoder",
            **{name: f"@{name}" for name in method.networks},
            "latent_dim": "@latent_dim",
            **method.loss_options,
            "discriminator_class_weight": 1.0,
            "generator_class_weight": 0.1,
            **method.loss_computing,
        },
        "models": {"model": "$@ema.module", **method.models},
        "cubes": {
            "_target_": "tools.data.cubes.Cubes",
            "kind": data.dataset.modality,
            "dataset_dir": "@data_dir",
            "image_size": "@image_size",
            "window": "@window",
            "cache_dir": "@cache_dir",
            "num_workers": "@num_workers",
        },
        "provenance": "$data_provenance(@data_dir, @train#dataset.data, @cubes.fields_of_view(@train#dataset))",
        "settings": {
            "bundle": bundle.name,
            "version": metadata(bundle)["version"],
            **{id: f"@{id}" for id in SHAPE[:3]},
            **{id: f"@{id}" for id in method.widths},
            **{id: f"@{id}" for id in ("num_classes", "window", "seed", "batch_size", "precision")},
            "data": "@provenance",
        },
        "train": {
            "preprocessing": "$@cubes.transform",
            "dataset": cube_dataset("$enough_for_a_batch(@train_data, @batch_size)"),
            "sampler": training_parts.sampler("torch.utils.data.DistributedSampler"),
            "dataloader": training_parts.training_loader(),
            "inferer": {"_target_": "tools.engines.generation.OneByOneInferer"},
            "updates": [
                learn("discriminator", "@discriminator"),
                learn("generator", "@network"),
                *method.updates,
            ],
            "handlers": training_parts.training_handlers(),
            "trainer": training_parts.trainer(
                ema="@ema",
                compile="@compile",
                max_epochs="$@max_epochs if @iterations is None else "
                "epochs_for(@iterations, len(@train#dataset), @batch_size)",
            ),
        },
        "validate": {
            **training_parts.validation_data(
                parts.latent_from_seed(), cube_dataset("@val_data", transform="@validate#preprocessing")
            ),
            "key_metric": {"fid": "$@validate#distances['fid']"},
            "additional_metrics": {"mmd": "$@validate#distances['mmd']"},
            "handlers": training_parts.validation_handlers(),
            "evaluator": training_parts.validator("$@ema.module", prepare_batch=prepare_latents()),
        },
        **training_parts.start_training(),
    }


def learn(name: str, network: str, **more: str) -> Config:
    """An update of one network by the loss of its name."""
    rate = f"@learning_rates#{name}"
    optimizer = training_parts.adam(f"${network}.parameters()", rate, fused=training_parts.OPTIMISED)
    return training_parts.update(name, {name: network}, optimizer, f"$@objective.{name}_loss", **more)
