"""Parts that several networks use."""

from tools.layers.crf import MeanFieldCRF, axial_nodes, axial_similarity, channel_nodes
from tools.layers.form import set_form
from tools.layers.upsample import UpsampleConv3d

__all__ = ["MeanFieldCRF", "UpsampleConv3d", "axial_nodes", "axial_similarity", "channel_nodes", "set_form"]
