"""Phantoms: parametric anatomy, imaged and written to disk in the layout of the dataset it stands in for.

``shapes`` has solids on a grid, ``fields`` random fields, ``lesions`` puts a disease into a tissue. ``thorax_anatomy``,
``brain_anatomy`` and ``abdomen_anatomy`` draw a patient, ``thorax``, ``brain`` and ``abdomen`` (with
``abdomen_painting`` and ``abdomen_tissues``) paint a label map and give its tissues, ``ct`` and ``mr`` image a label
map, ``luna16``, ``gsp`` and ``chaos`` write the volumes into a ``folder``.
"""

from tools.data.phantoms.abdomen import abdomen_ct, abdomen_t1, abdomen_t2, abdomen_true_ct
from tools.data.phantoms.abdomen_body import AbdomenBody
from tools.data.phantoms.abdomen_tissues import ABDOMEN_CT, ABDOMEN_MR, Abdomen
from tools.data.phantoms.brain import BRAIN_TISSUES, Brain, brain_labels, brain_t1
from tools.data.phantoms.chaos import write_chaos_phantoms
from tools.data.phantoms.gsp import write_gsp_phantoms
from tools.data.phantoms.luna16 import write_luna16_phantoms
from tools.data.phantoms.thorax import THORAX_TISSUES, Thorax, thorax_ct, thorax_labels

__all__ = [
    "ABDOMEN_CT",
    "ABDOMEN_MR",
    "BRAIN_TISSUES",
    "THORAX_TISSUES",
    "Abdomen",
    "AbdomenBody",
    "Brain",
    "Thorax",
    "abdomen_ct",
    "abdomen_t1",
    "abdomen_t2",
    "abdomen_true_ct",
    "brain_labels",
    "brain_t1",
    "thorax_ct",
    "thorax_labels",
    "write_chaos_phantoms",
    "write_gsp_phantoms",
    "write_luna16_phantoms",
]
