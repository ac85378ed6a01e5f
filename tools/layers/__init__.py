"""Parts that several networks use."""

from tools.layers.crf import MeanFieldCRF, axial_nodes
from tools.layers.plain import plain_form
from tools.layers.upsample import UpsampleConv3d

__all__ = ["MeanFieldCRF", "UpsampleConv3d", "axial_nodes", "plain_form"]
