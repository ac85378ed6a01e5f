"""`reconstruct.json`, where there is an encoder."""

from __future__ import annotations

from tools.catalogue import parts, volume_maker
from tools.catalogue.parts import Config
from tools.catalogue.volume_gan.entry import NETWORKS, VolumeGANBundle, encoder, maker
from tools.catalogue.volume_gan.metadata import metadata


def reconstruct(bundle: VolumeGANBundle) -> Config:
    """The encoder, then the generator: given volumes as the generator would make them."""
    samples, making = bundle.samples, maker(bundle)
    return {
        "bundle_root": f"bundles/{bundle.name}",
        "output_dir": "$@bundle_root + '/reconstruction'",
        "ckpt_path": "$@bundle_root + '/models/model.pt'",
        "encoder_path": "$weights_beside(@ckpt_path, 'encoder')",
        "device": parts.DEVICE,
        "dataset_dir": None,
        **volume_maker.trained(bundle, making),
        **parts.origin(bundle.name, metadata(bundle)["version"]),
        **parts.check("device", *bundle.method.sizes, *samples.checked),
        **samples.described,
        "generator_def": making.network,
        "encoder_def": encoder(bundle),
        "network_def": {
            "_target_": f"{NETWORKS}.VolumeAutoEncoder",
            "generator": "@generator_def",
            "encoder": "@encoder_def",
        },
        "network": making.placed,
        **samples.reconstruction(
            bundle.name,
            {
                "load_weights": parts.load_model("@ckpt_path", "$@network.generator"),
                "load_encoder": parts.load_model("@encoder_path", "$@network.encoder"),
            },
        ),
    }
