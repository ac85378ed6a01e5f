"""A denoiser under the control of label maps, begun with the weights of one without."""

from __future__ import annotations

from pathlib import Path

from tools.engines.weights import ModelCheckpointLoader
from tools.networks.control import ControlledUNet, begun_from


def with_denoiser(network: ControlledUNet, path: str | Path | None) -> ControlledUNet:
    """A network under control with the weights of the denoiser that it steers, with which its ControlNet begins too.

    Args:
        network: network with a `denoiser` and a `control`.
        path: path of the denoiser's weights; None leaves all as it is.

    Raises:
        ValueError: the network has no ControlNet, or the weights are of another network.
        FileNotFoundError: there are no weights.
    """
    if path is None:
        return network
    if not isinstance(network, ControlledUNet):
        raise ValueError(
            f"--denoiser_path {path}: with --control concatenation the denoiser takes label maps too, so that weights "
            "of one without them do not fit. Leave one of the options away."
        )
    ModelCheckpointLoader(str(path), network.denoiser).load()
    network.denoiser.requires_grad_(False)
    return begun_from(network)
