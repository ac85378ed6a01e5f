"""What the options of painted nodules do, a sentence each."""

from __future__ import annotations

from tools.catalogue.diffusion.options import OPTIONS as DIFFUSION

SCANS = "folder of chest CT, LUNA16's or any; without it the phantoms of the training"
DIAMETERS = "least and greatest diameter of nodules in mm; between them their logarithm is uniform"
MARGIN = "mm around a nodule that are painted too"

OPTIONS = {
    "train": {
        "images": DIFFUSION["train"]["images"],
        "labels": DIFFUSION["train"]["labels"],
        "validation_subsets": "subsets of LUNA16 that are for validation",
        "voxel_size": "side of a crop's voxels in mm",
        "margins": "least and greatest margin of a hole around its nodule in mm, drawn anew for each iteration",
        "channels": "width of the generator's first level",
        "discriminator_channels": "width of the discriminator's first layer",
        "learning_rates": "of both updates",
        "objective#l1_weight": "of L1 in the hole",
        "objective#flip": "probability with which each axis of a crop is turned",
        "compile": "compiles the networks by TorchInductor, which needs a C++ compiler",
    },
    "inference": {
        "dataset_dir": SCANS,
        "num_volumes": "how many crops are made",
        "seed": "of the first crop; the others have the following ones",
        "diameters": DIAMETERS,
        "margin": MARGIN,
        "phantoms": "as in training, where no data are given",
    },
    "inpaint": {
        "dataset_dir": SCANS,
        "num_volumes": "how many scans are painted, the first of the folder",
        "seed": "of the first scan; the others have the following ones",
        "nodules": "how many are painted into a scan, at places in the lungs that follow from its seed",
        "diameters": DIAMETERS,
        "places": "table in the form of LUNA16's `annotations.csv` that says where to paint which nodules",
        "margin": MARGIN,
        "phantoms": "as in training, where no data are given",
    },
    "evaluate": {"reference": DIFFUSION["evaluate"]["reference"]},
}
