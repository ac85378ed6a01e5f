"""How a network computes: optimised, or as the papers' code does. The function and the weights are the same."""

from __future__ import annotations

import math

import torch
from torch import nn

from tools.former import IMPLEMENTATIONS as FORMER
from tools.layers.upsample import UpsampleConv3d

IMPLEMENTATIONS = ("optimised", "reference")


def check_implementation(implementation: str) -> str:
    """Return the name of an implementation if there is one of that name.

    Raises:
        ValueError: the name is not in ``IMPLEMENTATIONS``.
    """
    if implementation not in IMPLEMENTATIONS:
        raise ValueError(f"implementation is {implementation!r}, expected 'optimised' or 'reference'.")
    return implementation


def set_implementation(network: nn.Module, implementation: str = "optimised") -> nn.Module:
    """Choose how a 3D network computes.

    Optimised is the channels-last memory layout, in which convolutions and normalisation need no reordering of voxels,
    with volumes doubled and convolved in one operation, and activations in place. The reference has torch's default
    layout, volumes doubled before they are convolved, and activations that leave their input alone.

    Args:
        network: network, which is changed in place.
        implementation: "optimised", or "reference" for the papers' code's way.

    Returns:
        The network that was given.
    """
    implementation = FORMER.get(implementation, implementation)  # of set_form, which has warned
    reference = check_implementation(implementation) == "reference"
    for layer in network.modules():
        if isinstance(layer, UpsampleConv3d) and reference:
            layer.fuse_from = math.inf
        if isinstance(layer, nn.ReLU | nn.LeakyReLU):
            layer.inplace = not reference
    return network if reference else network.to(memory_format=torch.channels_last_3d)
