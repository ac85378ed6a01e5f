"""What the options of chest CT of label maps do, a sentence each."""

from __future__ import annotations

from tools.catalogue.chest_flow.options import OPTIONS as CHEST_FLOW
from tools.catalogue.diffusion.options import EVALUATED_IN_PRECISION, IN_PRECISION
from tools.catalogue.diffusion.options import OPTIONS as DIFFUSION

OPTIONS = {
    "train": {
        **{
            id: CHEST_FLOW["train"][id]
            for id in ("image_size", "volume_size", "sizes", "whole", "iterations", "network_channels")
        },
        **{
            id: CHEST_FLOW["train"][id]
            for id in ("num_res_blocks", "patch", "preconditioned", "regions", "components", "uniform_side", "steps")
        },
        "images": DIFFUSION["train"]["images"],
        "labels": DIFFUSION["train"]["labels"],
        "control": "`controlnet`, or `concatenation`: label maps as further channels of one network",
        "denoiser_path": "weights of `rflow_luna16` that the ControlNet steers and that stay as they are; without them "
        "its denoiser is trained beside it",
        "learning_rates": "of both updates",
        "half_life": DIFFUSION["train"]["half_life"],
        "ramp_up": DIFFUSION["train"]["ramp_up"],
    },
    "inference": {
        "dataset_dir": "folder of label maps, see above; without it the phantoms of the training",
        "size": "columns, rows and slices into which a label map's extent is divided; its own without it",
        "num_volumes": "how many volumes are made",
        "seed": "of the first volume; the others have the following ones",
        "steps": "steps from noise to a volume",
        **IN_PRECISION,
        "dicom": "writes DICOM series with segmentations in the place of NIfTI",
    },
    "inpaint": {
        "dataset_dir": "folder of scans with label maps, see above; without it the phantoms of the training",
        "region": "class that is made anew where it is in the label map",
        "sphere": "one that gets this class first: x, y, z in mm of RAS, and diameter in mm",
        **{id: CHEST_FLOW["inpaint"][id] for id in ("margin", "context", "repeats")},
        "num_volumes": "how many scans are made, of those of the folder in turn",
        "seed": "of the first scan; the others have the following ones",
        "steps": "steps from noise to a volume",
        **IN_PRECISION,
        "dicom": "writes DICOM series with segmentations in the place of NIfTI",
    },
    "evaluate": {"reference": DIFFUSION["evaluate"]["reference"], **EVALUATED_IN_PRECISION},
}
