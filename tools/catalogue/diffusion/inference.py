"""`inference.json` and `evaluate.json`."""

from __future__ import annotations

from tools.catalogue import denoising_parts, parts
from tools.catalogue.diffusion.entry import (
    MOVED,
    NETWORK,
    STEPS,
    JointBundle,
    labelled_volumes,
    network,
    noise_from_seed,
    prepare_noise,
    sample_channels,
    trained,
)
from tools.catalogue.diffusion.metadata import metadata
from tools.catalogue.labelled_parts import ENLARGE, enlarged, labelled_engines
from tools.catalogue.parts import Config


def inference(bundle: JointBundle) -> Config:
    return {
        **parts.where_inference_writes(bundle.name, 4),
        "sampler": None,
        "steps": STEPS,
        **denoising_parts.PRECISION,
        **ENLARGE,
        **trained(bundle, place=True),
        **parts.origin(bundle.name, metadata(bundle)["version"]),
        "field_of_view": "$@trained['data']['field_of_view_mm']",
        **parts.check(
            *("device", "seed", "num_volumes", "sampler", "steps", "precision", *ENLARGE, *NETWORK, "field_of_view"),
        ),
        "datalist": f"$seed_datalist(@num_volumes, @seed, name='{bundle.name}')",
        "sample_channels": sample_channels(),
        "network_def": network(),
        "network": "$@network_def.to(@device)",
        "scheduler": denoising_parts.scheduler(**MOVED),
        "preprocessing": parts.compose(noise_from_seed()),
        **parts.one_by_one("@datalist"),
        "inferer": denoising_parts.sampler(precision="@precision"),
        **labelled_engines(bundle.name, bundle.modality, prepare_noise(), before=[enlarged()]),
    }


def evaluate(bundle: JointBundle) -> Config:
    return {
        "ckpt_path": "$@ckpt_dir + '/model.pt'",
        **trained(bundle),
        "network": "$@network_def.to(@device)",
        **denoising_parts.in_precision(),
        "reference": "validation",
        "real_data": "$reference_files(@reference, @train_data, @val_data)",
        "num_synthetic": "$len(@real_data)",
        **parts.spaces("untrained"),
        "real": labelled_volumes("@real_data"),
        "synthetic": f"$seed_datalist(@num_synthetic, @seed, name='{bundle.name}')",
        "validate#preprocessing": noise_from_seed(),
        "validate#dataset": {"_target_": "Dataset", "data": "@synthetic", "transform": "@validate#preprocessing"},
        "validate#evaluator#network": "@network",
        **parts.sample_reports(bundle.name, ("volume_size", "steps", "precision")),
        **parts.run_report(),
    }
