"""`inference.json` and `evaluate.json`."""

from __future__ import annotations

from tools.catalogue.fastgan.entry import (
    OF_NETWORK,
    SIZE,
    FastGANBundle,
    inferer,
    latent_from_seed,
    network,
    prepare_latents,
)
from tools.catalogue.fastgan.metadata import metadata
from tools.catalogue.parts import Config
from tools.catalogue.slices import inference as slices


def inference(bundle: FastGANBundle) -> Config:
    return slices.inference(
        bundle.name,
        metadata(bundle)["version"],
        bundle.data,
        options={},
        image_size=SIZE,
        network_settings=OF_NETWORK,
        network=network(),
        latents=latent_from_seed(),
        inferer=inferer(),
        prepare_batch=prepare_latents("label"),
        checked=tuple(OF_NETWORK),
    )


def evaluate(bundle: FastGANBundle) -> Config:
    return slices.evaluate(bundle.name, bundle.data, network_settings=OF_NETWORK, latents=latent_from_seed())
