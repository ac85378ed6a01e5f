"""`metadata.json`."""

from __future__ import annotations

from tools.catalogue.diffusion.metadata import MAISI, RECTIFIED_FLOW
from tools.catalogue.latent_diffusion.entry import LatentBundle
from tools.catalogue.metadata import metadata as metadata_of
from tools.catalogue.parts import Config

LATENT_DIFFUSION = (
    "Rombach R, Blattmann A, Lorenz D, Esser P, Ommer B. High-resolution image synthesis with latent diffusion models. "
    "CVPR 2022, arXiv 2112.10752."
)
BRAIN = (
    "Pinaya WHL, Tudosiu PD, Dafflon J, Da Costa PF, Fernandez V, Nachev P, Ourselin S, Cardoso MJ. Brain imaging "
    "generation with latent diffusion models. DGM4MICCAI 2022, arXiv 2209.07162."
)


def metadata(bundle: LatentBundle) -> Config:
    with_labels = f" with its labels, {' and '.join(bundle.labels)}," if bundle.labels else ""
    channels, *size = bundle.latent_shape
    tensor = {
        "type": "image",
        "format": "latent",
        "num_channels": channels,
        "spatial_shape": size,
        "dtype": "float32",
        "value_range": [],
        "is_patch_data": False,
        "channel_def": {str(number): f"latent {number + 1}" for number in range(channels)},
    }
    return metadata_of(
        "generate",
        {"0.1.0": f"first version: training of both stages, inference and evaluation on {bundle.what}"},
        {
            "name": f"Latent diffusion: {bundle.title}",
            "task": f"Generation of synthetic {bundle.what}{' with its labels' if bundle.labels else ''}",
            "description": f"An autoencoder of {bundle.what}{with_labels} and a rectified flow of its latents: noise "
            "becomes a latent in a few steps, which is decoded to a volume.",
            "authors": "Contributors of this project; latent diffusion is by R. Rombach, A. Blattmann, D. Lorenz, P. "
            "Esser and B. Ommer",
            "copyright": "Contributors of this project",
            "data_source": f"{bundle.dataset.source}; without it, phantoms that the bundle makes",
            "data_type": bundle.dataset.files,
            "image_classes": "a latent with noise: independent standard normal numbers at the beginning",
            "label_classes": "none: samples have no class",
            "pred_classes": "velocity from noise to a latent, whose standard deviation is 1",
            "eval_metrics": {},
            "intended_use": "Research on synthetic images. Not for diagnosis or any other clinical use.",
            "references": [
                LATENT_DIFFUSION,
                BRAIN,
                RECTIFIED_FLOW,
                MAISI,
                *([bundle.dataset.reference] if bundle.dataset.reference else []),
            ],
        },
        tensor,
        dict(tensor),
        also=("einops", *(["highdicom"] if bundle.labels else [])),
    )
