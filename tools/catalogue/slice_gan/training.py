"""`train.json`."""

from __future__ import annotations

from tools.catalogue import parts, training_parts
from tools.catalogue.parts import Config
from tools.catalogue.slice_gan.entry import (
    CONDITION,
    GSP_FILES,
    PAPER,
    PHANTOM,
    TRAINED,
    ConditionBundle,
    inferer,
    network,
    phantoms,
    volumes,
)
from tools.catalogue.slice_gan.metadata import metadata


def train(bundle: ConditionBundle) -> Config:
    discriminator = {"image_size": "@image_size", "channels": "@discriminator_channels"}
    networks = "tools.networks.slice_gan"
    return {
        **training_parts.where_training_writes(bundle.name),
        **training_parts.scales(
            phantom={
                **PHANTOM,
                "discriminator_channels": 8,
                "max_epochs": 20,
                "batch_size": 8,
                "val_interval": 10,
                "save_interval": 10,
                "num_workers": 0,
            },
            paper={
                **PAPER,
                "discriminator_channels": 32,
                "max_epochs": 40,
                "batch_size": 8,
                "val_interval": 5,
                "save_interval": 1,
                "num_workers": 2,
            },
        ),
        "constant_epochs": "$@max_epochs // 2",
        "window": [0, 1000],
        "field_of_view": None,
        "slices": 3,
        "outer": 0.125,
        **phantoms(),
        "table": "$os.path.join(@data_dir, 'participants.csv')",
        "train_data": conditioned("training"),
        "val_data": f"$with_others_conditions({conditioned('validation')[1:]})",
        "cache_dir": "$@bundle_root + '/cache'",
        "precision": "fp32",
        "compile": False,
        "accumulation": 1,
        "learning_rates": {"slice_discriminator": 0.0001, "stack_discriminator": 0.0001, "generator": 0.0001},
        "betas": [0.5, 0.999],
        "resume": None,
        **parts.check(
            *training_parts.TRAINING_OPTIONS,
            *("constant_epochs", "slices", "outer", "channels", "discriminator_channels", "field_of_view"),
            *("condition_range", "learning_rates"),
        ),
        "network_def": network(),
        "slice_discriminator_def": {"_target_": f"{networks}.SliceDiscriminator", **discriminator},
        "stack_discriminator_def": {"_target_": f"{networks}.StackDiscriminator", **discriminator},
        "network": "$@network_def.to(@device)",
        "slice_discriminator": "$@slice_discriminator_def.to(@device)",
        "stack_discriminator": "$@stack_discriminator_def.to(@device)",
        "objective": {
            "_target_": "tools.losses.slice_gan.SliceGANObjective",
            "generator": "@network",
            "slice_discriminator": "@slice_discriminator",
            "stack_discriminator": "@stack_discriminator",
            "penalty_weight": 10.0,
            "condition_weight": 30.0,
            "identity_weight": 10.0,
            "attention_weight": 0.1,
            "smoothness_weight": 2.4e-4,
        },
        "models": {"model": "@network"},
        "provenance": "$data_provenance(@data_dir, @train_data)",
        "settings": {
            "bundle": bundle.name,
            "version": metadata(bundle)["version"],
            **{id: f"@{id}" for id in (*TRAINED, "seed", "batch_size", "precision")},
            "data": "@provenance",
        },
        "train": {
            "preprocessing": "$mr_slices(@image_size, @field_of_view)",
            "dataset": {
                "_target_": "tools.data.conditions.ConditionedStacks",
                "data": "$with_enough_slices(@train_data, [], @batch_size)",
                "outer": "@outer",
                "transform": "@train#preprocessing",
                "cache_dir": "@cache_dir",
                "slices": "@slices",
                "num_workers": "@num_workers",
            },
            "sampler": training_parts.sampler("torch.utils.data.DistributedSampler"),
            "dataloader": training_parts.training_loader(),
            "inferer": inferer(),
            "schedule": {
                "_target_": "torch.optim.lr_scheduler.LambdaLR",
                "_mode_": "callable",
                "lr_lambda": "$constant_then_linear(@constant_epochs, @max_epochs)",
            },
            "updates": [
                learn("slice_discriminator", "@slice_discriminator"),
                learn("stack_discriminator", "@stack_discriminator"),
                # one step for five of the discriminators, each as large as any
                learn("generator", "@network", every=5, gain=1),
            ],
            "handlers": training_parts.training_handlers(),
            "trainer": training_parts.trainer(compile="@compile"),
        },
        "validate": {
            **training_parts.validation_data(
                {"_target_": "tools.transforms.condition.AskForConditiond"}, volumes("@val_data")
            ),
            "key_metric": {"fid": "$@validate#distances['fid']"},
            "additional_metrics": {"mmd": "$@validate#distances['mmd']"},
            "handlers": training_parts.validation_handlers(),
            "evaluator": training_parts.validator("@network"),
        },
        **training_parts.start_training(),
    }


def conditioned(section: str) -> str:
    """Expression for the volumes of a section with their conditions."""
    return f"$with_conditions({GSP_FILES.format(section)}, @table, {', '.join(f'@{id}' for id in CONDITION)})"


def learn(name: str, network: str, **more: int) -> Config:
    """An update of one network by the loss of its name."""
    optimizer = training_parts.adam(f"${network}.parameters()", f"@learning_rates#{name}")
    loss = f"$@objective.{name}_loss"
    return training_parts.update(name, {name: network}, optimizer, loss, schedule="@train#schedule", **more)
