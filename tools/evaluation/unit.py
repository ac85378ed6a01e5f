"""What the values of a set of images mean, beside the [-1, 1] in which they are measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Range = tuple[float, float]


@dataclass(frozen=True)
class Unit:
    """A kind of values.

    Attributes:
        name: name for messages and axes.
        window: values that become -1 and 1.
    """

    name: str
    window: Range

    def scale(self, volume: np.ndarray) -> np.ndarray:
        """Values of the unit -> [-1, 1], clipped."""
        low, high = self.window
        return np.clip((volume.astype(np.float32) - low) / (high - low) * 2 - 1, -1, 1)

    def value(self, scaled: float) -> float:
        """A value in [-1, 1] -> in the unit."""
        low, high = self.window
        return low + (scaled + 1) / 2 * (high - low)

    def between(self, low: float, high: float) -> str:
        """Two values in [-1, 1] in words, such as "-950 and 320 HU"."""
        if self == SIGNED:
            return f"{low:.2f} and {high:.2f} of [-1, 1]"
        name = f" {self.name}" if self.name == "HU" else ""
        return f"{self.value(low):.4g} and {self.value(high):.4g}{name}"

    @property
    def axis(self) -> str:
        """Label for the axis of a plot."""
        if self == SIGNED:
            return "value, scaled to [-1, 1]"
        return f"value ({self.name})" if self.name != "given" else "value, in the unit of the files"


SIGNED = Unit("[-1, 1]", (-1.0, 1.0))
