"""Phantoms: parametric anatomy, imaged and written to disk in the layout of the dataset it stands in for.

``shapes`` has solids on a grid, ``thorax_anatomy`` draws a patient's chest, ``thorax`` paints it into a label map and
gives its tissues, ``ct`` images a label map, ``luna16`` writes the volumes.
"""

from tools.data.phantoms.luna16 import write_luna16_phantoms
from tools.data.phantoms.thorax import THORAX_TISSUES, Thorax, thorax_ct, thorax_labels

__all__ = ["THORAX_TISSUES", "Thorax", "thorax_ct", "thorax_labels", "write_luna16_phantoms"]
