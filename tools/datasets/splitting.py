"""The one rule by which a dataset is split: what is held out depends on each subject alone."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Sequence
from typing import TypeVar

SECTIONS = ("training", "validation")

Item = TypeVar("Item")


def check_section(section: str) -> None:
    """Raises ValueError unless it is one of `SECTIONS`."""
    if section not in SECTIONS:
        raise ValueError(f"section is {section!r}, expected 'training' or 'validation'")


def is_held_out(name: str, one_in: int) -> bool:
    """Whether ``name`` is one of the ``one_in``-th part of all names that is for validation.

    It depends on the name alone, so that adding one never moves another.
    """
    return int(hashlib.sha256(name.encode()).hexdigest(), 16) % one_in == 0


def split(
    items: Sequence[Item],
    section: str,
    held_out: Callable[[Item], bool],
    source: object,
    what: str,
    rule: str,
    share_few: bool = False,
    stacklevel: int = 1,
) -> list[Item]:
    """Those of ``items`` that are one section's.

    Where fewer than two are held out, or none is left to train on, as happens in small folders, all are validated on,
    with a warning. What is held out is trained on only where there is nothing else, so that more items move none, or
    where fewer than two are and ``share_few`` says so.

    Args:
        items: all that there are.
        section: one of `SECTIONS`.
        held_out: function that tells whether an item is for validation; it must depend on that item alone.
        source: name of the folder that they are from, for the warning.
        what: noun for the items, in the plural.
        rule: sentence that says when an item is for validation.
        share_few: True if all are trained on where fewer than two are held out.
        stacklevel: number of calls from here to the code that the warning is about.

    Raises:
        ValueError: ``section`` is neither.
    """
    check_section(section)
    validation = [item for item in items if held_out(item)]
    training = [item for item in items if not held_out(item)]
    few = len(validation) < 2
    if section == "training":
        return list(items) if not training or (few and share_few) else training
    if few or not training:
        # a distance between distributions needs two of each
        warnings.warn(
            f"{source}: {len(validation) or 'none'} of the {len(items)} {what} is for validation, which needs 2 and "
            f"must leave some to train on, so validation uses the training {what} too and says nothing about {what} "
            f"that were not trained on; {rule}",
            stacklevel=stacklevel + 1,
        )
        return list(items)
    return validation
