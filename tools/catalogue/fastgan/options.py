"""What the options of FastGAN do, a sentence each."""

from __future__ import annotations

from tools.catalogue.slices.options import OPTIONS as SLICES

OPTIONS = {
    "train": {
        **SLICES["train"],
        "iterations": "at least so many iterations, in the place of `max_epochs`",
        "latent_dim": "size of the latent vector",
        "width": "width of both networks, 64 in the paper",
        "ema_decay": "of the averaged generator; 0 takes the last weights",
        "reconstruction_weight": "weight of what the discriminator draws again",
        "lpips": "two files of weights, see above, for LPIPS in the place of L1 and SSIM",
        "start_from": "`model.pt` of as many channels to begin with; `discriminator.pt` lies beside it",
        "augment": "kinds of changes, `color`, `translation` and `cutout`, and how great they are",
        "mirror": "share of the slices that are mirrored left for right",
        "learning_rates": "of both updates",
    },
    "inference": SLICES["inference"],
    "evaluate": SLICES["evaluate"],
}
