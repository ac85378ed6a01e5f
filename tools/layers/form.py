"""How a network computes: fast, or as the papers' code does. The function and the weights are the same."""

from __future__ import annotations

import math

import torch
from torch import nn

from tools.layers.upsample import UpsampleConv3d


def set_form(network: nn.Module, plain: bool = False) -> nn.Module:
    """Arrange a 3D network to be fast, or plain.

    Fast is the channels-last layout, in which convolutions and normalisation need no reordering of voxels, with volumes
    doubled and convolved in one operation, and activations in place. Plain is torch's default layout, volumes
    doubled before they are convolved, and activations that leave their input alone.

    Args:
        network: is changed in place.
        plain: the papers' code's way.

    Returns:
        ``network``.
    """
    for layer in network.modules():
        if isinstance(layer, UpsampleConv3d) and plain:
            layer.fuse_from = math.inf
        if isinstance(layer, nn.ReLU | nn.LeakyReLU):
            layer.inplace = not plain
    return network if plain else network.to(memory_format=torch.channels_last_3d)
