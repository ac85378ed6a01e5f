"""`train.json`."""

from __future__ import annotations

from tools.catalogue import parts, training_parts, volume_maker
from tools.catalogue.parts import Config
from tools.catalogue.stylegan2.training import update
from tools.catalogue.stylegan3d.entry import maker
from tools.catalogue.stylegan3d.metadata import metadata
from tools.catalogue.volume_maker import LatentVolumes


def train(bundle: LatentVolumes) -> Config:
    samples, making, version = bundle.samples, maker(bundle), metadata(bundle)["version"]
    return {
        **training_parts.where_training_writes(bundle.name),
        **training_parts.scales(
            phantom={"image_size": bundle.phantom_size, **bundle.phantom, "num_workers": 0},
            paper={"image_size": bundle.image_size, **bundle.paper, "num_workers": 2},
        ),
        **samples.ids,
        "doublings": "$(@image_size // 4).bit_length() - 1",
        **making.before,
        "fitting_size": "$[n * 2**@doublings for n in @base_grid]",
        "iterations": None,
        **making.options,
        **volume_maker.data_of_training(bundle),
        "precision": "fp32",
        "implementation": "optimised",
        "accumulation": 1,
        "gamma": "$10 * @volume_size[0] * @volume_size[1] * @volume_size[2] / 860160",
        "path_length_weight": 2.0,
        "style_mixing": 0.9,
        "lazy": {"path_length": 4, "r1": 16},
        "half_life": 10000,
        "ramp_up": 0.05,
        "learning_rates": {"generator": 0.002, "discriminator": 0.002},
        "betas": [0.0, 0.99],
        "resume": None,
        "save_interval": 1,
        **parts.check(
            *volume_maker.OPTIONS,
            *samples.checked,
            *making.checked,
            *("iterations", "gamma", "path_length_weight", "style_mixing", "half_life", "ramp_up", "learning_rates"),
            "implementation",
        ),
        **samples.described,
        **samples.reading,
        "network_def": making.network,
        "discriminator_def": {
            "_target_": "tools.networks.stylegan3d.StyleGAN3DDiscriminator",
            "volume_size": "@volume_size",
            "base_grid": "@base_grid",
            "image_channels": samples.number,
            "channels": "@network_width",
            "residual": True,
            "group_size": 4,
        },
        "network": "$set_fused(@network_def, @implementation == 'optimised').to(@device)",
        "discriminator": "$set_fused(@discriminator_def, @implementation == 'optimised').to(@device)",
        "ema": {
            "_target_": "tools.engines.ema.ExponentialMovingAverage",
            "network": "@network",
            "half_life": "@half_life",
            "ramp_up": "@ramp_up",
        },
        "path_length_def": {"_target_": "tools.losses.stylegan2.PathLength", "weight": "@path_length_weight"},
        "path_length": "$@path_length_def.to(@device)",
        "objective": {
            "_target_": "tools.losses.stylegan2.StyleGAN2Objective",
            "generator": "@network",
            "discriminator": "@discriminator",
            "channels": samples.channels,
            "gamma": "@gamma",
            "style_mixing": "@style_mixing",
            "path_length": "@path_length",
            "path_every": "@lazy#path_length",
        },
        "models": {"model": "$@ema.module", "discriminator": "@discriminator"},
        **volume_maker.provenance(bundle),
        **volume_maker.settings(bundle, version, making),
        "train": {
            **volume_maker.reading(bundle),
            "dataloader": training_parts.training_loader(),
            "inferer": making.inferer,
            "optimizers": {
                name: {
                    "_target_": "tools.engines.update.lazy_adam",
                    "params": f"$@{id}.parameters()",
                    "lr": f"@learning_rates#{name}",
                    "betas": "@betas",
                    "every": f"@lazy#{lazy}",
                    "eps": 1e-8,
                    "fused": training_parts.OPTIMISED,
                }
                for name, id, lazy in (
                    ("generator", "network", "path_length"),
                    ("discriminator", "discriminator", "r1"),
                )
            },
            "updates": [
                update("generator", "network", "generator"),
                update("path_length", "network", "generator", every="@lazy#path_length"),
                update("discriminator", "discriminator", "discriminator"),
                update("r1", "discriminator", "discriminator", every="@lazy#r1"),
            ],
            "handlers": training_parts.training_handlers(also={"path_length": "@path_length"}),
            "trainer": training_parts.trainer(
                ema="@ema",
                max_epochs="$@max_epochs if @iterations is None else "
                "epochs_for(@iterations, len(@train#dataset), @batch_size)",
            ),
        },
        "validate": volume_maker.validation(bundle, making),
        **training_parts.start_training(),
    }
