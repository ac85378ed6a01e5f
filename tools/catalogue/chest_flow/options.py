"""What the options of rectified flow on chest CT do, a sentence each."""

from __future__ import annotations

from tools.catalogue.diffusion.options import IN_PRECISION
from tools.catalogue.diffusion.options import OPTIONS as DIFFUSION
from tools.catalogue.hierarchical_gan.options import OPTIONS as GAN

OPTIONS = {
    "train": {
        "image_size": "side of the cubes of voxels in which volumes are kept, and of those that are validated",
        "volume_size": "slices, rows and columns of these",
        "sizes": "voxels along an axis that a view of a volume may have, of which one is drawn in each iteration",
        "whole": "share of the views that show a whole volume; others show a part, at a finer spacing",
        "iterations": DIFFUSION["train"]["iterations"],
        "network_channels": DIFFUSION["train"]["network_channels"],
        "num_res_blocks": DIFFUSION["train"]["num_res_blocks"],
        "patch": DIFFUSION["train"]["patch"],
        "preconditioned": DIFFUSION["train"]["preconditioned"],
        "components": DIFFUSION["train"]["components"],
        "uniform_side": DIFFUSION["train"]["uniform_side"],
        "regions": "axes along which the network is told which part of the scan a view shows: 3; 1, the height alone, "
        "for trainings that were begun so; 0 for none",
        "num_classes": GAN["train"]["num_classes"],
        "labels": GAN["train"]["labels"],
        "drop_class": "share of the volumes whose class is withheld, for guidance",
        "validation_subsets": GAN["train"]["validation_subsets"],
        "steps": DIFFUSION["train"]["steps"],
        "learning_rates": DIFFUSION["train"]["learning_rates"],
        "half_life": DIFFUSION["train"]["half_life"],
        "ramp_up": DIFFUSION["train"]["ramp_up"],
    },
    "inference": {
        "size": "columns, rows and slices of a volume, in the order of a NIfTI's header",
        "spacing": "mm from voxel to voxel along these",
        "num_volumes": "how many volumes are made",
        "seed": "of the first volume; the others have the following ones",
        "steps": "steps from noise to a volume",
        **IN_PRECISION,
        "class_label": GAN["inference"]["class_label"],
        "guidance": "weight of the class; 1 for none beyond the network's own",
        "dicom": "writes a DICOM series beside the NIfTI",
        "dataset_dir": "not used: volumes are made from seeds",
    },
    "inpaint": {
        "dataset_dir": "folder of chest CT, LUNA16's or any; without it the phantoms of the training",
        "sphere": "one that is made anew: x, y, z in mm of RAS, and diameter in mm; without it a place in the lungs "
        "that follows from the seed",
        "diameters": "least and greatest diameter of such a sphere in mm; between them its logarithm is uniform",
        "margin": "mm around these that are made anew too",
        "context": "voxels around these that the network sees",
        "repeats": "times that each step is made, so that both parts come to fit (RePaint)",
        "num_volumes": "how many scans are made, the first of the folder",
        "seed": "of the first scan; the others have the following ones",
        "steps": "steps from noise to a volume",
        **IN_PRECISION,
        "class_label": GAN["inference"]["class_label"],
        "guidance": "weight of the class; 1 for none beyond the network's own",
        "dicom": "writes DICOM series with segmentations in the place of NIfTI",
        "phantoms": "as in training, where no data are given",
    },
    "evaluate": DIFFUSION["evaluate"],
}
