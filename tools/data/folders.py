"""Walking through a folder of data: every folder once, masks and hidden files left out."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

from tools.files import as_text
from tools.io import left_out

logger = logging.getLogger(__name__)

LABEL_FOLDERS = ("ground", "labels", "masks", "seg-lungs", "segmentations")
"""Beginnings of the names of folders with label maps, not images, in small letters: of CHAOS; of nnU-Net, MSD and AMOS
(labelsTr, labelsTs, labelsVa); of LUNA16; of TotalSegmentator."""


def walk(
    root: str | os.PathLike, expected_labels: bool = False, with_labels: bool = False
) -> Iterator[tuple[Path, list[str]]]:
    """A folder and all below it, each with the sorted names of its files.

    Hidden files and folders are left out. So are folders with label maps, which are named at the end of a run
    (`tools.io.left_out`), and those that cannot be opened. Links are followed, and every folder is gone through once,
    however many links lead to it: one that leads to a folder above it makes no circle.

    Args:
        root: folder to begin in; its own name does not matter.
        expected_labels: True for a dataset that is known to hold label maps, which then need not be named.
        with_labels: True to go through folders with label maps too.
    """
    seen: set[tuple[int, int]] = set()
    for place, subfolders, names in os.walk(root, followlinks=True, onerror=_unreadable):
        stat = os.stat(place)
        if (stat.st_dev, stat.st_ino) in seen:
            subfolders[:] = []
            continue
        seen.add((stat.st_dev, stat.st_ino))
        wanted = []
        for name in subfolders:
            if name.lower().startswith(LABEL_FOLDERS) and not with_labels:
                if not expected_labels:
                    left_out.keep({os.path.join(place, name): "label maps, by the name of the folder"})
            elif not name.startswith("."):
                wanted.append(name)
        # folders before links to them, so that a volume is named by where it lies
        subfolders[:] = sorted(wanted, key=lambda name: (os.path.islink(os.path.join(place, name)), name))
        yield Path(place), sorted(name for name in names if not name.startswith("."))


def _unreadable(error: OSError) -> None:
    reason = f"the folder cannot be opened ({error.strerror})"
    left_out.keep({str(error.filename): reason})
    logger.warning("%s is left out: %s", as_text(str(error.filename)), reason)
