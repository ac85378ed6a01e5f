"""What the options of StyleGAN3 do, a sentence each."""

from __future__ import annotations

from tools.catalogue.slices.options import OF_STYLE_PICTURES, OF_STYLES
from tools.catalogue.slices.options import OPTIONS as SLICES
from tools.catalogue.stylegan2.options import OPTIONS as STYLEGAN2

OPTIONS = {
    "train": {
        **SLICES["train"],
        **{
            id: STYLEGAN2["train"][id]
            for id in (
                "iterations",
                "latent_dim",
                "style_dim",
                "mapping_layers",
                *OF_STYLES,
                "gamma",
                "start_from",
                "frozen",
            )
        },
        "rotation": "true for R, whose images turn as well, false for T",
        "num_layers": "layers of the generator before the image; 6 to 8 do below 128 pixels",
        "channel_base": "channels of a layer times twice its cutoff",
        "channel_max": "greatest number of channels of a layer",
        "blur": "sigma of the Gaussian through which the discriminator sees in the beginning, in pixels",
        "blur_images": "images over which it falls to 0",
        "r1_interval": "interval of R1, in iterations",
        "half_life": STYLEGAN2["train"]["half_life"],
        "ramp_up": STYLEGAN2["train"]["ramp_up"],
        "learning_rates": "of generator and discriminator, the latter before the correction for the lazy update",
    },
    "inference": STYLEGAN2["inference"],
    **OF_STYLE_PICTURES,
    "evaluate": STYLEGAN2["evaluate"],
}
