"""`metadata.json`."""

from __future__ import annotations

from tools.catalogue.chest_flow.entry import PHANTOM, WINDOW, ChestBundle
from tools.catalogue.diffusion.metadata import ESSER, KARRAS, MAISI, RECTIFIED_FLOW
from tools.catalogue.metadata import metadata as metadata_of
from tools.catalogue.parts import Config


def metadata(bundle: ChestBundle) -> Config:
    tensor = {
        "type": "image",
        "num_channels": 1,
        "spatial_shape": [PHANTOM["image_size"]] * 3,
        "dtype": "float32",
        "value_range": [],
        "is_patch_data": False,
        "channel_def": {"0": "image"},
    }
    low, high = WINDOW
    return metadata_of(
        "generate",
        {
            "0.1.0": "first version: training, inference and evaluation of a rectified flow on chest CT, at the "
            "size and spacing that are asked for"
        },
        {
            "name": "Rectified flow: chest CT at any size and spacing",
            "task": "Generation of synthetic chest CT volumes of the size and spacing that are asked for",
            "description": "A rectified flow that generates chest CT. Its U-Net is told the spacing of the voxels and "
            "which part of the scan a volume shows, so that one network makes volumes of any number of voxels and any "
            "spacing, in a few steps from noise.",
            "authors": "Contributors of this project; rectified flow is by X. Liu, C. Gong and Q. Liu, the U-Net is of "
            "MAISI, by P. Guo and others",
            "copyright": "Contributors of this project",
            "data_source": f"{bundle.dataset.source}; without it, thorax phantoms that the bundle makes",
            "data_type": bundle.dataset.files,
            "image_classes": "a volume with noise: independent standard normal numbers at the beginning",
            "label_classes": "optional class of a volume, for conditional generation: 0 without nodules, 1 with "
            "nodules",
            "pred_classes": "velocity from noise to a volume, whose intensities in [-1, 1] stand for "
            f"[{low}, {high}] HU",
            "eval_metrics": {},
            "intended_use": "Research on synthetic images. Not for diagnosis or any other clinical use.",
            "references": [RECTIFIED_FLOW, MAISI, KARRAS, ESSER, bundle.dataset.reference],
        },
        {**tensor, "format": "latent"},
        {**tensor, "format": "latent"},
        also=("einops", "highdicom"),  # of the network and of DICOM series
    )
