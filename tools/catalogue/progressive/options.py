"""What the options of Progressive GAN and StyleGAN do, a sentence each."""

from __future__ import annotations

from tools.catalogue.slices.options import OF_STYLE_PICTURES, OF_STYLES
from tools.catalogue.slices.options import OPTIONS as SLICES
from tools.catalogue.stylegan2.options import OPTIONS as STYLEGAN2

OPTIONS = {
    "train": {
        **SLICES["train"],
        "read_images": "scale of the image by which label maps are read and chosen",
        "body": "name of a class of all that is brighter than background and of no other class; null: none",
        "training_images": "length of the training in images, from which the phases of growing follow",
        "max_epochs": "length in epochs in the place of `training_images`; phases stay what they are",
        "growth": "number of the first level, 0 of 4 pixels, 1 of 8 and so on; images for which each stays, and over "
        "which it fades in",
        "batch_size": "of each process, at full size; each level before has twice as many, up to `largest_batch`",
        "largest_batch": "images that a batch of an early level has at most",
        "latent_dim": "size of the latent vector",
        **{id: STYLEGAN2["train"][id] for id in ("style_dim", "channel_base", "channel_max")},
        "mapping_layers": "layers between latent vector and style",
        **OF_STYLES,
        "penalty": "weight of the gradient's penalty",
        "drift": "weight of the squared verdicts",
        "class_weight": "weight of the auxiliary classifier, in a training by class",
        "ema_decay": "of the averaged generator, for an iteration",
        "gamma": "weight of R1",
        "style_mixing": STYLEGAN2["train"]["style_mixing"],
        "half_life": STYLEGAN2["train"]["half_life"],
        "start_from": STYLEGAN2["train"]["start_from"],
        "learning_rates": "of generator and discriminator",
        "rates": "factor of both by the number of a level, 1 for others",
    },
    "inference": {**SLICES["inference"], **OF_STYLES},
    **OF_STYLE_PICTURES,
    "evaluate": SLICES["evaluate"],
}
