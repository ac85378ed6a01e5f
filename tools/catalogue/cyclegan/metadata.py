"""`metadata.json` of the family, and what its READMEs say of an entry."""

from __future__ import annotations

from tools.catalogue.cyclegan.entry import TranslationBundle
from tools.catalogue.metadata import REWORKED
from tools.catalogue.metadata import metadata as metadata_of
from tools.catalogue.parts import Config
from tools.datasets.chaos import CHAOS

MODALITY_NAMES = {"in_phase": "T1 in-phase", "out_phase": "T1 out-of-phase", "t2": "T2"}
PHANTOM_CT = {True: "contrast-enhanced", False: "non-contrast"}
PAPER = (
    "Crespi L, Camnasio S, Dei D, Lambri N, Mancosu P, Scorsetti M, Loiacono D. Leveraging multimodal CycleGAN for the "
    "generation of anatomically accurate synthetic CT scans from MRIs."
)
CYCLEGAN = (
    "Zhu JY, Park T, Isola P, Efros AA. Unpaired image-to-image translation using cycle-consistent adversarial "
    "networks. ICCV 2017."
)


def metadata(bundle: TranslationBundle) -> Config:
    names = [MODALITY_NAMES[modality] for modality in bundle.modalities]
    channels = [" or ".join(names)] if bundle.pool else names
    image = {
        "spatial_shape": ["32*n", "32*n"],
        "dtype": "float32",
        "value_range": [-1, 1],
        "is_patch_data": False,
    }
    says = {
        "name": f"CycleGAN MR to CT: {bundle.title}",
        "task": "Translation of abdominal MR into synthetic CT",
        "description": f"CycleGAN that translates {_what(bundle)} into {PHANTOM_CT[bundle.contrast_ct]} abdominal CT, "
        "trained without pairs, slice by slice or in thin slabs.",
        "authors": "Contributors of this project; the method is by L. Crespi, S. Camnasio, D. Dei, N. Lambri, "
        "P. Mancosu, M. Scorsetti and D. Loiacono",
        "copyright": "Contributors of this project",
        "data_source": bundle.data or f"{CHAOS.source}; without it, abdomen phantoms that the bundle makes",
        "data_type": CHAOS.files,
        "image_classes": f"axial MR slice ({', '.join(channels)}), intensities scaled to [-1, 1]",
        "label_classes": "axial CT slices of other patients; [-1, 1] stands for [-1000, 1000] HU",
        "pred_classes": "axial CT slice, [-1, 1] stands for [-1000, 1000] HU",
        "eval_metrics": {},
        "intended_use": "Research on synthetic images. Not for diagnosis, treatment planning or any other clinical "
        "use.",
        "references": [PAPER, CYCLEGAN, CHAOS.reference],
    }
    return metadata_of(
        "translate",
        {**REWORKED, "0.1.0": "first version: training, inference in both directions and evaluation"},
        says,
        {
            "type": "image",
            "format": "magnitude",
            "modality": "MR",
            "num_channels": len(channels),
            **image,
            "channel_def": {str(number): name for number, name in enumerate(channels)},
        },
        {
            "type": "image",
            "format": "hounsfield",
            "modality": "CT",
            "num_channels": 1,
            **image,
            "channel_def": {"0": "image"},
        },
    )


def _what(bundle: TranslationBundle) -> str:
    """The MR that is translated, in a sentence."""
    names = [MODALITY_NAMES[modality] for modality in bundle.modalities]
    if len(names) == 1:
        further = ", with further T1 volumes from elsewhere in training," if bundle.own_mr else ""
        return f"{names[0]} MR{further}"
    # the second T1 in a row needs no T1: T1 in-phase and out-of-phase
    if all(name.startswith("T1 ") for name in names):
        names = [names[0], *(name.removeprefix("T1 ") for name in names[1:])]
    if bundle.pool:
        return f"T1 MR, {' or '.join(name.removeprefix('T1 ') for name in names)},"
    return f"{', '.join(names[:-1])} and {names[-1]} MR, together,"


PARAMETERS = {1: (11_365_633, 11_365_633), 2: (16_589_825, 11_737_602), 3: (21_748_225, 12_109_571)}
"""Branches -> learnable parameters of the generators to CT and to MR."""


def facts(bundle: TranslationBundle) -> Config:
    """Return what the README says of this bundle besides its entry's fields."""
    return {
        "what": _what(bundle),
        "contrast": PHANTOM_CT[bundle.contrast_ct],
        "parameters": PARAMETERS[len(bundle.branches)],
    }
