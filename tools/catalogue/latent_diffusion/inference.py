"""`inference.json` and `evaluate.json`."""

from __future__ import annotations

from tools.catalogue import denoising_parts, parts
from tools.catalogue.latent_diffusion.entry import (
    SIZES,
    STEPS,
    LatentBundle,
    networks,
    noise_from_seed,
    noise_shape,
    sampler,
    schedule,
    trained,
)
from tools.catalogue.latent_diffusion.metadata import metadata
from tools.catalogue.parts import Config


def inference(bundle: LatentBundle) -> Config:
    samples = bundle.samples
    return {
        **parts.where_inference_writes(bundle.name, 4),
        "sampler": None,
        "steps": STEPS,
        **denoising_parts.PRECISION,
        "slab_length": 32,
        **samples.making,
        **trained(bundle, place=True),
        **parts.origin(bundle.name, metadata(bundle)["version"]),
        "field_of_view": "$@trained['data']['field_of_view_mm']",
        **parts.check(
            *(
                "device",
                "seed",
                "num_volumes",
                "sampler",
                "steps",
                "precision",
                "slab_length",
                *samples.making,
                *SIZES,
                *samples.checked,
                "field_of_view",
            )
        ),
        "datalist": f"$seed_datalist(@num_volumes, @seed, name='{bundle.name}')",
        **samples.described,
        **noise_shape(),
        **networks(bundle),
        "network": "$@network_def.to(@device)",
        "scheduler": schedule(),
        "preprocessing": parts.compose(noise_from_seed()),
        **parts.one_by_one("@datalist"),
        "inferer": sampler(precision="@precision"),
        **samples.engines(bundle.name),
    }


def evaluate(bundle: LatentBundle) -> Config:
    samples = bundle.samples
    return {
        "ckpt_path": "$@ckpt_dir + '/model.pt'",
        **trained(bundle),
        "network": "$@network_def.to(@device)",
        **denoising_parts.in_precision("train#inferer#sampler"),
        "reference": "validation",
        "real_data": "$reference_files(@reference, @train_data, @val_data)",
        "num_synthetic": "$len(@real_data)",
        **parts.spaces("untrained"),
        "real": samples.dataset("@real_data"),
        "synthetic": f"$seed_datalist(@num_synthetic, @seed, name='{bundle.name}')",
        "validate#preprocessing": noise_from_seed(),
        "validate#dataset": {"_target_": "Dataset", "data": "@synthetic", "transform": "@validate#preprocessing"},
        "validate#evaluator#network": "@network",
        **samples.report(bundle.name, ("volume_size", "steps", "precision")),
        **parts.run_report(),
    }
