"""Phantoms: parametric anatomy, imaged and written to disk in the layout of the dataset it stands in for.

``shapes`` has solids on a grid, ``fields`` random fields, ``lesions`` puts a round disease into a tissue, ``masses`` an
irregular one that pushes its surroundings aside: ``brain_tumour`` and ``bleeds``. ``thorax_anatomy``, ``brain_anatomy``
and ``abdomen_anatomy`` draw a patient, ``thorax``, ``brain``, ``head_ct`` and ``abdomen`` (with ``abdomen_painting``
and ``abdomen_tissues``) paint a label map and give its tissues, ``ct``, ``mr`` and ``spin_echo`` image a label map, and
a module named after each dataset writes the volumes into a ``folder``.
"""

from tools.former import former_names

__getattr__ = former_names(__name__)
