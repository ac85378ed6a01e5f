"""A training batch: how many rows it has, its parts, its way to the device."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from typing import Any

import torch
from torch import Tensor

from tools.engines.handover import Handover


def rows(batch: dict) -> int:
    """Return the number of rows of a loader's batch, which is the length of all tensors in it.

    Raises:
        ValueError: the tensors have no rows, or not the same number.
    """
    lengths = {key: len(value) for key, value in batch.items() if isinstance(value, Tensor) and value.ndim > 0}
    if len(set(lengths.values())) != 1:
        raise ValueError(
            f"the tensors of a training batch have {lengths or 'no'} rows, expected one number of rows for all. What "
            "is the same for every row belongs into the objective."
        )
    return next(iter(lengths.values()))


def split(batch: dict, parts: int, size: int) -> Iterator[tuple[dict, float]]:
    """Divide a batch along its first axis; with each part comes its share of the batch.

    Divided are tensors of as many rows as the batch has, and its handover. All else goes to every part: numbers,
    cutoffs, tables of noise levels. A table that has by chance as many rows belongs into the objective instead.

    Args:
        batch: batch as the objective has drawn it.
        parts: number of parts.
        size: number of rows of the batch, see ``rows``.
    """
    if parts > size:
        raise ValueError(f"a batch of {size} cannot be accumulated in {parts} parts. Lower --accumulation to {size}.")
    for numbers in torch.arange(size).tensor_split(parts):
        first, last = int(numbers[0]), int(numbers[-1]) + 1
        part = copy(batch)
        part.update({key: _rows_of(value, first, last, size) for key, value in batch.items()})
        yield part, (last - first) / size


def _rows_of(value: Any, first: int, last: int, size: int) -> Any:
    if isinstance(value, Handover):
        return value.part(first, last)
    return value[first:last] if isinstance(value, Tensor) and value.ndim > 0 and len(value) == size else value


def to_device(batch: dict, device: torch.device) -> dict:
    """Return a batch with plain tensors on the device.

    Networks have no use for MONAI's metadata, and it costs time on every operation.
    """
    moved = {}
    for key, value in batch.items():
        if isinstance(value, Tensor):
            value = (value.as_tensor() if hasattr(value, "as_tensor") else value).to(device, non_blocking=True)
        moved[key] = value
    return moved
