"""What this process leaves out of its data, or doubts: said when it is found, and once more at the end of a run.

A warning at the start of a training that takes days is lost by its end. So names and reasons are kept here, as Python
keeps warnings: for the whole process.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping
from textwrap import indent

from tools.files import as_text

MOST = 200
"""Names that are listed at the end."""

MANY = 3
"""Names of one reason from which on it is said once for all of them."""

_kept: dict[str, str] = {}


def bounded(lines: list[str], most: int = 20) -> str:
    """The lines, at most `most` of them, indented and one below the other."""
    more = [f"... and {len(lines) - most} more"] if len(lines) > most else []
    return "\n".join(f"  {line}" for line in lines[:most] + more)


def grouped(reasons: Mapping[str, str]) -> list[tuple[str, list[str]]]:
    """Reasons and the names that have each, the first in the order given; from `MANY` names on those of one reason are
    together.

    Reasons that differ in numbers alone, such as how many voxels are NaN, count as one; the first is said.
    """
    alike: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        alike.setdefault(re.sub(r"\d[\d.,]*", "#", reason), []).append(name)
    groups = [[names] if len(names) >= MANY else [[name] for name in names] for names in alike.values()]
    return [(reasons[names[0]], [as_text(name) for name in names]) for group in groups for names in group]


def listed(reasons: Mapping[str, str], most: int = 20) -> str:
    """Names with their reason, a line each and indented; many of one reason below it. At most ``most`` names a reason,
    and ``most`` reasons.
    """
    found = []
    for reason, names in grouped(reasons):
        if len(names) == 1:
            found.append(f"{names[0]}: {reason}")
        else:
            found.append(f"{len(names)}: {reason}\n{indent(bounded(names, most), '  ')}")
    return bounded(found, most)


def in_words(reasons: Mapping[str, str], most: int = 20) -> str:
    """List as `listed`, within a sentence: "a: it is damaged; 12: it is empty (b, c and 10 more)"."""
    found = []
    for reason, names in grouped(reasons):
        more = f" and {len(names) - most} more" if len(names) > most else ""
        few = f"{len(names)}: {reason} ({', '.join(names[:most])}{more})"
        found.append(f"{names[0]}: {reason}" if len(names) == 1 else few)
    more = [f"and {len(found) - most} more"] if len(found) > most else []
    return "; ".join(found[:most] + more)


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
    warnings.warn(
        f"{as_text(where)}: {len(reasons)} of {total} {what} are left out:\n{listed(reasons)}",
        stacklevel=stacklevel + 1,
    )


def summary() -> str:
    """Every name with its reason, see `listed`; "" if nothing was left out or doubted."""
    if not _kept:
        return ""
    return f"Left out, or looking wrong ({len(_kept)}):\n{listed(dict(sorted(_kept.items())), MOST)}"


def print_left_out() -> None:
    """Prints `summary`, for the end of a run; nothing if there is nothing to say."""
    if text := summary():
        print(text)
