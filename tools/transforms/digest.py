"""Digest of a chain of transforms: results on disk with the same digest are those that the chain would give."""

from __future__ import annotations

import enum
import functools
import hashlib
import inspect
import json
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.transforms import Compose, LoadImage, Transform
from monai.transforms.traits import RandomizableTrait

from tools.transforms.plausibility import Judged

FORMER_PATHS = {"tools.io.volume_reader.VolumeReader": "tools.data.volume_reader.VolumeReader"}
"""Where classes lay when the first volumes were stored: a move in the code makes no stored volume another."""


def chain_digest(transform: Callable | Sequence[Callable]) -> str:
    """Hex digest (SHA-256) of the deterministic part of a chain: classes and parameters, in order.

    It is the same in every process and run, and changes with any parameter and with the `VERSION` of any module that a
    transform comes from, but not with checks (`Judged`), which change no voxel. The chain ends, as for MONAI's
    `PersistentDataset`, before its first random transform.

    Args:
        transform: a `Compose`, a transform or a list of them.

    Raises:
        TypeError: the chain holds something whose content cannot be named, such as a lambda.
    """
    chain = Compose(transform).flatten().transforms
    random = (k for k, t in enumerate(chain) if isinstance(t, RandomizableTrait) or not isinstance(t, Transform))
    content = [_content(t) for t in chain[: next(random, None)] if not isinstance(t, Judged)]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _content(value: Any) -> Any:
    """JSON that tells values apart: class path and content of whatever is more than a number or a string."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, enum.Enum | torch.dtype | np.dtype | torch.device):
        return [_path(type(value)), str(value)]
    if isinstance(value, os.PathLike):
        return ["path", os.fspath(value)]
    if isinstance(value, Mapping):
        return {"dict": sorted([[str(k), _content(v)] for k, v in value.items()], key=lambda kv: kv[0])}
    if isinstance(value, set | frozenset):
        return ["set", sorted(json.dumps(_content(v)) for v in value)]
    if isinstance(value, list | tuple):
        return [_content(v) for v in value]
    if isinstance(value, torch.Tensor | np.ndarray | np.generic):
        array = np.asarray(value)
        return ["array", str(array.dtype), list(array.shape), hashlib.sha256(array.tobytes()).hexdigest()]
    if isinstance(value, functools.partial):
        return ["partial", _content(value.func), _content(value.args), _content(value.keywords)]
    if inspect.ismethod(value):
        return ["method", value.__name__, _content(value.__self__)]
    if inspect.isclass(value) or inspect.isroutine(value):
        if "<" in value.__qualname__:  # <lambda>, <locals>
            raise TypeError(
                f"cannot tell the content of {value.__qualname__} in a chain of transforms; "
                "give it a name in a module, or a transform class with parameters"
            )
        return ["name", _path(value)]
    if not hasattr(value, "__dict__"):
        raise TypeError(f"cannot tell the content of {value!r} in a chain of transforms")
    version = getattr(sys.modules.get(type(value).__module__), "VERSION", None)
    if hasattr(value, "digested"):  # what it says of itself
        return ["object", _path(type(value)), version, _content(value.digested())]
    # MONAI keeps in thread locals whether a transform is being traced, from its first call on
    attributes = {k: v for k, v in vars(value).items() if not isinstance(v, threading.local)}
    if isinstance(value, LoadImage):  # the reader that is tried first; the others are those that happen to be installed
        attributes["readers"] = attributes["readers"][-1:]
    return ["object", _path(type(value)), version, _content(attributes)]


def _path(named: Any) -> str:
    path = f"{named.__module__}.{named.__qualname__}"
    return FORMER_PATHS.get(path, path)
