"""`metadata.json`."""

from __future__ import annotations

from tools.catalogue.chest_control.entry import ControlBundle
from tools.catalogue.chest_flow.entry import PHANTOM, WINDOW
from tools.catalogue.diffusion.metadata import MAISI, RECTIFIED_FLOW
from tools.catalogue.metadata import metadata as metadata_of
from tools.catalogue.parts import Config

CONTROLNET = "Zhang L, Rao A, Agrawala M. Adding conditional control to text-to-image diffusion models. ICCV 2023."


def metadata(bundle: ControlBundle) -> Config:
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
    names = ", ".join(bundle.labels)
    return metadata_of(
        "generate",
        {"0.1.0": "first version: training, inference and evaluation of a ControlNet from label maps to chest CT"},
        {
            "name": "ControlNet: chest CT of label maps",
            "task": "Generation of synthetic chest CT that fits given label maps",
            "description": "A rectified flow on chest CT that a ControlNet steers by label maps, or that sees them as "
            "further channels: each label map becomes CT of its own size and spacing, another one for each seed. Image "
            "and label map are written as a labelled folder, to train a segmentation network on.",
            "authors": "Contributors of this project; ControlNet is by L. Zhang, A. Rao and M. Agrawala, the networks "
            "are MAISI's, by P. Guo and others",
            "copyright": "Contributors of this project",
            "data_source": "chest CT with label maps of your own, in nnU-Net's layout; without them, thorax phantoms "
            "that the bundle makes",
            "data_type": "NIfTI",
            "image_classes": "a volume with noise: independent standard normal numbers at the beginning",
            "label_classes": f"label map that is given: {names}; a channel each, 1 inside and -1 outside",
            "pred_classes": "velocity from noise to a volume, whose intensities in [-1, 1] stand for "
            f"[{low}, {high}] HU",
            "eval_metrics": {},
            "intended_use": "Research on synthetic images. Not for diagnosis or any other clinical use.",
            "references": [CONTROLNET, RECTIFIED_FLOW, MAISI],
        },
        {**tensor, "format": "latent"},
        {**tensor, "format": "latent"},
        also=("einops", "highdicom"),  # of the network and of labelled folders
    )
