"""What the options of diffusion and rectified flow on labelled volumes do, a sentence each."""

from __future__ import annotations

IN_PRECISION = {
    "precision": "of the network while noise becomes samples: `fp32`, `bf16` or `fp16`; all else is computed in fp32"
}
"""Of inference and inpainting."""

ENLARGED = {
    "enlarge": "voxels a side of the files for each of the network's volumes: images and label channels are linear in "
    "between, and then each voxel gets its class"
}
"""Of the inference of labelled volumes."""

COMPARED = {
    "reference": "what is compared with: `validation` or `training`",
    "num_synthetic": "how many volumes are made for the comparison",
}
"""Of an evaluation that makes volumes from seeds."""

EVALUATED_IN_PRECISION = {
    "precision": "of the network while noise becomes samples, as in inference; not that of the training"
}

OPTIONS = {
    "train": {
        "image_size": "rows of what the network sees, in voxels",
        "volume_size": "slices, rows and columns of what the network sees, in voxels",
        "iterations": "at least so many iterations, in the place of `max_epochs`",
        "images": "scale of each image by its name: a percentile for MR, a window in HU for CT",
        "labels": "value in the files of each class, by its name",
        "network_channels": "width of each level of the network, of which all but the first halve the volume",
        "num_res_blocks": "residual blocks of each level",
        "patch": "side of the patches, in voxels, that the network takes as channels of one place; 2 saves most of its "
        "work",
        "preconditioned": "lets the network say only what a linear guess of the flow's velocity lacks, which it learns "
        "much faster; false for a training that was begun without",
        "components": "principal components of the training set that this guess knows; 0 for a guess of each voxel by "
        "itself, for a training that was begun so",
        "uniform_side": "side in voxels of a volume that is sampled at uniform times; those of a larger one are nearer "
        "to noise; null for uniform times",
        "prediction": "what the network predicts: the `flow`, the noise, `epsilon`, or `v`",
        "sampler": "how samples are made unless of a flow: `ddim`, `pndm`, or `ddpm` with all steps",
        "steps": "steps from noise to a sample, in validation and evaluation",
        "learning_rates": "of the one update",
        "half_life": "of the averaged network, in images",
        "ramp_up": "share of the images seen so far to which `half_life` is limited",
        "label_weight": "weight of the squared error in label channels, relative to that in images",
        "augment": "share of the volumes that are turned, scaled and shifted a little, and of those in another "
        "contrast, each by itself",
    },
    "inference": {
        "num_volumes": "how many volumes are made",
        "seed": "of the first volume; the others have the following ones",
        "sampler": "how samples are made unless of a flow: `ddim`, `pndm`, or `ddpm` with all steps",
        "steps": "steps from noise to a sample",
        **IN_PRECISION,
        **ENLARGED,
        "field_of_view": "extent of a volume in mm, axial first",
        "dataset_dir": "not used: volumes are made from seeds",
    },
    "evaluate": COMPARED | EVALUATED_IN_PRECISION,
}
