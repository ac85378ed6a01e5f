"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PARTIAL = ".*.partial.*"
"""Pattern of the names under which files are written; a killed process leaves such a file behind."""


@contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[Path]:
    """A temporary name, in the same folder and with the same ending, that becomes ``path`` when the block succeeds.

    A reader never sees half a file, and what was there before is lost only when the new one is complete.

    Example::

        with whole_file("report.json") as partial:
            partial.write_text(text)
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # a name of its own for every process and machine that may write here
    partial = path.with_name(f".{uuid.uuid4().hex}.partial.{path.name}")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
