"""Layers of a network that do not learn any more, for transfer learning."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn


def freeze(layers: Sequence[nn.Module], number: int) -> None:
    """Let the first layers not learn: their parameters become buffers of the same names.

    So no optimizer finds them, nothing gives them a gradient, and state dicts stay what they are.

    Args:
        layers: layers in the order in which they are frozen.
        number: number of those that are.

    Raises:
        ValueError: there are not so many.
    """
    if not 0 <= number <= len(layers):
        raise ValueError(f"{number} layers are to be frozen, expected 0 to {len(layers)}.")
    for layer in layers[:number]:
        for module in layer.modules():
            for name, parameter in [*module.named_parameters(recurse=False)]:
                delattr(module, name)
                module.register_buffer(name, parameter.detach())
