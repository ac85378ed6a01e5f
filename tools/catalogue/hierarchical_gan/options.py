"""What the options of GANs of volumes do, a sentence each."""

from __future__ import annotations

OPTIONS = {
    "train": {
        "iterations": "at least so many iterations, in the place of `max_epochs`",
        "num_classes": "trains by class if above 0",
        "labels": "table with columns `id` and `label`, for training by class",
        "validation_subsets": "subsets of LUNA16 that are for validation",
        "learning_rates": "of each update",
        "ema_decay": "of the averaged generator; 0 takes the last weights",
        "crf_nodes": "`slices`, or `channels` as in the released code",
        "crf_iterations": "over which the CRF's share falls to 0; null: over the run that is made",
        "objective#feedback": "how the generator hears D and the CRF: `blend`, or `sum` as in Eq. 1",
        "objective#crf_weight": "the CRF's share at the first iteration",
        "objective#discriminator_class_weight": "of the auxiliary classifier in D's loss",
        "objective#generator_class_weight": "of the auxiliary classifier in the generator's loss",
        "latent_dim": "size of the latent vector",
        "base_channels": "width of the generator",
        "discriminator_channels": "width of the discriminator's widest layer",
        "sub_encoder_channels": "width of the sub-encoder's widest layer",
        "implementation": "`optimised`, or `reference`: step by step as the released code does, for comparisons; "
        "slower, with more memory; it brings back what is said above and no more",
        "compile": "compiles what the losses call of the networks by TorchInductor, which needs a C++ compiler and "
        "minutes before the first step; on a CPU, at 32 voxels, no faster",
        "checkpointing": "saves memory: volumes go one after the other, and GL's activations are computed again in the "
        "backward pass",
    },
    "inference": {
        "num_volumes": "how many volumes are made",
        "seed": "of the first volume; the others have the following ones",
        "class_label": "class of all volumes, for weights that were trained by class",
        "slab_length": "slices that are made at a time, to save memory; 0: all at once",
        "field_of_view": "extent of a volume in mm, axial first",
        "dataset_dir": "not used: volumes are made from seeds",
    },
    "reconstruct": {
        "dataset_dir": "folder with the volumes to be reconstructed",
        "class_label": "class in which they are generated again, for weights that were trained by class",
        "encoders_path": "weights of the encoders",
    },
    "evaluate": {
        "reference": "what is compared with: `validation`, or `training` as the released code does",
        "num_synthetic": "how many volumes are made for the comparison",
    },
}
