"""What `metadata.json` says of a generator that makes labelled slices of latent vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tools.catalogue.metadata import metadata
from tools.catalogue.parts import Config
from tools.catalogue.slices.data import SliceData
from tools.catalogue.slices.maker import PHANTOM_SIZE


def gan_metadata(
    data: SliceData, method: str, how: str, authors: str, papers: Sequence[str], latent_dim: int
) -> Config:
    """Return `metadata.json` of the first version; arguments as of `slice_words`, and the size of the latent."""
    given = f"latent vector of {latent_dim} independent standard normal numbers"
    return metadata(
        "generate",
        {"0.1.0": f"first version: training, inference and evaluation of {method} on {data.what}"},
        slice_words(data, method, how, authors, given, papers),
        latent_tensor(latent_dim),
        made_tensor(data, PHANTOM_SIZE),
        also=("highdicom",),  # of labelled folders
    )


def slice_words(data: SliceData, method: str, how: str, authors: str, given: str, papers: Sequence[str]) -> Config:
    """What is said in words.

    Args:
        data: dataset of the slices.
        method: name of the method.
        how: clause that says what the network is and does.
        authors: authors of the method.
        given: input of the network.
        papers: papers on the method.
    """
    if not data.images:
        return label_words(data, method, how, authors, given, papers)
    with_labels = f" together with their labels, {', '.join(data.labels)}," if data.labels else ""
    return {
        "name": f"{method}: {data.title}{' with labels' if data.labels else ''}",
        "task": f"Generation of synthetic {data.what}{' with their labels' if data.labels else ''}",
        "description": f"{method} for {data.what}{with_labels or ':'} {how}; the result is a labelled folder to train "
        "a segmentation network on.",
        "authors": f"Contributors of this project; the method is by {authors}",
        "copyright": "Contributors of this project",
        "data_source": f"{data.dataset.source}; without it, {data.phantoms} that the bundle makes",
        "data_type": data.dataset.files,
        "image_classes": given,
        "label_classes": ", ".join(f"{n} {name}" for n, name in enumerate(data.classes)) or "none by default",
        "pred_classes": "a sample, whose images have intensities in [-1, 1] up to what the network overshoots",
        "eval_metrics": {},
        "intended_use": "Research on synthetic images. Not for diagnosis or any other clinical use.",
        "references": [*papers, data.dataset.reference],
    }


def label_words(data: SliceData, method: str, how: str, authors: str, given: str, papers: Sequence[str]) -> Config:
    """The same of label maps without images."""
    images = replace(data, images=data.read_images)
    return slice_words(images, method, how, authors, given, papers) | {
        "name": f"{method}: {data.title}",
        "task": f"Generation of synthetic {data.what}",
        "description": f"{method} for {data.what}, {', '.join(data.labels)}: {how}; the result is a folder of label "
        "maps, of which another model makes images.",
        "pred_classes": "a label map, in which a channel is above 0 inside of its class",
    }


def latent_tensor(latent_dim: int) -> Config:
    return {
        "type": "feature",
        "format": "latent",
        "num_channels": latent_dim,
        "spatial_shape": [],
        "dtype": "float32",
        "value_range": [],
        "is_patch_data": False,
        "channel_def": {"0": "latent vector"},
    }


def made_tensor(data: SliceData, image_size: int) -> Config:
    return {
        "type": "image",
        "format": "magnitude",
        "num_channels": len(data.channels),
        "spatial_shape": [image_size, image_size],
        "dtype": "float32",
        "value_range": [],
        "is_patch_data": False,
        "channel_def": {str(number): name for number, name in enumerate(data.channels)},
    }
