"""A window of values, such as HU: the interval that networks see as [-1, 1] and pictures as black to white."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch

Values = TypeVar("Values", float, np.ndarray, torch.Tensor)


@dataclass(frozen=True)
class Window:
    """An interval of values. It unpacks as a tuple does: ``low, high = window``.

    Attributes:
        low: value that becomes -1, or black.
        high: value that becomes 1, or white.

    Raises:
        ValueError: the ends are not finite, or not in order.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(
                f"a window is (low, high) with low < high, got ({self.low:g}, {self.high:g}); for instance (-1024, 600)"
            )

    @classmethod
    def of(cls, ends: Window | Sequence[float]) -> Window:
        """The window of two numbers, as configs and commands give them.

        Raises:
            ValueError: these are not two finite numbers, the lower first.
        """
        if isinstance(ends, Window):
            return ends
        if not isinstance(ends, list | tuple) or len(ends) != 2 or not all(map(_is_number, ends)):
            raise ValueError(f"window is {ends!r}, expected two numbers LOW,HIGH with LOW < HIGH, such as -1024,600")
        return cls(float(ends[0]), float(ends[1]))

    def __iter__(self) -> Iterator[float]:
        return iter((self.low, self.high))

    @property
    def width(self) -> float:
        """Highest minus lowest value."""
        return self.high - self.low

    def scale(self, values: Values) -> Values:
        """Values of the window to [-1, 1]; what lies outside goes on beyond."""
        return (values - self.low) / self.width * 2 - 1

    def unscale(self, scaled: Values) -> Values:
        """[-1, 1] to values of the window, the inverse of `scale`."""
        return (scaled + 1) / 2 * self.width + self.low

    def share(self, values: Values) -> Values:
        """Values of the window to [0, 1]; what lies outside goes on beyond."""
        return (values - self.low) / self.width


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


CT_WINDOW = Window(-1024.0, 600.0)
"""HU that CRF-GAN and HA-GAN tell apart (Shiri et al., section 2.1): a whole CT, from air to bone."""
