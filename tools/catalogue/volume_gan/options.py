"""What the options of these GANs of volumes do, a sentence each."""

from __future__ import annotations

from tools.catalogue.diffusion.options import OPTIONS as DIFFUSION
from tools.catalogue.hierarchical_gan.options import OPTIONS as HIERARCHICAL

OPTIONS = {
    "train": {
        "image_size": "rows of a volume, in voxels",
        "volume_size": "slices, rows and columns of a volume, in voxels",
        "images": DIFFUSION["train"]["images"],
        "labels": DIFFUSION["train"]["labels"],
        "iterations": DIFFUSION["train"]["iterations"],
        "latent_dim": "size of the latent vector",
        "base_channels": "channels of all networks at half of the volume's size; they double with each halving",
        "code_channels": "width of the discriminator of codes",
        "adversarial": "`wasserstein`, alpha-WGAN-GP as Kwon et al. propose it; `logistic`, Rosca et al.'s alpha-GAN",
        "generator_steps": "steps that the generator takes on one gradient; 2 in the released code",
        "discriminator_def#norm": "normalisation of the discriminator: `layer`, `batch` or `none`",
        "objective#reconstruction_weight": "weight of the reconstruction",
        "objective#penalty": "weight of gradient penalties",
        "objective#label_weight": "weight of labels, relative to images, in the reconstruction",
        "learning_rates": "of each update",
        "ema_decay": "of the averaged networks; 0 takes the last weights",
        "implementation": "`optimised`, or `reference`: volumes are doubled and then convolved, as the released code "
        "does; slower, for comparisons",
        "compile": HIERARCHICAL["train"]["compile"],
    },
    "inference": {
        "num_volumes": "how many volumes are made",
        "seed": "of the first volume; the others have the following ones",
        "field_of_view": "extent of a volume in mm, axial first",
        "dataset_dir": "not used: volumes are made from seeds",
    },
    "reconstruct": {
        "dataset_dir": "folder with the volumes to be reconstructed",
        "section": "which of its cases: `validation` or `training`",
        "encoder_path": "weights of the encoder",
    },
    "evaluate": DIFFUSION["evaluate"],
}
