"""Arrays of one image on disk: its features in a space, or a summary of it, so that it is measured once."""

from __future__ import annotations

import logging
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tools.files import whole_file

logger = logging.getLogger(__name__)


class ArrayCache:
    """A folder of .npz files, one for each key, each written whole.

    Args:
        folder: folder of the files, made when the first is written; None keeps nothing and finds nothing.
    """

    def __init__(self, folder: str | os.PathLike | None) -> None:
        self.folder = None if folder is None else Path(folder)

    def names(self) -> list[str]:
        """Keys of all that is kept, in the order of the files' names."""
        return [] if self.folder is None else [path.stem for path in sorted(self.folder.glob("[!.]*.npz"))]

    def load(self, key: str) -> dict[str, np.ndarray] | None:
        """Arrays that were saved under a key; None if there are none, or, with a warning, if the file is damaged."""
        if self.folder is None or not (path := self.folder / f"{key}.npz").is_file():
            return None
        try:
            with np.load(path, allow_pickle=False) as file:
                return dict(file)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            logger.warning("%s is damaged (%s) and counts as missing", path, error)
            return None

    def save(self, key: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep arrays under a key, a name that a file may have."""
        if self.folder is not None:
            with whole_file(self.folder / f"{key}.npz") as partial:
                np.savez(partial, **arrays)
