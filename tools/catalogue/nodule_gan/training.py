"""`train.json`."""

from __future__ import annotations

from tools.catalogue import parts, training_parts
from tools.catalogue.nodule_gan.entry import (
    MIDDLE,
    PAPER,
    PHANTOM,
    SHAPE,
    NoduleBundle,
    crops,
    inferer,
    network,
    phantoms,
    sample_channels,
)
from tools.catalogue.nodule_gan.metadata import metadata
from tools.catalogue.parts import Config

OPTIONS = tuple(option for option in training_parts.TRAINING_OPTIONS if option != "window")
"""Those of every training: the window is the image's scale here."""


def train(bundle: NoduleBundle) -> Config:
    return {
        **training_parts.where_training_writes(bundle.name),
        **training_parts.scales(
            phantom={
                **PHANTOM,
                "max_epochs": 40,
                "batch_size": 4,
                "val_interval": 10,
                "save_interval": 10,
                "num_workers": 0,
            },
            paper={
                **PAPER,
                "max_epochs": 200,
                "batch_size": 16,
                "val_interval": 10,
                "save_interval": 1,
                "num_workers": 2,
            },
        ),
        "images": bundle.images,
        "labels": bundle.labels,
        "validation_subsets": [9],
        **phantoms(),
        "train_data": nodules("training"),
        "val_data": f"$with_seeds({nodules('validation')[1:]})",
        "cache_dir": "$@bundle_root + '/cache'",
        "precision": "fp32",
        "compile": False,
        "accumulation": 1,
        "learning_rates": {"generator": 0.0002, "discriminator": 0.0002},
        "betas": [0.5, 0.999],
        "resume": None,
        **parts.check(*OPTIONS, *SHAPE, "margins", "discriminator_channels", "learning_rates"),
        "sample_channels": sample_channels(),
        "network_def": network(),
        "discriminator_def": {
            "_target_": "PatchDiscriminator",
            "spatial_dims": 3,
            "in_channels": 3,
            "channels": "@discriminator_channels",
            "num_layers_d": 2,
            "norm": "INSTANCE",
            "bias": True,
        },
        "network": "$@network_def.to(@device)",
        "discriminator": "$@discriminator_def.to(@device)",
        "objective": {
            "_target_": "tools.losses.nodule_gan.NoduleGANObjective",
            "generator": "@network",
            "discriminator": "@discriminator",
            "spacing": "@voxel_size",
            "margin": "@margins",
            "l1_weight": 10.0,
            "flip": 0.5,
        },
        "models": {"model": "@network"},
        "provenance": "$data_provenance(@data_dir, @train#dataset.data, [[@image_size * @voxel_size] * 3])",
        "settings": {
            "bundle": bundle.name,
            "version": metadata(bundle)["version"],
            **{id: f"@{id}" for id in (*SHAPE, "margins", "images", "labels", "seed", "batch_size", "precision")},
            "volume_size": "$[@image_size] * 3",
            "diameters": "$diameter_range(@train#dataset.data)",
            "data": "@provenance",
        },
        "train": {
            "preprocessing": {
                "_target_": "tools.transforms.crops.nodule_crops",
                "channels": "@sample_channels",
                "size": "@image_size",
                "spacing": "@voxel_size",
            },
            "dataset": crops("$enough_for_a_batch(@train_data, @batch_size)"),
            "sampler": training_parts.sampler("torch.utils.data.DistributedSampler"),
            "dataloader": training_parts.training_loader(),
            "inferer": inferer(),
            "updates": [learn("generator", "@network"), learn("discriminator", "@discriminator")],
            "handlers": training_parts.training_handlers(),
            "trainer": training_parts.trainer(compile="@compile"),
        },
        "validate": {
            **training_parts.validation_data(
                {
                    "_target_": "tools.transforms.nodules.AskForPaintingd",
                    "spacing": "@voxel_size",
                    "margin": MIDDLE,
                },
                {"_target_": "Dataset", "data": crops("@val_data"), "transform": "@validate#preprocessing"},
            ),
            "key_metric": {"fid": "$@validate#distances['fid']"},
            "additional_metrics": {"mmd": "$@validate#distances['mmd']"},
            "handlers": training_parts.validation_handlers(),
            "evaluator": training_parts.validator("@network"),
        },
        **training_parts.start_training(),
    }


def nodules(section: str) -> str:
    """Expression for the nodules of a section that a crop shows with their margins."""
    found = f"nodule_datalist(@data_dir, '{section}', @validation_subsets)"
    return f"$paintable({found}, @image_size, @voxel_size, @margins)"


def learn(name: str, network: str) -> Config:
    """An update of one network by the loss of its name."""
    optimizer = training_parts.adam(f"${network}.parameters()", f"@learning_rates#{name}")
    return training_parts.update(name, {name: network}, optimizer, f"$@objective.{name}_loss")
