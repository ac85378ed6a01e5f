"""Networks that begin with the weights of others for images of another number of channels."""

from __future__ import annotations

import logging
import math
import os
from pathlib import Path

from torch import Tensor, nn

from tools.networks.self_described import KEY
from tools.torch_files import read_state_dict

logger = logging.getLogger(__name__)

MADE, SEEN = ("to_image", "to_images"), ("from_image", "from_images")
"""Names of the layers that make an image's channels, and of those that see them, one or one of each level."""


def for_channels(state: dict[str, Tensor], channels: int) -> dict[str, Tensor]:
    """Weights of a generator or discriminator of equalised layers for images of so many channels.

    The function stays what it is: each channel that is made is the mean of those that were made, and an image of equal
    channels is seen as one of equal channels was. What sees them is scaled by the root of their number when it is
    called (see `tools.layers.equalised`), which its weights have to undo.

    Args:
        state: state dict of the network. The description of its arguments is left out, for it says another number.
        channels: number of channels.
    """
    found = {}
    for name, tensor in state.items():
        layer, kind = ["", *(part for part in name.split(".") if not part.isdigit())][-2:]
        if layer in MADE and kind in ("weight", "bias") and len(tensor) != channels:
            tensor = tensor.mean(0, keepdim=True).repeat(channels, *[1] * (tensor.ndim - 1))
        if layer in SEEN and kind == "weight" and tensor.shape[1] != channels:
            scale = math.sqrt(channels / tensor.shape[1]) / channels
            tensor = (tensor.sum(1, keepdim=True) * scale).repeat(1, channels, 1, 1)
        found[name] = tensor
    return {name: tensor for name, tensor in found.items() if name != KEY}


def begun_with(network: nn.Module, path: str | os.PathLike | None, channels: int, beside: str | None = None):
    """A network that begins with the weights in a file, of the same sizes and of any number of channels.

    Args:
        network: network for images of so many channels, a generator or discriminator.
        path: path of a state dict; None leaves the network as it is.
        channels: number of channels of its images.
        beside: name of the file that is taken in the same folder; None takes that of ``path``.

    Returns:
        The network that was given.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the weights are of a network of other sizes.
    """
    if path is None:
        return network
    file = Path(path) if beside is None else Path(path).with_name(beside)
    if not file.is_file():
        raise FileNotFoundError(f"start_from: there are no weights at {file}; give a model.pt that training has left")
    try:
        told = network.load_state_dict(for_channels(dict(read_state_dict(file)), channels), strict=False)
    except RuntimeError as error:
        raise ValueError(
            f"start_from: {file} does not fit the network: {' '.join(str(error).split())[:400]}"
        ) from error
    lacking = [name for name in told.missing_keys if name != KEY]
    if lacking or told.unexpected_keys:
        raise ValueError(
            f"start_from: {file} is of another network: it lacks {lacking[:3]} and has {told.unexpected_keys[:3]}; "
            "give the sizes with which it was trained, such as --mapping_layers, and its architectures"
        )
    logger.info(f"Began with the weights in {file}.")
    return network
