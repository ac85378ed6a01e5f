"""`inference.json`, `evaluate.json`, and `reconstruct.json` where there is an encoder."""

from __future__ import annotations

from tools.catalogue import parts
from tools.catalogue.parts import Config
from tools.catalogue.volume_gan.entry import NETWORKS, VolumeGANBundle, encoder, latent_from_seed, network, trained
from tools.catalogue.volume_gan.metadata import metadata


def inference(bundle: VolumeGANBundle) -> Config:
    samples = bundle.samples
    return {
        **parts.where_inference_writes(bundle.name, 4),
        **trained(bundle, place=True),
        **parts.origin(bundle.name, metadata(bundle)["version"]),
        "field_of_view": "$@trained['data']['field_of_view_mm']",
        **parts.check(*("device", "seed", "num_volumes", *bundle.method.sizes[:2], *samples.checked, "field_of_view")),
        "datalist": f"$seed_datalist(@num_volumes, @seed, name='{bundle.name}')",
        **samples.described,
        "network_def": network(bundle),
        "network": "$set_implementation(@network_def).to(@device)",
        "preprocessing": parts.compose(latent_from_seed(bundle)),
        **parts.one_by_one("@datalist"),
        "inferer": {"_target_": "tools.engines.generation.OneByOneInferer"},
        **samples.engines(bundle.name),
    }


def reconstruct(bundle: VolumeGANBundle) -> Config:
    """The encoder, then the generator: given volumes as the generator would make them."""
    samples = bundle.samples
    return {
        "bundle_root": f"bundles/{bundle.name}",
        "output_dir": "$@bundle_root + '/reconstruction'",
        "ckpt_path": "$@bundle_root + '/models/model.pt'",
        "encoder_path": "$weights_beside(@ckpt_path, 'encoder')",
        "device": parts.DEVICE,
        "dataset_dir": None,
        **trained(bundle),
        **parts.origin(bundle.name, metadata(bundle)["version"]),
        **parts.check("device", *bundle.method.sizes, *samples.checked),
        **samples.described,
        "generator_def": network(bundle),
        "encoder_def": encoder(bundle),
        "network_def": {
            "_target_": f"{NETWORKS}.VolumeAutoEncoder",
            "generator": "@generator_def",
            "encoder": "@encoder_def",
        },
        "network": "$set_implementation(@network_def).to(@device)",
        **samples.reconstruction(
            bundle.name,
            {
                "load_weights": parts.load_model("@ckpt_path", "$@network.generator"),
                "load_encoder": parts.load_model("@encoder_path", "$@network.encoder"),
            },
        ),
    }


def evaluate(bundle: VolumeGANBundle) -> Config:
    samples = bundle.samples
    return {
        "ckpt_path": "$@ckpt_dir + '/model.pt'",
        **trained(bundle),
        "network": "$@network_def.to(@device)",
        "reference": "validation",
        "real_data": "$reference_files(@reference, @train_data, @val_data)",
        "num_synthetic": "$len(@real_data)",
        **parts.spaces("untrained"),
        "real": samples.dataset("@real_data"),
        "synthetic": f"$seed_datalist(@num_synthetic, @seed, name='{bundle.name}')",
        "validate#preprocessing": latent_from_seed(bundle),
        "validate#dataset": {"_target_": "Dataset", "data": "@synthetic", "transform": "@validate#preprocessing"},
        "validate#evaluator#network": "@network",
        "validate#postprocessing": {"_target_": "Lambdad", "keys": "pred", "func": samples.image_of_sample},
        "report": parts.report(bundle.name, ("volume_size",), **samples.reported),
        **parts.run_report(),
    }
