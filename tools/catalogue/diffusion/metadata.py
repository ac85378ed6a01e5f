"""`metadata.json`."""

from __future__ import annotations

from tools.catalogue.diffusion.entry import JointBundle
from tools.catalogue.metadata import metadata as metadata_of
from tools.catalogue.parts import Config

RECTIFIED_FLOW = (
    "Liu X, Gong C, Liu Q. Flow straight and fast: learning to generate and transfer data with rectified flow. "
    "ICLR 2023."
)
MAISI = (
    "Guo P, Zhao C, Yang D, Xu Z, Nath V, Tang Y, Simon B, Belue M, Harmon S, Turkbey B, Xu D. MAISI: medical AI for "
    "synthetic imaging. WACV 2025, arXiv 2409.11169; with rectified flow: MAISI-v2, arXiv 2508.05772."
)
ESSER = (
    "Esser P, Kulal S, Blattmann A, et al. Scaling rectified flow transformers for high-resolution image synthesis. "
    "ICML 2024, arXiv 2403.03206."
)
KARRAS = (
    "Karras T, Aittala M, Aila T, Laine S. Elucidating the design space of diffusion-based generative models. "
    "NeurIPS 2022, arXiv 2206.00364."
)


def metadata(bundle: JointBundle) -> Config:
    names = " and ".join(bundle.labels)
    tensor = {
        "type": "image",
        "num_channels": len(bundle.channels),
        "spatial_shape": bundle.volume_size,
        "dtype": "float32",
        "value_range": [],
        "is_patch_data": False,
    }
    channels = {str(number): name for number, name in enumerate(bundle.channels)}
    return metadata_of(
        "generate",
        {"0.1.0": f"first version: training, inference and evaluation of a rectified flow on {bundle.what}"},
        {
            "name": f"Rectified flow: {bundle.title}",
            "task": f"Generation of synthetic {bundle.what} with its labels",
            "description": f"A rectified flow that generates {bundle.what} together with its labels, {names}: they are "
            "channels of one sample, which a U-Net makes of noise in a few steps, and the result is a labelled folder "
            "to train a segmentation network on.",
            "authors": "Contributors of this project; rectified flow is by X. Liu, C. Gong and Q. Liu",
            "copyright": "Contributors of this project",
            "data_source": f"{bundle.dataset.source}; without it, phantoms that the bundle makes",
            "data_type": bundle.dataset.files,
            "image_classes": "a sample with noise: independent standard normal numbers at the beginning",
            "label_classes": "none: samples have no class",
            "pred_classes": "velocity from noise to a sample; a sample's image has intensities in [-1, 1], and a label "
            "is above 0 inside of its class",
            "eval_metrics": {},
            "intended_use": "Research on synthetic images. Not for diagnosis or any other clinical use.",
            "references": [RECTIFIED_FLOW, MAISI, KARRAS, ESSER, bundle.dataset.reference],
        },
        {**tensor, "format": "latent", "channel_def": channels},
        {**tensor, "format": "latent", "channel_def": channels},
        also=("einops", "highdicom"),  # of the network and of labelled folders
    )
