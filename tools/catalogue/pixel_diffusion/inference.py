"""`inference.json` and `evaluate.json`."""

from __future__ import annotations

from tools.catalogue.parts import Config
from tools.catalogue.pixel_diffusion.entry import (
    SETTINGS,
    SIZE,
    SliceDiffusionBundle,
    network,
    noise_from_seed,
    prepare_noise,
    sampler,
    sampling_options,
    scheduler,
)
from tools.catalogue.pixel_diffusion.metadata import metadata
from tools.catalogue.slices import inference as slices


def inference(bundle: SliceDiffusionBundle) -> Config:
    return slices.inference(
        bundle.name,
        metadata(bundle)["version"],
        bundle.data,
        options=sampling_options(),
        image_size=SIZE,
        network_settings=SETTINGS,
        network=network(),
        latents=noise_from_seed(),
        before={"scheduler": scheduler()},
        inferer=sampler(),
        prepare_batch=prepare_noise("label"),
        checked=(*sampling_options(), "network_channels", "num_res_blocks", "prediction"),
    )


def evaluate(bundle: SliceDiffusionBundle) -> Config:
    return slices.evaluate(
        bundle.name,
        bundle.data,
        network_settings=SETTINGS,
        latents=noise_from_seed(),
        settings=("sampler", "steps", "eta", "guidance"),
    )
