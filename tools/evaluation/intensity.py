"""Which values of a set of images mean what: no number is given for sets in different units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tools.evaluation.unit import SIGNED, Range, Unit

CT_WINDOW = (-1024.0, 600.0)
"""HU that are told apart where nothing else is asked for, as CRF-GAN's (Shiri et al., section 2.1)."""

SLACK = 0.05
"""Interpolation overshoots a little; other units overshoot a lot."""

LEAST_COVER = 0.05
"""Share of a window that a set in its unit covers at the least."""

SHARE = Unit("[0, 1]", (0.0, 1.0))
BYTE = Unit("8 bit grey values", (0.0, 255.0))
HOUNSFIELD = Unit("HU", CT_WINDOW)


def unit_of(values: Range) -> Unit | None:
    """The unit that a set with these least and greatest values is in; None where it cannot be told."""
    low, high = values
    if low >= -1 - SLACK and high <= 1 + SLACK:
        return SIGNED if low < -SLACK else SHARE
    if low < -200 and high > 0:
        return HOUNSFIELD
    if low >= 0 and high <= 255:
        return BYTE
    return None


def common_unit(ranges: Mapping[str, Range], window: Sequence[float] | None = None) -> Unit:
    """The unit that all sets are in.

    Args:
        ranges: set -> least and greatest value.
        window: lowest and highest value to tell apart; None finds out.

    Raises:
        ValueError: the sets are in different units, or in one that is not known, or do not fit the window.
    """
    shown = ", ".join(f"{name} from {low:g} to {high:g}" for name, (low, high) in ranges.items())
    if window is None:
        units = {name: unit_of(values) for name, values in ranges.items()}
        known = {unit for unit in units.values() if unit is not None}
        if len(known) > 1 and known == {SIGNED, SHARE}:
            raise ValueError(f"values differ in kind ({shown}): [0, 1] against [-1, 1]; bring all sets to one of them")
        if len(known) > 1:
            kinds = ", ".join(f"{name} {unit.name}" for name, unit in units.items() if unit is not None)
            raise ValueError(f"values differ in kind ({shown}; {kinds}); bring all sets to one unit")
        if None in units.values() or not known:
            raise ValueError(
                f"the unit of the values is not known ({shown}); say which of them to tell apart with --window LOW,HIGH"
            )
        return known.pop()
    unit = Unit("given", checked_window(window))
    check_cover(ranges, unit)
    return unit


def check_cover(ranges: Mapping[str, Range], unit: Unit) -> None:
    """Raises ValueError if a set covers next to nothing of the unit's window: it is in another unit."""
    low, high = unit.window
    for name, (least, greatest) in ranges.items():
        cover = max(0.0, min(greatest, high) - max(least, low)) / (high - low)
        if cover < LEAST_COVER:
            shown = ", ".join(f"{n} from {a:g} to {b:g}" for n, (a, b) in ranges.items())
            raise ValueError(
                f"the values of {name} cover {cover:.1%} of the window from {low:g} to {high:g} ({shown}): are they in "
                "another unit? Bring all sets to one unit, or choose the window with --window LOW,HIGH"
            )


def checked_window(window: Sequence[float]) -> Range:
    """Lowest and highest value, low < high, or a ValueError."""
    if not isinstance(window, list | tuple) or len(window) != 2 or not window[0] < window[1]:
        raise ValueError(f"window is {window!r}, expected LOW,HIGH with LOW < HIGH, such as -1024,600")
    return float(window[0]), float(window[1])
