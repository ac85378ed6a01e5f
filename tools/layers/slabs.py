"""Layers computed slab by slab, so that no more than a part of a volume's activations is in memory, with equal results.

A convolution needs some slices beyond its slab, which are computed too. Group normalisation needs the mean and variance
of the whole, for which what comes before is gone through once. Gradients are not kept.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn


class Slabs(ABC):
    """An activation [B, C, slices, ...] of which any slices can be asked for.

    Attributes:
        slices: number of slices.
        length: number of slices in a slab, where it is gone through.
    """

    def __init__(self, slices: int, length: int) -> None:
        if length < 1:
            raise ValueError(f"length is {length}, expected 1 or more slices")
        self.slices = slices
        self.length = length

    @abstractmethod
    def slab(self, first: int, end: int) -> Tensor:
        """Slices [first, end)."""

    def ranges(self) -> Iterator[tuple[int, int]]:
        """[first, end) of consecutive slabs."""
        for first in range(0, self.slices, self.length):
            yield first, min(first + self.length, self.slices)

    def then(self, layer: Callable[[Tensor], Tensor], reach: int = 0, factor: int = 1) -> Slabs:
        """What a layer makes of this.

        Args:
            layer: layer from whole activations to whole activations.
            reach: slices on each side on which a slice of its result depends, counted in slices of its input.
            factor: slices of the result for one of the input.
        """
        return _Then(self, layer, reach, factor)

    def normalised(self, norm: nn.GroupNorm) -> Slabs:
        """What a group normalisation makes of this, which is gone through once at this call."""
        return _Normalised(self, norm)

    def remembered(self) -> Slabs:
        """The same, with the last slab at hand for whoever asks for a part of it."""
        return _Remembered(self)

    def __add__(self, other: Slabs) -> Slabs:
        return _Sum(self, other)

    @torch.no_grad()
    def kept(self, into: Tensor | None = None) -> Kept:
        """The whole, computed now and held in memory.

        Args:
            into: activation of the same shape from which this is computed, to be overwritten. A slab may depend on
                slices of it that are at most ``length`` before its own.
        """
        result, waiting = into, None
        for first, end in self.ranges():
            made = self.slab(first, end)
            if result is None:
                result = made.new_empty(*made.shape[:2], self.slices, *made.shape[3:])
            if waiting is not None:  # only now are the slices before not needed any more
                result[:, :, waiting[0] : waiting[1]] = waiting[2]
            waiting = (first, end, made)
        result[:, :, waiting[0] : waiting[1]] = waiting[2]
        return Kept(result, self.length)


class Kept(Slabs):
    """An activation in memory.

    Args:
        whole: the activation, [B, C, slices, ...].
        length: number of slices in a slab.

    Attributes:
        whole: the activation.
    """

    def __init__(self, whole: Tensor, length: int) -> None:
        super().__init__(whole.shape[2], length)
        self.whole = whole

    def slab(self, first: int, end: int) -> Tensor:
        return self.whole[:, :, first:end]

    def kept(self, into: Tensor | None = None) -> Kept:
        return self if into is None else super().kept(into)


class _Then(Slabs):
    def __init__(self, before: Slabs, layer: Callable[[Tensor], Tensor], reach: int, factor: int) -> None:
        super().__init__(factor * before.slices, before.length)
        self.before, self.layer, self.reach, self.factor = before, layer, reach, factor

    @torch.no_grad()
    def slab(self, first: int, end: int) -> Tensor:
        below = max(0, first // self.factor - self.reach)
        above = min(self.before.slices, -(-end // self.factor) + self.reach)
        # padding acts where the volume ends, and on slices that are cut off elsewhere
        made = self.layer(self.before.slab(below, above))
        return made[:, :, first - self.factor * below : end - self.factor * below]


class _Normalised(Slabs):
    """Mean and variance are gathered in double precision."""

    @torch.no_grad()
    def __init__(self, before: Slabs, norm: nn.GroupNorm) -> None:
        super().__init__(before.slices, before.length)
        self.before, self.norm = before, norm
        count, sums, squares = 0, 0.0, 0.0
        for first, end in before.ranges():
            slab = before.slab(first, end)
            grouped = slab.to(_at_least_single(slab)).reshape(len(slab), norm.num_groups, -1)
            count += grouped.shape[2]
            sums = sums + grouped.sum(2, dtype=torch.float64)
            squares = squares + grouped.square().sum(2, dtype=torch.float64)
        mean = sums / count
        scale = (squares / count - mean.square() + norm.eps).rsqrt()
        mean, scale = (t.repeat_interleave(norm.num_channels // norm.num_groups, dim=1) for t in (mean, scale))
        self.factor = scale if norm.weight is None else norm.weight * scale
        self.shift = -mean * self.factor if norm.bias is None else norm.bias - mean * self.factor

    @torch.no_grad()
    def slab(self, first: int, end: int) -> Tensor:
        slab = self.before.slab(first, end)
        dtype = _at_least_single(slab)
        factor, shift = (t.to(dtype).view(*t.shape, *[1] * (slab.ndim - 2)) for t in (self.factor, self.shift))
        return (slab * factor + shift).to(slab.dtype)


def _at_least_single(x: Tensor) -> torch.dtype:
    """The precision in which squares and sums do not overflow."""
    return torch.promote_types(x.dtype, torch.float32)


class _Sum(Slabs):
    def __init__(self, one: Slabs, other: Slabs) -> None:
        super().__init__(one.slices, one.length)
        self.one, self.other = one, other

    @torch.no_grad()
    def slab(self, first: int, end: int) -> Tensor:
        return self.one.slab(first, end) + self.other.slab(first, end)


class _Remembered(Slabs):
    def __init__(self, before: Slabs) -> None:
        super().__init__(before.slices, before.length)
        self.before = before
        self.first, self.end, self.last = 0, 0, None

    def slab(self, first: int, end: int) -> Tensor:
        if self.last is None or first < self.first or end > self.end:
            self.last = None  # before the next is made
            self.first, self.end, self.last = first, end, self.before.slab(first, end)
        return self.last[:, :, first - self.first : end - self.first]
