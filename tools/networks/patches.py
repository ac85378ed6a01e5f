"""Patches of voxels that become channels."""

from __future__ import annotations


def checked_patch(patch: int) -> int:
    """Return the side of a patch in voxels.

    Raises:
        ValueError: ``patch`` is no whole number above 0.
    """
    if isinstance(patch, bool) or not isinstance(patch, int) or patch < 1:
        raise ValueError(f"patch is {patch!r}, expected a whole number of voxels a side, 1 for none")
    return patch
