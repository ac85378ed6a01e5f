"""`inference.json` and `evaluate.json`."""

from __future__ import annotations

from tools.catalogue.parts import Config
from tools.catalogue.slices import inference as slices
from tools.catalogue.stylegan2.entry import (
    StyleGAN2Bundle,
    inferer,
    latent_from_seed,
    network,
    prepare_latents,
    sampling_options,
)
from tools.catalogue.stylegan2.metadata import metadata


def inference(bundle: StyleGAN2Bundle) -> Config:
    return slices.inference(
        bundle.name,
        metadata(bundle)["version"],
        bundle.data,
        options=sampling_options(),
        image_size=bundle.image_size,
        network_settings=bundle.settings,
        network=network(),
        latents=latent_from_seed(),
        inferer=inferer(),
        prepare_batch=prepare_latents("label"),
        checked=(*sampling_options(), *bundle.settings),
    )


def evaluate(bundle: StyleGAN2Bundle) -> Config:
    return slices.evaluate(
        bundle.name,
        bundle.data,
        network_settings=bundle.settings,
        latents=latent_from_seed(),
        settings=tuple(sampling_options()),
    )
