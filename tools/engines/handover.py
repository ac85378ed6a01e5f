"""What one update of an iteration leaves for a later one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


class Handover:
    """Tensors that an update leaves for a later update of the same iteration, by the rows of the batch.

    An objective's ``draw`` puts a new one into the batch, for as many rows as the batch has. Where an update goes
    through the batch in parts, the trainer gives each part the handover of its rows; both updates may divide the batch
    in their own way.

    Args:
        rows: number of rows of the batch.
    """

    def __init__(self, rows: int) -> None:
        self.rows: Sequence[int] = range(rows)
        self._left: dict[int, tuple[tuple[Tensor, ...], int]] = {}

    def __len__(self) -> int:
        return len(self.rows)

    def part(self, first: int, last: int) -> Handover:
        """The same handover for the rows [first, last) of this one."""
        part = Handover(0)
        part.rows, part._left = self.rows[first:last], self._left
        return part

    def put(self, *tensors: Tensor) -> None:
        """Leave tensors of these rows, [rows, ...] each, without their graphs. What was left before is replaced."""
        kept = tuple(tensor.detach() for tensor in tensors)
        for tensor in kept:
            if len(tensor) != len(self):
                raise ValueError(f"a tensor of {len(tensor)} rows was left for {len(self)} rows of a batch.")
        self._left.update({row: (kept, place) for place, row in enumerate(self.rows)})

    def take(self, make: Callable[[], tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        """Return what was left for these rows, which is then gone.

        Where something is missing, because the update that leaves it did not run in this iteration or had its turn
        later, it is made anew.

        Args:
            make: function that makes what ``put`` would have been given.
        """
        found = [self._left.pop(row, None) for row in self.rows]
        if not found or None in found:
            return make()
        left, _ = found[0]
        if all(kept is left and place == i for i, (kept, place) in enumerate(found)) and len(left[0]) == len(self):
            return left  # in the parts in which it was left: no copy
        columns = zip(*([tensor[place : place + 1] for tensor in kept] for kept, place in found), strict=True)
        return tuple(torch.cat(column) for column in columns)
