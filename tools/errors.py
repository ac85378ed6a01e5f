"""Errors that the user can correct, and how they are shown: their own message, in one line."""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Collection, Iterable
from pathlib import Path

TOOLS = str(Path(__file__).resolve().parent)


def mendable_message(error: BaseException) -> str | None:
    """Return what a user has to read, in one line; None for a fault of the program, which needs its traceback.

    An error of the files (missing, not readable, no space) is the user's to mend, and so is what this project raises
    itself: its messages say what was given, what was expected and what to do.
    """
    for found in _chain(error):
        frames = traceback.extract_tb(found.__traceback__)
        raised_here = bool(frames) and frames[-1].filename.startswith(TOOLS) and not isinstance(found, AssertionError)
        own_words = raised_here and frames[-1].line is not None and frames[-1].line.lstrip().startswith("raise")
        if own_words or isinstance(found, FileNotFoundError | PermissionError | FileExistsError):
            return f"{type(found).__name__}: {' '.join(str(found).split())}"
    return None


def _chain(error: BaseException) -> list[BaseException]:
    """The error and those behind it, the outermost first."""
    chain = [error]
    while (
        behind := chain[-1].__cause__ or (None if chain[-1].__suppress_context__ else chain[-1].__context__)
    ) is not None:
        chain.append(behind)
    return chain


def causes(error: BaseException) -> list[BaseException]:
    """The error and what it was raised from, the origin last: MONAI's `Compose` and its config parser wrap errors."""
    chain = [error]
    while (origin := chain[-1].__cause__) is not None:
        chain.append(origin)
    return chain


def did_you_mean(name: str, known: Iterable[str], prefix: str = "") -> str:
    """The end of a message on a name that is not known: the nearest that is, or nothing."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" Did you mean {prefix}{close[0]}?" if close else ""


def check_choice(name: str, value: str, choices: Collection[str]) -> None:
    """
    Raises:
        ValueError: the value of what has this name is none of the choices.
    """
    if value not in choices:
        raise ValueError(f"{name} is {value!r}, expected one of {', '.join(choices)}")
