"""What a bundle trains on when it is given no data."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

logger = logging.getLogger(__name__)


def dataset_or_phantoms(
    dataset_dir: str | Path | None,
    phantom_dir: str | Path,
    write: Callable[..., Path],
    own: Mapping[str, str | Path | None] = MappingProxyType({}),
    **settings,
) -> str | None:
    """The dataset's folder, or, where it is None, a folder of phantoms, written if they are not there yet.

    Args:
        dataset_dir: the user's data, or None.
        phantom_dir: folder for the phantoms.
        write: function that writes them, (folder, **settings).
        own: options that name folders in the place of parts of the dataset, with their values. Where all of them are
            given there is nothing left to take from a dataset or from phantoms, and None is returned.
        settings: arguments of ``write``.

    Raises:
        ValueError: some of ``own`` are given, but not all, and no dataset: a part of the data would be phantoms.
    """
    if dataset_dir is not None:
        return str(dataset_dir)
    given = [name for name, folder in own.items() if folder is not None]
    if given and len(given) == len(own):
        return None
    if given:
        missing = " and ".join(f"--{name}" for name in own if name not in given)
        raise ValueError(
            f"--{' and --'.join(given)} alone would be trained with phantoms; give {missing} too, or the rest of the "
            "data with --dataset_dir"
        )
    logger.warning(
        f"No --dataset_dir was given: this run uses built-in phantoms ({phantom_dir}, {settings}), which are computed "
        "anatomy, not patients. What it trains can show that everything works, and nothing more."
    )
    return str(write(phantom_dir, **settings))
