"""`metadata.json` of both methods."""

from __future__ import annotations

from tools.catalogue.hierarchical_gan.method import Method, VolumeBundle
from tools.catalogue.metadata import REWORKED
from tools.catalogue.metadata import metadata as metadata_of
from tools.catalogue.parts import Config


def metadata(bundle: VolumeBundle, method: Method) -> Config:
    data = bundle.data
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
