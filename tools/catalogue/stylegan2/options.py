"""What the options of StyleGAN2 do, a sentence each."""

from __future__ import annotations

from tools.catalogue.slices.options import OF_PROJECTION, OF_STYLE_PICTURES, OF_STYLES
from tools.catalogue.slices.options import OPTIONS as SLICES

OPTIONS = {
    "train": {
        **SLICES["train"],
        "iterations": "at least so many iterations, in the place of `max_epochs`",
        "implementation": "`optimised`, or `reference`: weights of each sample, filters and convolutions one by one, "
        "for comparisons",
        "latent_dim": "size of the latent vector",
        "style_dim": "size of a style",
        "mapping_layers": "layers between latent vector and style: 2, or 8 as in StyleGAN2's large sets",
        "channel_base": "channels of a resolution times its side",
        "channel_max": "greatest number of channels of a resolution",
        "generator_architecture": "`skip`: images of all resolutions are added up; `resnet`: the image is made of the "
        "last of residual blocks; `orig`: of the last of blocks in a row",
        "discriminator_architecture": "`resnet`: residual blocks; `skip`: blocks in a row, each of which sees the "
        "image in its resolution; `orig`: blocks in a row",
        **OF_STYLES,
        "gamma": "weight of R1; worth a search by factors of 2",
        "path_length_weight": "weight of path lengths",
        "style_mixing": "probability that a slice has two styles",
        "lazy": "interval of path lengths and of R1, in iterations",
        "ada": "adaptive augmentation: greatest probability (`limit`, 0 for none), `strengths` and `sizes` by "
        "transformation, ...",
        "start_from": "`model.pt` to begin with, of any number of channels; `discriminator.pt` lies beside it",
        "frozen": "layers of the discriminator, from the image on, that do not learn: 10 or 13 for transfer learning",
        "half_life": "of the averaged generator, in images",
        "ramp_up": "share of the images seen so far to which `half_life` is limited",
        "learning_rates": "of generator and discriminator, before the correction for lazy updates",
    },
    "inference": {**SLICES["inference"], **OF_STYLES},
    **OF_STYLE_PICTURES,
    "projection": OF_PROJECTION,
    "evaluate": SLICES["evaluate"],
}
