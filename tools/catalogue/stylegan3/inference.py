"""`inference.json` and `evaluate.json`."""

from __future__ import annotations

from tools.catalogue.parts import Config
from tools.catalogue.slices import inference as slices
from tools.catalogue.stylegan2.entry import inferer, latent_from_seed, prepare_latents, sampling_options
from tools.catalogue.stylegan3.entry import OF_NETWORK, SIZE, StyleGAN3Bundle, network
from tools.catalogue.stylegan3.metadata import metadata


def inference(bundle: StyleGAN3Bundle) -> Config:
    return slices.inference(
        bundle.name,
        metadata(bundle)["version"],
        bundle.data,
        options=sampling_options(),
        image_size=SIZE,
        network_settings=OF_NETWORK,
        network=network(),
        latents=latent_from_seed(),
        inferer=inferer(),
        prepare_batch=prepare_latents("label"),
        checked=(*sampling_options(), *(setting for setting in OF_NETWORK if setting != "rotation")),
    )


def evaluate(bundle: StyleGAN3Bundle) -> Config:
    return slices.evaluate(
        bundle.name,
        bundle.data,
        network_settings=OF_NETWORK,
        latents=latent_from_seed(),
        settings=tuple(sampling_options()),
    )
