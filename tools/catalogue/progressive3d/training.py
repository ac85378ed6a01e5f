"""`train.json`."""

from __future__ import annotations

from tools.catalogue import training_parts, volume_maker
from tools.catalogue.parts import Config
from tools.catalogue.progressive import growing
from tools.catalogue.progressive3d.entry import maker
from tools.catalogue.progressive3d.metadata import metadata
from tools.catalogue.slices.training import MODELS, checks
from tools.catalogue.volume_maker import LatentVolumes

RATES = {"0": 0.3, "1": 0.3, "2": 0.6, "3": 0.6, "4": 0.7, "5": 0.6, "6": 0.6}
"""Factors of 0.001 by level: those of the released code's last preset, and beyond 128 voxels the last one's."""

PLACED = "$set_implementation(set_fused({}, @implementation == 'optimised'), @implementation).to(@device)"


def train(bundle: LatentVolumes) -> Config:
    samples, making, version = bundle.samples, maker(bundle), metadata(bundle)["version"]
    weights = {"penalty": 10.0, "drift": 0.001}
    return {
        **training_parts.where_training_writes(bundle.name),
        **training_parts.scales(
            phantom={"image_size": bundle.phantom_size, **bundle.phantom, "num_workers": 0},
            paper={"image_size": bundle.image_size, **bundle.paper, "num_workers": 2},
        ),
        "max_epochs": None,
        **samples.ids,
        "fitting_size": "@volume_size",
        **volume_maker.data_of_training(bundle),
        "precision": "fp32",
        "implementation": "optimised",
        "accumulation": 1,
        **growing.growth(growing.A_TWENTIETH),
        **weights,
        "ema_decay": 0.999,
        "learning_rates": {"generator": 0.001, "discriminator": 0.001},
        "rates": RATES,
        "betas": [0.0, 0.99],
        "resume": None,
        "save_interval": 1,
        **checks(
            *volume_maker.OPTIONS,
            *samples.checked,
            *making.checked,
            *("training_images", "largest_batch", *weights, "ema_decay", "learning_rates", "rates"),
            "implementation",
            without=["max_epochs"],
        ),
        **samples.described,
        **samples.reading,
        "network_def": making.network,
        "discriminator_def": {
            **{key: value for key, value in making.network.items() if key != "latent_dim"},
            "_target_": "tools.networks.pggan.ProgressiveDiscriminator",
            "group_size": 0,
        },
        "network": PLACED.format("@network_def"),
        "discriminator": PLACED.format("@discriminator_def"),
        "ema": {
            "_target_": "tools.engines.ema.ExponentialMovingAverage",
            "network": "@network",
            "decay": "@ema_decay",
        },
        **growing.schedule(),
        "objective": {
            "_target_": "tools.losses.progressive.PGGANObjective",
            "generator": "@network",
            "discriminator": "@discriminator",
            "schedule": "@growth_schedule",
            "channels": samples.channels,
            **{weight: f"@{weight}" for weight in weights},
        },
        "models": MODELS,
        **volume_maker.provenance(bundle),
        **volume_maker.settings(bundle, version, making),
        "train": {
            **volume_maker.reading(bundle),
            "dataloader": training_parts.training_loader(),
            "inferer": making.inferer,
            **growing.updates(rates=True, fused=training_parts.OPTIMISED),
            "handlers": training_parts.training_handlers(),
            "trainer": training_parts.trainer(ema="@ema", **growing.TRAINER),
        },
        "validate": volume_maker.validation(bundle, making),
        **training_parts.start_training(),
    }
