"""What users give on the command line, checked before anything runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch

from tools.options import listed

OWN_OPTIONS = {
    "image_size": "--image_sizes",
    "batch_size": "--batch_sizes and --speed_batch_size",
    "precision": "--precision",
    "device": "--device",
}
"""Entries of a train.json that the benchmark sets itself, and the options for them."""


def names(option: str, given: str | Sequence[str], known: Collection[str]) -> list[str]:
    """One name or several, as a list or separated by commas, each of which must be known."""
    chosen = listed(given)
    unknown = [name for name in chosen if name not in known]
    if unknown or not chosen or len(set(chosen)) < len(chosen):
        raise ValueError(f"{option} is {given!r}, expected different names out of {', '.join(known)}.")
    return chosen


def numbers(option: str, given: int | str | Sequence[int]) -> list[int]:
    """One whole number or several, as a list or separated by commas, from 1."""
    try:
        chosen = [given] if isinstance(given, int) else [int(part) for part in listed(given)]
    except (TypeError, ValueError):
        chosen = []
    if not chosen or min(chosen) < 1 or len(set(chosen)) < len(chosen):
        raise ValueError(f"{option} is {given!r}, expected different whole numbers from 1, such as 2 or 2,4,6.")
    return chosen


def number(option: str, given: int, least: int = 1) -> int:
    """A whole number that is not below ``least``."""
    if isinstance(given, bool) or not isinstance(given, int) or given < least:
        raise ValueError(f"{option} is {given!r}, expected a whole number from {least}.")
    return given


def chosen_device(given: str | None) -> torch.device:
    """A GPU of CUDA or the CPU; without a choice the GPU, if there is one."""
    try:
        device = torch.device(given or ("cuda" if torch.cuda.is_available() else "cpu"))
    except RuntimeError as error:
        raise ValueError(f"device is {given!r}, expected cuda, cuda:1, cpu or the like.") from error
    if device.type not in ("cuda", "cpu"):
        raise ValueError(f"device is {given!r}; peak memory can be measured on cuda and cpu.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"device is {given!r}, but torch sees {torch.cuda.device_count()} CUDA devices.")
    return device


def further_entries(given: Mapping[str, Any] | None, own: Mapping[str, str] = OWN_OPTIONS) -> dict[str, Any]:
    """Overrides for train.json, none of which is set by an option: ``own`` has these entries with their options."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ValueError(f"overrides is {given!r}, expected entries of train.json like \"{{'base_channels': 16}}\".")
    for key in given:
        if key in own:
            raise ValueError(f"overrides has {key!r}; give it by {own[key]}.")
    return dict(given)
