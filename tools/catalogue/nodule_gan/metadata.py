"""`metadata.json`."""

from __future__ import annotations

from tools.catalogue.metadata import metadata as metadata_of
from tools.catalogue.nodule_gan.entry import WINDOW, NoduleBundle
from tools.catalogue.parts import Config
from tools.datasets.luna16 import LUNA16

BU = (
    "Bu T, Yang Z, Jiang S, Zhang G, Zhang H, Wei L. 3D conditional generative adversarial network-based synthetic "
    "medical image augmentation for lung nodule detection. Int J Imaging Syst Technol 31(2):670-681, 2021."
)
HAN = (
    "Han C, Kitamura Y, Kudo A, Ichinose A, Rundo L, Furukawa Y, Umemoto K, Li Y, Nakayama H. Synthesizing diverse "
    "lung nodules wherever massively: 3D multi-conditional GAN-based CT image augmentation for object detection. 3DV "
    "2019, arXiv 1906.04962."
)


def metadata(bundle: NoduleBundle) -> Config:
    low, high = WINDOW
    crop = {"type": "image", "spatial_shape": [32, 32, 32], "dtype": "float32", "is_patch_data": True}
    return metadata_of(
        "generate",
        {"0.1.0": "first version: training, inference, painting of whole scans and evaluation"},
        {
            "name": "Nodules painted into chest CT",
            "task": "Generation of lung nodules in their surroundings",
            "description": "A conditional GAN in 3D that paints a lung nodule of the size that is asked for into a "
            "hole of a chest CT, by what is around it: crops with labels, and whole scans with a table of their "
            "nodules, to train a detector on.",
            "authors": "Contributors of this project; the method is by T. Bu, Z. Yang, S. Jiang, G. Zhang, H. Zhang "
            "and L. Wei, of whose paper the abstract was at hand",
            "copyright": "Contributors of this project",
            "data_source": f"{LUNA16.source}, with its annotations.csv; without it, thorax phantoms with nodules that "
            "the bundle makes",
            "data_type": LUNA16.files,
            "image_classes": f"crop of a chest CT, [-1, 1] stands for [{low}, {high}] HU; hole, 1 inside; diameter of "
            "the nodule as a share of the crop's side; standard normal noise",
            "label_classes": "the crop as it was",
            "pred_classes": f"crop with a nodule, [-1, 1] stands for [{low}, {high}] HU; outside of the hole it is the "
            "crop that was given",
            "eval_metrics": {},
            "intended_use": "Research on synthetic images. Not for diagnosis or any other clinical use.",
            "references": [BU, HAN, LUNA16.reference],
        },
        {
            **crop,
            "format": "hounsfield",
            "num_channels": 4,
            "value_range": [],
            "channel_def": {"0": "crop", "1": "hole", "2": "diameter", "3": "noise"},
        },
        {**crop, "format": "hounsfield", "num_channels": 1, "value_range": [-1, 1], "channel_def": {"0": "image"}},
        also=("highdicom",),  # of labelled folders
    )
