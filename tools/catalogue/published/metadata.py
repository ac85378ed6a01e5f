"""`metadata.json`."""

from __future__ import annotations

from tools.catalogue.metadata import metadata as metadata_of
from tools.catalogue.parts import Config
from tools.catalogue.published.entry import PublishedBundle

VERSION = "0.1.0"


def metadata(bundle: PublishedBundle) -> Config:
    latent_halvings = 2 ** bundle.halvings[1]
    tensor = {"type": "image", "dtype": "float32", "is_patch_data": False}
    labels = "; with labels, 133 classes of organs, bones, vessels and tumours" if bundle.labelled else ""
    return metadata_of(
        "generate",
        {VERSION: f"first version: inference and evaluation of published weights that make {bundle.what}"},
        {
            "name": f"{bundle.title}: published weights",
            "task": f"Generation of synthetic {bundle.what}",
            "description": "Runs weights of a latent diffusion that others have trained and published, "
            f"{bundle.source}: noise becomes {bundle.what}, as NIfTI or DICOM. The weights are fetched, and their "
            "licence accepted, by python -m tools fetch_weights; the bundle trains nothing.",
            "authors": "Contributors of this project; the weights are their publishers'",
            "copyright": "Contributors of this project, without the weights",
            "data_source": bundle.trained_on,
            "data_type": "none: noise of a seed" + (", or label maps in NIfTI" if bundle.labelled else ""),
            "image_classes": "latents: independent standard normal numbers before they are denoised",
            "label_classes": "none" + labels,
            "pred_classes": f"{bundle.what}, intensities in [-1, 1]",
            "eval_metrics": {},
            "intended_use": "Research on synthetic images. Not for diagnosis or any other clinical use.",
            "references": list(bundle.references),
        },
        {
            **tensor,
            "format": "latent",
            "num_channels": bundle.latent_channels,
            "spatial_shape": [f"{latent_halvings}*n"] * 3,
            "value_range": [],
            "channel_def": {str(n): f"latent {n}" for n in range(bundle.latent_channels)},
        },
        {
            **tensor,
            "format": "magnitude" if bundle.modality == "MR" else "hounsfield",
            "num_channels": 1,
            "spatial_shape": [f"{bundle.divisor}*n"] * 3,
            "value_range": [-1, 1],
            "channel_def": {"0": bundle.modality.lower()},
        },
        also=("einops", "highdicom"),  # of the networks and of labelled folders
    )
