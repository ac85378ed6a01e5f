"""Units of the values of images: which one a set is in, whether sets share it, and what a value in [-1, 1] means in it.

Every judgement of values is here: of a few images before anything is measured (`common_unit`), of all when it is
(`check_cover`, `doubts`), and of what an evaluator sees during training (`check_signed`, `doubt_of_narrow_range`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tools.transforms.window import CT_WINDOW, Window

Range = tuple[float, float]
"""Least and greatest value."""

SLACK = 0.1
"""Share of a window's width by which values may lie outside: interpolation and reduced precision overshoot a little,
other units a lot."""

LEAST_COVER = 0.05
"""Share of a window that a set in its unit covers at the least."""

WIDE_COVER = 0.5
"""Share of [-1, 1] that real images which are scaled to it cover; so far the bulks of two sets' values may differ."""


@dataclass(frozen=True)
class Unit:
    """A kind of values.

    Attributes:
        name: word for messages and axes, such as "HU".
        window: values that become -1 and 1.
    """

    name: str
    window: Window

    def scale(self, volume: np.ndarray) -> np.ndarray:
        """Values of the unit -> [-1, 1], float32, clipped."""
        return np.clip(self.window.scale(volume.astype(np.float32)), -1, 1)

    def value(self, scaled: float) -> float:
        """A value in [-1, 1] -> in the unit."""
        return self.window.unscale(scaled)

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


SIGNED = Unit("[-1, 1]", Window(-1.0, 1.0))
SHARE = Unit("[0, 1]", Window(0.0, 1.0))
BYTE = Unit("8 bit grey values", Window(0.0, 255.0))
HOUNSFIELD = Unit("HU", CT_WINDOW)


def unit_of(values: Range) -> Unit | None:
    """The unit that a set with these least and greatest values is in; None where it cannot be told."""
    low, high = values
    for unit in (SHARE, SIGNED):
        if _fits(values, unit.window):
            return unit
    if low < -200 and high > 0:
        return HOUNSFIELD
    if low >= 0 and high <= 255:
        return BYTE
    return None


def common_unit(ranges: Mapping[str, Range], window: Sequence[float] | None = None) -> Unit:
    """The unit that all sets are in.

    Args:
        ranges: least and greatest value of each set.
        window: lowest and highest value to tell apart; None finds out.

    Raises:
        ValueError: the sets are in different units, or in one that is not known, or do not fit the window.
    """
    if window is not None:
        unit = Unit("given", Window.of(window))
        check_cover(ranges, unit)
        return unit
    units = {name: unit_of(values) for name, values in ranges.items()}
    known = {unit for unit in units.values() if unit is not None}
    if known == {SIGNED, SHARE}:
        raise ValueError(f"values differ in kind ({_shown(ranges)}): [0, 1] against [-1, 1]; bring all sets to one")
    if len(known) > 1:
        kinds = ", ".join(f"{name} {unit.name}" for name, unit in units.items() if unit is not None)
        raise ValueError(f"values differ in kind ({_shown(ranges)}; {kinds}); bring all sets to one unit")
    if None in units.values() or not known:
        raise ValueError(
            f"the unit of the values is not known ({_shown(ranges)}); say which of them to tell apart with --window "
            "LOW,HIGH"
        )
    return known.pop()


def check_cover(ranges: Mapping[str, Range], unit: Unit) -> None:
    """Raises ValueError if a set covers next to nothing of the unit's window: it is in another unit."""
    low, high = unit.window
    for name, (least, greatest) in ranges.items():
        cover = max(0.0, min(greatest, high) - max(least, low)) / unit.window.width
        if cover < LEAST_COVER:
            raise ValueError(
                f"the values of {name} cover {cover:.1%} of the window from {low:g} to {high:g} ({_shown(ranges)}): "
                "are they in another unit? Bring all sets to one unit, or choose the window with --window LOW,HIGH"
            )


def doubts(bulks: Mapping[str, Range], unit: Unit) -> list[str]:
    """A sentence on every set whose values lie so far from the real set's that it may be in another unit.

    Args:
        bulks: interval within [-1, 1] that holds most values, of "real" and of each model.
        unit: unit of the sets, in which the sentences speak of values.
    """
    own = bulks["real"]
    return [
        f"most values of {name} lie between {unit.between(*ends)}, and those of the real set between "
        f"{unit.between(*own)}: are both in one unit?"
        for name, ends in bulks.items()
        if max(abs(a - b) for a, b in zip(ends, own, strict=True)) > WIDE_COVER
    ]


def check_signed(ranges: Mapping[str, Range], what: str) -> None:
    """Raises ValueError unless all values are in [-1, 1] but for a little.

    Args:
        ranges: least and greatest value by name, "real" or "synthetic".
        what: name of that which expects them so, for the message.
    """
    if not all(_fits(values, SIGNED.window) for values in ranges.values()):
        found = " and ".join(f"{name} images from {low:g} to {high:g}" for name, (low, high) in ranges.items())
        raise ValueError(
            f"{found}: both must lie in [-1, 1], the range that {what} expects. Compare before any transform back to "
            "HU, or rescale both in the same way (monai.transforms.ScaleIntensityRanged)"
        )


def doubt_of_narrow_range(real: Range) -> str | None:
    """A sentence if real images cover so little of [-1, 1] that they may not be scaled to it; else None."""
    low, high = real
    if high - low > WIDE_COVER * SIGNED.window.width:
        return None
    return f"the real images cover only [{low:g}, {high:g}] of [-1, 1]: are they scaled like the synthetic ones?"


def _fits(values: Range, window: Window) -> bool:
    slack = SLACK * window.width
    return values[0] >= window.low - slack and values[1] <= window.high + slack


def _shown(ranges: Mapping[str, Range]) -> str:
    return ", ".join(f"{name} from {low:g} to {high:g}" for name, (low, high) in ranges.items())
