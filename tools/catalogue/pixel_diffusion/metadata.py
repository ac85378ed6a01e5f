"""`metadata.json`."""

from __future__ import annotations

from tools.catalogue.metadata import metadata as metadata_of
from tools.catalogue.parts import Config
from tools.catalogue.slices.maker import SliceBundle

PAPERS = (
    "Ho J, Jain A, Abbeel P. Denoising diffusion probabilistic models. NeurIPS 2020, arXiv 2006.11239.",
    "Song J, Meng C, Ermon S. Denoising diffusion implicit models. ICLR 2021, arXiv 2010.02502.",
    "Ho J, Salimans T. Classifier-free diffusion guidance. arXiv 2207.12598, 2022.",
    "Salimans T, Ho J. Progressive distillation for fast sampling of diffusion models. ICLR 2022, arXiv 2202.00512.",
    "Akbar MU, Larsson M, Blystad I, Eklund A. Brain tumor segmentation using synthetic MR images: a comparison of "
    "GANs and diffusion models. Sci Data 11:259, 2024.",
)


def metadata(bundle: SliceBundle) -> Config:
    data = bundle.data
    channels = {str(number): name for number, name in enumerate(data.channels)}
    tensor = {
        "type": "image",
        "format": "latent",
        "num_channels": len(channels),
        "spatial_shape": ["32*n", "32*n"],
        "dtype": "float32",
        "value_range": [],
        "is_patch_data": False,
        "channel_def": channels,
    }
    return metadata_of(
        "generate",
        {"0.1.0": f"first version: training, inference and evaluation of diffusion on {data.what}"},
        {
            "name": f"Pixel diffusion: {data.title} with labels",
            "task": f"Generation of synthetic {data.what} with their labels",
            "description": f"A denoising diffusion model that generates {data.what} together with their labels, "
            f"{', '.join(data.labels)}: they are channels of one sample, which a U-Net makes of noise, by class or "
            "without, and the result is a labelled folder to train a segmentation network on.",
            "authors": "Contributors of this project; diffusion models are by J. Ho, A. Jain and P. Abbeel",
            "copyright": "Contributors of this project",
            "data_source": f"{data.dataset.source}; without it, {data.phantoms} that the bundle makes",
            "data_type": data.dataset.files,
            "image_classes": "a sample with noise: independent standard normal numbers at the beginning",
            "label_classes": ", ".join(f"{n} {name}" for n, name in enumerate([*data.classes, "not said"])),
            "pred_classes": "noise in a sample; a sample's images have intensities in [-1, 1], and a label is above 0 "
            "inside of its class",
            "eval_metrics": {},
            "intended_use": "Research on synthetic images. Not for diagnosis or any other clinical use.",
            "references": [*PAPERS, data.dataset.reference],
        },
        tensor,
        tensor,
        also=("einops", "highdicom"),  # of the network and of labelled folders
    )
