"""`train.json` of the family."""

from __future__ import annotations

from tools.catalogue import parts, training_parts
from tools.catalogue.cyclegan.entry import TRAINED, TranslationBundle, generator
from tools.catalogue.cyclegan.metadata import metadata
from tools.catalogue.parts import Config


def train(bundle: TranslationBundle) -> Config:
    discriminators = bundle.discriminators
    mr_discriminators = [f"@discriminator_{branch}" for branch in bundle.branches]
    own = {"mr_dir": None, "ct_dir": None}
    if bundle.own_mr:
        own[bundle.own_mr] = None
    if bundle.whole_body_ct:
        own["axial_range"] = "$None if @ct_dir is None else 'abdomen'"
    # the identity loss needs as many channels in as out
    identity = {"identity_weight": 0.5} if len(bundle.branches) == 1 else {}
    return {
        **training_parts.where_training_writes(bundle.name),
        **own,
        **training_parts.scales(
            phantom={"image_size": 64, "max_epochs": 2, "batch_size": 4, "val_interval": 2, "num_workers": 0},
            paper={"image_size": 256, "max_epochs": 200, "batch_size": 1, "val_interval": 10, "num_workers": 2},
            without_data="@dataset_dir is None and @mr_dir is None",
        ),
        "constant_epochs": "$@max_epochs // 2",
        "load_size": "$round(@image_size * 286 / 256)",
        "modalities": list(bundle.modalities),
        "slices": 1,
        "channels": 64,
        "discriminator_channels": 64,
        "window": [-1000, 1000],
        "second_window": None,
        "field_of_view": 400.0,
        **bundle.phantoms("{'mr_dir': @mr_dir, 'ct_dir': @ct_dir}, "),
        "train_mr": f"${bundle.mr_studies('training')}",
        "train_ct": f"${bundle.ct_studies('training')}",
        "val_data": f"$unpaired({bundle.mr_studies('validation')}, {bundle.ct_studies('validation')})",
        "cache_dir": "$@bundle_root + '/cache'",
        "precision": "fp32",
        "compile": False,
        "accumulation": 1,
        **training_parts.renamed("structure_weight", "0.0"),
        "learning_rate": 0.0002,
        "betas": [0.5, 0.999],
        "resume": None,
        "save_interval": 1,
        **parts.check(
            *training_parts.TRAINING_OPTIONS,
            *("constant_epochs", "load_size", "slices", "channels", "discriminator_channels", "second_window"),
            *("field_of_view", "mind_weight", "learning_rate"),
        ),
        "network_def": generator(len(bundle.branches), 1),
        "generator_ct2mr_def": generator(1, len(bundle.branches)),
        **{f"{name}_def": definition for name, definition in discriminators.items()},
        "network": "$@network_def.to(@device)",
        "generator_ct2mr": "$@generator_ct2mr_def.to(@device)",
        **{name: f"$@{name}_def.to(@device)" for name in discriminators},
        "objective": {
            "_target_": "tools.losses.cyclegan.CycleGANObjective",
            "generator_mr2ct": "@network",
            "generator_ct2mr": "@generator_ct2mr",
            "discriminator_ct": "@discriminator_ct",
            "discriminators_mr": mr_discriminators,
            "crop_size": "@image_size",
            "flip": 0.5,
            "cycle_weight": 10.0,
            "mind_weight": "@mind_weight",
            **identity,
            "pool_size": 50,
            "window": "@window",
            "second_window": "@second_window",
        },
        "models": {"model": "@network", "model_ct2mr": "@generator_ct2mr"},
        "provenance": "$data_provenance(@data_dir, @train_mr + @train_ct)",
        "settings": {
            "bundle": bundle.name,
            "version": metadata(bundle)["version"],
            **{id: f"@{id}" for id in ("modalities", *TRAINED, "seed", "batch_size", "precision")},
            "mind_weight": "@mind_weight",
            "second_window": "@second_window",
            "data": "@provenance",
        },
        "train": {
            "mr_slices": slice_store(
                "$with_enough_slices(@train_mr, @train_ct, @batch_size)",
                "$mr_slices(@load_size, @field_of_view)",
            ),
            "ct_slices": slice_store("@train_ct", bundle.ct_slices("@load_size")),
            "dataset": {
                "_target_": "tools.data.slices.UnpairedSlices",
                "mr": "@train#mr_slices",
                "ct": "@train#ct_slices",
            },
            "sampler": training_parts.sampler("tools.data.slices.UnpairedSampler"),
            "dataloader": training_parts.training_loader(),
            "inferer": {"_target_": "tools.engines.translation.SlabInferer", "slices": "@slices"},
            "schedule": {
                "_target_": "torch.optim.lr_scheduler.LambdaLR",
                "_mode_": "callable",
                "lr_lambda": "$constant_then_linear(@constant_epochs, @max_epochs)",
            },
            "updates": [
                training_parts.update(
                    "generators",
                    {"generator_mr2ct": "@network", "generator_ct2mr": "@generator_ct2mr"},
                    training_parts.adam("$[*@network.parameters(), *@generator_ct2mr.parameters()]", "@learning_rate"),
                    "$@objective.generators_loss",
                    schedule="@train#schedule",
                ),
                training_parts.update(
                    "discriminators",
                    {name: f"@{name}" for name in discriminators},
                    training_parts.adam(
                        f"$[{', '.join(f'*@{name}.parameters()' for name in discriminators)}]", "@learning_rate"
                    ),
                    "$@objective.discriminators_loss",
                    schedule="@train#schedule",
                ),
            ],
            "handlers": training_parts.training_handlers(
                also={"pool_ct": "$@objective.pool_ct", "pool_mr": "$@objective.pool_mr"}
            ),
            "trainer": training_parts.trainer(compile="@compile"),
        },
        "validate": {
            **training_parts.validation_data(
                parts.compose("$mr_slices(@image_size, @field_of_view)", bundle.ct_slices("@image_size", "'label'")),
                {
                    "_target_": "tools.data.volume_samples.VolumeSamples",
                    "data": "@val_data",
                    "transform": "@validate#preprocessing",
                    "channels": None,
                    "store_dir": "@cache_dir",
                    "num_workers": "@num_workers",
                },
            ),
            "key_metric": {
                "mind": {
                    "_target_": "IgniteMetricHandler",
                    "loss_fn": "$volume_mind_loss",
                    "output_transform": "$monai.handlers.from_engine(['pred', 'image'])",
                    "save_details": False,
                }
            },
            "additional_metrics": {"fid": "$@validate#distances['fid']", "mmd": "$@validate#distances['mmd']"},
            "handlers": training_parts.validation_handlers(),
            "evaluator": training_parts.validator("@network"),
        },
        **training_parts.start_training(),
    }


def slice_store(data: str, transform: str) -> Config:
    return {
        "_target_": "tools.data.slices.SliceStore",
        "data": data,
        "transform": transform,
        "cache_dir": "@cache_dir",
        "slices": "@slices",
        "num_workers": "@num_workers",
    }
