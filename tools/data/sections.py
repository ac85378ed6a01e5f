"""The one rule by which a dataset without sections of its own is split: by a hash of each name."""

from __future__ import annotations

import hashlib

SECTIONS = ("training", "validation")


def check_section(section: str) -> None:
    """Raises ValueError unless it is one of `SECTIONS`."""
    if section not in SECTIONS:
        raise ValueError(f"section is {section!r}, expected 'training' or 'validation'")


def is_held_out(name: str, one_in: int) -> bool:
    """Return whether ``name`` is one of the ``one_in``-th part of all names that is for validation.

    It depends on the name alone, so that adding one never moves another.
    """
    return int(hashlib.sha256(name.encode()).hexdigest(), 16) % one_in == 0
