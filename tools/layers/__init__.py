"""Parts that several networks use."""

from tools.layers.crf import MeanFieldCRF, axial_nodes, axial_similarity, channel_nodes
from tools.layers.implementation import check_implementation, set_implementation
from tools.layers.upsample import UpsampleConv3d

__all__ = [
    "MeanFieldCRF",
    "UpsampleConv3d",
    "axial_nodes",
    "axial_similarity",
    "channel_nodes",
    "check_implementation",
    "set_implementation",
]
