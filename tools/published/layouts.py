"""Published files against the networks that they are of: which tensor is which, in the present names and the former."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tools.torch_files import is_state_dict, read_torch_file

FORMER = (
    (re.compile(r"\.attn\.to_"), ".to_"),
    (re.compile(r"\.attn\.out_proj\."), ".proj_attn."),
    (re.compile(r"(\.transformer_blocks\..*)\.out_proj\."), r"\1.to_out.0."),
    (re.compile(r"\.postconv\."), ".conv."),
)
"""Names of MONAI's networks -> those of GenerativeModels, where they were before; what MONAI's own
`load_old_state_dict` undoes. It keeps silent on tensors that a file lacks or has too many, so it is not called here."""

ANOTHER = "Is it the file of another network, form or release?"


def former_name(name: str) -> str:
    """The name that a tensor had in GenerativeModels."""
    for pattern, old in FORMER:
        name = pattern.sub(old, name)
    return name


def read_published(path: Path, key: str | None) -> tuple[dict[str, Tensor], float | None]:
    """A published file's state dict, and its scale factor if it has one; no code in it is run.

    Args:
        path: path of the file.
        key: key of the state dict, where the file holds more than that.

    Raises:
        ValueError: the file is none of torch's, would run code, or holds something else.
    """
    content = read_torch_file(path)
    if key is None:
        if not is_state_dict(content):
            raise ValueError(f"{path} holds {_described(content)}, expected a state dict: names with a tensor each")
        return dict(content), None
    inner = content.get(key) if isinstance(content, Mapping) else None
    if not is_state_dict(inner):
        raise ValueError(f"{path} holds {_described(content)}, expected a state dict under {key!r}")
    scale = content.get("scale_factor")
    return dict(inner), None if scale is None else float(scale)


def fitted(state: Mapping[str, Tensor], network: nn.Module, path: Path) -> dict[str, Tensor]:
    """The tensors of a file by the names that ``network`` has for them, in float32.

    Args:
        state: tensors of the file, by their present or former names.
        network: the network, which may be on the meta device.
        path: path of the file, for messages.

    Raises:
        ValueError: the file is of another network; the first tensor is named, in the network's order, that it lacks or
            has in another shape, or one that it has too many.
    """
    expected = network.state_dict()
    kind = f"{type(network).__name__} with {len(expected)} tensors"
    found = {}
    for name, tensor in expected.items():
        given = name if name in state else former_name(name)
        if given not in state:
            raise ValueError(
                f"{path} does not fit {kind}: it has no {name!r} {list(tensor.shape)}{_unknown(state, expected)}. "
                f"{ANOTHER}"
            )
        if state[given].shape != tensor.shape:
            raise ValueError(
                f"{path} does not fit {kind}: {given!r} has the shape {list(state[given].shape)}, expected "
                f"{list(tensor.shape)}. {ANOTHER}"
            )
        found[name] = (given, state[given])
    if extra := [name for name in state if name not in {given for given, _ in found.values()}]:
        raise ValueError(
            f"{path} does not fit {kind}: it has {len(extra)} tensors more, first {extra[0]!r} "
            f"{list(state[extra[0]].shape)}. {ANOTHER}"
        )
    return {name: t.float() if torch.is_floating_point(t) else t for name, (_, t) in found.items()}


def _unknown(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> str:
    """What the file has that the network has not, in words; nothing if there is no such tensor."""
    known = {*expected, *map(former_name, expected)}
    return next((f", and has {name!r} {list(tensor.shape)}" for name, tensor in state.items() if name not in known), "")


def _described(content: Any) -> str:
    if isinstance(content, Mapping):
        keys = ", ".join(map(repr, list(content)[:6]))
        return f"a dictionary with {keys or 'nothing'}{', ...' if len(content) > 6 else ''}"
    return f"a {type(content).__name__}"
