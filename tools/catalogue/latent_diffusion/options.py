"""What the options of latent diffusion do, a sentence each."""

from __future__ import annotations

from tools.catalogue.diffusion.options import OPTIONS as DIFFUSION

OF_VOXELS = ("augment", "label_weight", "patch", "preconditioned", "components", "uniform_side")
"""Options of diffusion on voxels alone."""

OPTIONS = {
    "train": {
        **{id: text for id, text in DIFFUSION["train"].items() if id not in OF_VOXELS},
        "image_size": "rows of a volume, in voxels",
        "volume_size": "slices, rows and columns of a volume, in voxels",
        "window": "grey values or HU that stand for -1 and 1",
        "validation_subsets": "subsets of LUNA16 that are for validation",
        "autoencoder_channels": "width of each level of the autoencoder, of which all but the first halve the volume",
        "autoencoder_patch": "side in voxels of the cubes that become channels before the autoencoder; 1: none",
        "latent_channels": "channels of a latent",
        "codebook": "entries of a codebook by which latents are quantised; 0: latents are held by KL",
        "network_channels": "width of each level of the denoiser, of which all but the first halve the latent",
        "num_res_blocks": "residual blocks of each level, of both networks",
        "autoencoder_epochs": "length of the first stage, the autoencoder's",
        "max_epochs": "length of the second stage, the denoiser's",
        "adversarial_start": "epoch of the first stage from which on there is a discriminator",
        "discriminator_channels": "width of the discriminator's first layer",
        "loss_weights": "of the terms of the first stage's loss, see above",
        "medicalnet": "file with MedicalNet's weights, for a distance in its features; null: none",
        "slab_length": "slices that are decoded at a time, which does not change the result; 0: all at once",
        "learning_rates": "of each network",
        "half_life": "of the averaged denoiser, in images",
    },
    "inference": {
        **DIFFUSION["inference"],
        "slab_length": "slices that are decoded at a time, which does not change the result; 0: all at once",
    },
    "evaluate": DIFFUSION["evaluate"],
}
