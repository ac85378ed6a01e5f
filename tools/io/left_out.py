"""What this process leaves out of its data, or doubts: said when it is found, and once more at the end of a run.

A warning at the start of a training that takes days is lost by its end. So names and reasons are kept here, as Python
keeps warnings: for the whole process.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping

from tools.files import as_text

MOST = 200
"""Names that are listed at the end."""

_kept: dict[str, str] = {}


def bounded(lines: list[str], most: int = 20) -> str:
    """The lines, at most `most` of them, indented and one below the other."""
    more = [f"... and {len(lines) - most} more"] if len(lines) > most else []
    return "\n".join(f"  {line}" for line in lines[:most] + more)


def keep(reasons: Mapping[str, str]) -> None:
    """Remembers names, of files, folders or ids, and for each the reason why it is left out or doubted."""
    _kept.update({as_text(name): reason for name, reason in reasons.items()})


def forget(names: Iterable[str]) -> None:
    """Drops names that have been told of in another way."""
    for name in names:
        _kept.pop(as_text(name), None)


def warn_of(where: str, reasons: Mapping[str, str], total: int, what: str = "volumes", stacklevel: int = 2) -> None:
    """Warns that some of ``total`` volumes are left out, with names and reasons, and remembers them."""
    keep(reasons)
    lines = [f"{as_text(name)}: {reason}" for name, reason in reasons.items()]
    warnings.warn(
        f"{as_text(where)}: {len(lines)} of {total} {what} are left out:\n{bounded(lines)}",
        stacklevel=stacklevel + 1,
    )


def summary() -> str:
    """Every name with its reason, a line each; "" if nothing was left out or doubted."""
    if not _kept:
        return ""
    lines = [f"{name}: {reason}" for name, reason in sorted(_kept.items())]
    return f"Left out, or looking wrong ({len(lines)}):\n{bounded(lines, MOST)}"


def print_left_out() -> None:
    """Prints `summary`, for the end of a run; nothing if there is nothing to say."""
    if text := summary():
        print(text)
