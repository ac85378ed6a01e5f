"""`inference.json` and `evaluate.json` of both methods."""

from __future__ import annotations

from tools.catalogue import parts
from tools.catalogue.hierarchical_gan.metadata import metadata
from tools.catalogue.hierarchical_gan.method import (
    SHAPE,
    VolumeBundle,
    cube_dataset,
    generator,
    prepare_latents,
    trained,
)
from tools.catalogue.parts import Config
from tools.catalogue.volume_parts import volume_engines


def inference(bundle: VolumeBundle) -> Config:
    return {
        **parts.where_inference_writes(bundle.name, 4),
        "slab_length": 0,
        "class_label": None,
        **trained(bundle, 256, place=True),
        **parts.origin(bundle.name, metadata(bundle)["version"]),
        "field_of_view": "$@trained['data']['field_of_view_mm']",
        **parts.check(
            *("device", "seed", "num_volumes", "slab_length", "class_label", *SHAPE, "window", "field_of_view")
        ),
        "datalist": f"$seed_datalist(@num_volumes, @seed, @num_classes, @class_label, '{bundle.name}')",
        "network_def": generator(bundle.method),
        "network": "$set_implementation(@network_def).to(@device)",
        "preprocessing": parts.compose(parts.latent_from_seed()),
        **parts.one_by_one("@datalist"),
        "inferer": {"_target_": "tools.engines.generation.OneByOneInferer", "slab_length": "@slab_length"},
        **volume_engines(bundle.data.intensities, prepare_latents()),
    }


def evaluate(bundle: VolumeBundle) -> Config:
    return {
        "ckpt_path": "$@ckpt_dir + '/model.pt'",
        **trained(bundle, "$@scales[@scale]['image_size']"),
        "network": "$@network_def.to(@device)",
        "reference": "validation",
        "real_files": "$reference_files(@reference, @train_files, @val_files)",
        "num_synthetic": "$len(@real_files)",
        **parts.spaces("untrained"),
        "real": cube_dataset("@real_files"),
        "synthetic": f"$seed_datalist(@num_synthetic, @seed, @num_classes, name='{bundle.name}')",
        "validate#preprocessing": parts.latent_from_seed(),
        "validate#dataset": {"_target_": "Dataset", "data": "@synthetic", "transform": "@validate#preprocessing"},
        "validate#evaluator#network": "@network",
        "report": parts.report(
            bundle.name, ("image_size",), window="@window", unit=parts.UNITS[bundle.data.intensities]
        ),
        **parts.run_report(),
    }
