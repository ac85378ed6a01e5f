"""Networks whose state dict says what they were built with, where its names and shapes do not."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

logger = logging.getLogger(__name__)

LENGTH = 256
"""Bytes of a description. One length for all, since `monai.networks.utils.copy_model_state` skips other shapes."""

KEY = "_extra_state"
"""Name of a description in a state dict, torch's own for what is neither parameter nor buffer."""


class SelfDescribed(nn.Module):
    """A network that refuses weights of another size, although they may fit.

    CRF-GAN's generator has the same weights for 32 to 256 voxels a side; what MONAI copies into a network of other
    widths is whatever happens to fit. So the arguments travel with the weights, as a tensor of bytes that every tool
    for state dicts can carry (`torch.nn.Module.get_extra_state`), and are compared when weights are loaded, by
    whatever way: `load_state_dict`, `monai.bundle.load`, `ckpt_export`, a federated client.

    Set ``built_with``, a dictionary of the arguments, in ``__init__``, and do not annotate it, which TorchScript cannot
    read. Arguments that one side does not know are not compared.
    """

    def get_extra_state(self) -> Tensor:
        """``built_with`` as JSON in a uint8 tensor, [256]."""
        content = json.dumps(self.built_with).encode()
        return torch.frombuffer(bytearray(content.ljust(LENGTH)), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """
        Raises:
            ValueError: ``state`` is that of a network with other arguments.
        """
        theirs = described(state)
        if theirs is None:
            logger.warning(f"What these weights say of their network cannot be read: taken for {self._in_words()}.")
            return
        differing = {key: value for key, value in self.built_with.items() if key in theirs and theirs[key] != value}
        if differing:
            raise ValueError(
                f"these weights are of a network with {_in_words({key: theirs[key] for key in differing})}, and this "
                f"{type(self).__name__} has {_in_words(differing)}. Build it as it was trained, in a config with "
                + " ".join(f"--{key} {theirs[key]}" for key in differing)
                + "."
            )

    def _load_from_state_dict(
        self, state_dict: dict, prefix: str, local_metadata: dict, strict: bool, missing_keys: list[str], *others: Any
    ) -> None:
        super()._load_from_state_dict(state_dict, prefix, local_metadata, strict, missing_keys, *others)
        if f"{prefix}{KEY}" in missing_keys:  # saved before there were descriptions
            missing_keys.remove(f"{prefix}{KEY}")
            logger.warning(f"These weights do not say of which network they are: taken for {self._in_words()}.")

    def _in_words(self) -> str:
        return f"a {type(self).__name__} with {_in_words(self.built_with)}"


def described(state: Tensor) -> dict[str, Any] | None:
    """Return what a description says, None if it cannot be read: for instance on the meta device.

    An average of equal descriptions, which a federated server makes, says the same.
    """
    if state.is_meta:
        return None
    try:
        content = json.loads(bytes(state.double().round().to(torch.uint8).tolist()))
    except (ValueError, TypeError):
        return None
    return content if isinstance(content, dict) else None


def description_in(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a state dict says of its network; empty if it says nothing."""
    return (described(state[KEY]) or {}) if isinstance(state.get(KEY), Tensor) else {}


def _in_words(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in arguments.items())
