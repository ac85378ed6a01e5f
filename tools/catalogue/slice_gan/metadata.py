"""`metadata.json`."""

from __future__ import annotations

from tools.catalogue.metadata import metadata as metadata_of
from tools.catalogue.parts import Config
from tools.catalogue.slice_gan.entry import ConditionBundle
from tools.datasets.gsp import GSP

JUNG = (
    "Jung E, Luna M, Park SH. Conditional GAN with an attention-based generator and a 3D discriminator for 3D medical "
    "image generation. MICCAI 2021."
)


def metadata(bundle: ConditionBundle) -> Config:
    image = {
        "type": "image",
        "format": "magnitude",
        "modality": "MR",
        "spatial_shape": ["32*n", "32*n"],
        "dtype": "float32",
        "value_range": [-1, 1],
        "is_patch_data": False,
    }
    return metadata_of(
        "translate",
        {"0.1.0": "first version: training, inference and evaluation"},
        {
            "name": "Slices under a condition: brain T1",
            "task": "Translation of T1-weighted brain MR into what it would be under another condition",
            "description": "A GAN whose 2D generator turns each slice of a brain into the condition that is asked for, "
            "where its attention says that this matters, judged by a discriminator of slices and one of stacks.",
            "authors": "Contributors of this project; the method is by E. Jung, M. Luna and S. H. Park",
            "copyright": "Contributors of this project",
            "data_source": f"{GSP.source}, with a table of the condition; without it, brain phantoms that the bundle "
            "makes",
            "data_type": GSP.files,
            "image_classes": "axial slice of T1-weighted MR, intensities scaled to [-1, 1], and the condition that is "
            "asked for, a number in [0, 1], the same in each pixel",
            "label_classes": "the slices as they were",
            "pred_classes": "axial slice under the condition, [-1, 1] stands for [0, 1000]",
            "eval_metrics": {},
            "intended_use": "Research on synthetic images. Not for diagnosis or any other clinical use.",
            "references": [JUNG, GSP.reference],
        },
        {**image, "num_channels": 2, "channel_def": {"0": "T1", "1": "condition"}},
        {**image, "num_channels": 1, "channel_def": {"0": "image"}},
    )
