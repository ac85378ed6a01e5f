"""What a bundle trains on when it is given no data."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

logger = logging.getLogger(__name__)


def dataset_or_phantoms(
    dataset_dir: str | Path | None, phantom_dir: str | Path, write: Callable[..., Path], **settings
) -> str:
    """The dataset's folder, or, where it is None, a folder of phantoms, written if they are not there yet.

    Args:
        dataset_dir: the user's data, or None.
        phantom_dir: where phantoms go.
        write: writes them, (folder, **settings).
        settings: for ``write``.
    """
    if dataset_dir is not None:
        return str(dataset_dir)
    logger.warning(
        f"No --dataset_dir was given: this run uses built-in phantoms ({phantom_dir}, {settings}), which are computed "
        "anatomy, not patients. What it trains can show that everything works, and nothing more."
    )
    return str(write(phantom_dir, **settings))
