"""Phantoms: parametric anatomy, imaged and written to disk in the layout of the dataset it stands in for.

``shapes`` has solids on a grid, ``fields`` random fields, ``lesions`` puts a round disease into a tissue, ``masses`` an
irregular one that pushes its surroundings aside: ``brain_tumour``. ``thorax_anatomy``,
``brain_anatomy`` and ``abdomen_anatomy`` draw a patient, ``thorax``, ``brain`` and ``abdomen`` (with
``abdomen_painting`` and ``abdomen_tissues``) paint a label map and give its tissues, ``ct``, ``mr`` and
``spin_echo`` image a label map, ``luna16``, ``gsp``, ``chaos`` and ``brats`` write the volumes into a ``folder``.
"""

from tools.data.phantoms.abdomen import abdomen_ct, abdomen_t1, abdomen_t2, abdomen_true_ct
from tools.data.phantoms.abdomen_body import AbdomenBody
from tools.data.phantoms.abdomen_tissues import ABDOMEN_CT, ABDOMEN_MR, Abdomen
from tools.data.phantoms.brain import BRAIN_TISSUES, Brain, brain_labels, brain_t1
from tools.data.phantoms.brain_tumour import TUMOUR_TISSUES, Tumour, tumour_mr
from tools.data.phantoms.brats import write_brats_phantoms
from tools.data.phantoms.chaos import write_chaos_phantoms
from tools.data.phantoms.gsp import write_gsp_phantoms
from tools.data.phantoms.luna16 import write_luna16_phantoms
from tools.data.phantoms.thorax import THORAX_TISSUES, Thorax, thorax_ct, thorax_labels

__all__ = [
    "ABDOMEN_CT",
    "ABDOMEN_MR",
    "BRAIN_TISSUES",
    "THORAX_TISSUES",
    "TUMOUR_TISSUES",
    "Abdomen",
    "AbdomenBody",
    "Brain",
    "Thorax",
    "Tumour",
    "abdomen_ct",
    "abdomen_t1",
    "abdomen_t2",
    "abdomen_true_ct",
    "brain_labels",
    "brain_t1",
    "thorax_ct",
    "thorax_labels",
    "tumour_mr",
    "write_brats_phantoms",
    "write_chaos_phantoms",
    "write_gsp_phantoms",
    "write_luna16_phantoms",
]
