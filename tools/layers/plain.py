"""The way back from fast forms of layers to those that the papers' code has."""

from __future__ import annotations

import math

from torch import nn

from tools.layers.upsample import UpsampleConv3d


def plain_form(network: nn.Module, plain: bool = True) -> nn.Module:
    """Let a network compute as its original does: the same function of the same weights, slower and with more memory.

    Volumes are doubled before they are convolved, and activations leave their input alone.

    Args:
        network: is changed in place.
        plain: False changes nothing, for a switch in a config.

    Returns:
        ``network``.
    """
    if plain:
        for layer in network.modules():
            if isinstance(layer, UpsampleConv3d):
                layer.fuse_from = math.inf
            if isinstance(layer, nn.ReLU | nn.LeakyReLU):
                layer.inplace = False
    return network
