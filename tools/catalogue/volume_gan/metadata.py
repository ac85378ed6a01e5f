"""`metadata.json`."""

from __future__ import annotations

from tools.catalogue.metadata import metadata as metadata_of
from tools.catalogue.parts import Config
from tools.catalogue.volume_gan.entry import VolumeGANBundle


def metadata(bundle: VolumeGANBundle) -> Config:
    method = bundle.method
    latent = bundle.phantom["latent_dim"]
    distribution = "uniform in [0, 1)" if method.uniform else "standard normal"
    does = "training, inference, reconstruction" if method.encoder else "training, inference"
    return metadata_of(
        "generate",
        {"0.1.0": f"first version: {does} and evaluation of {method.name} on {bundle.what}"},
        {
            "name": f"{method.name}: {bundle.title}",
            "task": f"Generation of synthetic {bundle.what} volumes{' with their labels' if bundle.labels else ''}",
            "description": method.description.format(what=bundle.what)
            + (f" Labels, {' and '.join(bundle.labels)}, are channels of the same sample." if bundle.labels else ""),
            "authors": f"Contributors of this project; the method is by {method.authors}",
            "copyright": "Contributors of this project",
            "data_source": f"{bundle.dataset.source}; without it, phantoms that the bundle makes",
            "data_type": bundle.dataset.files,
            "image_classes": f"latent vector of independent numbers, {distribution}",
            "label_classes": "none: samples have no class",
            "pred_classes": "a volume with intensities in [-1, 1]"
            + (", and a label is above 0 inside of its class" if bundle.labels else ""),
            "eval_metrics": {},
            "intended_use": "Research on synthetic images. Not for diagnosis or any other clinical use.",
            "references": [*method.papers, *([bundle.dataset.reference] if bundle.dataset.reference else [])],
        },
        {
            "type": "feature",
            "format": "latent",
            "num_channels": latent,
            "spatial_shape": [],
            "dtype": "float32",
            "value_range": [0, 1] if method.uniform else [],
            "is_patch_data": False,
            "channel_def": {"0": "latent vector"},
        },
        {
            "type": "image",
            "format": bundle.samples.intensities,
            "num_channels": len(bundle.channels),
            "spatial_shape": bundle.grid(bundle.phantom_size),
            "dtype": "float32",
            "value_range": [-1, 1],
            "is_patch_data": False,
            "channel_def": {str(number): name for number, name in enumerate(bundle.channels)},
        },
        also=("highdicom",) if bundle.labels else (),
    )
