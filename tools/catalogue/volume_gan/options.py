"""What the options of these GANs of volumes do, a sentence each."""

from __future__ import annotations

from tools.catalogue.diffusion.options import COMPARED, ENLARGED
from tools.catalogue.diffusion.options import OPTIONS as DIFFUSION
from tools.catalogue.hierarchical_gan.options import OPTIONS as HIERARCHICAL

OPTIONS = {
    "train": {
        "image_size": "rows of a volume, in voxels",
        "volume_size": "slices, rows and columns of a volume, in voxels",
        "window": "grey values or HU that stand for -1 and 1",
        "validation_subsets": "subsets of LUNA16 that are for validation",
        "images": DIFFUSION["train"]["images"],
        "labels": DIFFUSION["train"]["labels"],
        "iterations": DIFFUSION["train"]["iterations"],
        "latent_dim": "size of the latent vector",
        "base_channels": "channels of all networks at half of the volume's size; they double with each halving",
        "hidden_channels": "width of the hidden layers of the encoder",
        "code_channels": "width of the discriminator of codes",
        "adversarial": "`wasserstein`, alpha-WGAN-GP as Kwon et al. propose it; `logistic`, Rosca et al.'s alpha-GAN",
        "lipschitz": "how the discriminator is held: by a `penalty` of its gradient, WGAN-GP, or by `clipping` its "
        "weights, WGAN",
        "every": "interval in iterations of these updates",
        "epsilon": "trains the discriminator with differential privacy of this epsilon, see below; null without",
        "delta": "with `epsilon`: probability with which its bound may fail, far below 1 / number of people",
        "max_norm": "with `epsilon`: norm to which the gradient of each person's volume is clipped",
        "generator_steps": "steps that the generator takes on one gradient; 2 in the released code",
        "discriminator_def#norm": "normalisation of the discriminator: `layer`, `batch` or `none`",
        "discriminator_def#score_map": "several scores of a volume, of which the mean is taken",
        "objective#reconstruction": "where reconstructions are compared: `voxels`, or the discriminator's `features`",
        "objective#reconstruction_weight": "weight of the reconstruction",
        "objective#generator_weight": "weight of the reconstruction in the generator's loss",
        "objective#encoder_weight": "weight of the reconstruction in the encoder's loss",
        "objective#saturating": "lets the generator maximise the discriminator's loss",
        "objective#code_weight": "weight of codes that come back",
        "objective#latent_weight": "weight of latents that come back",
        "objective#sinkhorn_weight": "weight of Sinkhorn's cost",
        "objective#sinkhorn_points": "points of that cost: the `numbers` of codes, or `codes`",
        "objective#penalty_per_voxel": "penalises the gradient voxel by voxel, as Kwon et al.'s WGAN does",
        "objective#clip": "limit of the weights, with `clipping`",
        "objective#resting_accuracy": "accuracy above which the discriminator rests",
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
        **ENLARGED,
        "field_of_view": "extent of a volume in mm, axial first",
        "dataset_dir": "not used: volumes are made from seeds",
    },
    "reconstruct": {
        "dataset_dir": "folder with the volumes to be reconstructed",
        "section": "which of its cases: `validation` or `training`",
        "encoder_path": "weights of the encoder",
    },
    "evaluate": COMPARED,
}
