"""What is said of a bundle of either method: `metadata.json`, the terms of its data, and facts for its README."""

from __future__ import annotations

from tools.catalogue.hierarchical_gan.method import VolumeBundle
from tools.catalogue.metadata import REWORKED
from tools.catalogue.metadata import metadata as metadata_of
from tools.catalogue.parts import Config
from tools.catalogue.terms import PHANTOMS, data_license


def metadata(bundle: VolumeBundle) -> Config:
    method, data = bundle.method, bundle.data
    says = {
        "name": f"{method.name} {data.title}",
        "task": f"Generation of synthetic {data.what} volumes",
        "description": method.description.format(what=data.what),
        "authors": f"Contributors of this project; the method is by {method.authors}",
        "copyright": "Contributors of this project",
        "data_source": f"{data.dataset.source}; without it, {data.phantoms} that the bundle makes",
        "data_type": data.dataset.files,
        "image_classes": "latent vector of 1024 independent standard normal numbers",
        "label_classes": "optional class of a volume, for conditional generation: "
        f"0 without {data.classes}, 1 with {data.classes}",
        "pred_classes": data.made,
        "eval_metrics": {},
        "intended_use": "Research on synthetic images. Not for diagnosis or any other clinical use.",
        "references": [*method.papers, data.dataset.reference],
    }
    return metadata_of(
        "generate",
        {**REWORKED, "0.1.0": f"first version: {method.does} of {method.name} on {data.short}"},
        says,
        {
            "type": "feature",
            "format": "latent",
            "num_channels": 1024,
            "spatial_shape": [],
            "dtype": "float32",
            "value_range": [],
            "is_patch_data": False,
            "channel_def": {"0": "latent vector"},
        },
        {
            "type": "image",
            "format": data.intensities,
            "num_channels": 1,
            "spatial_shape": [64, 64, 64],
            "dtype": "float32",
            "value_range": [-1, 1],
            "is_patch_data": False,
            "channel_def": {"0": "image"},
        },
    )


def facts(bundle: VolumeBundle) -> Config:
    """Return what the README says of this bundle besides its entry's fields."""
    return {"method": bundle.method.name, "network": bundle.method.generator}


def terms(bundle: VolumeBundle) -> str:
    return data_license(bundle.data.dataset.terms, PHANTOMS)
