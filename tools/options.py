"""Lists in the words of a command line: "a,b" and "a=DIR,b=DIR"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def listed(given: str | Sequence[str]) -> list[str]:
    """Texts of a list, or of a text with commas; those of nothing but spaces are left out."""
    parts = given.split(",") if isinstance(given, str) else map(str, given)
    return [part.strip() for part in parts if part.strip()]


def named_folders(
    option: str, given: str | Sequence[str] | Mapping[str, str], expected: str = "a=DIR,b=DIR"
) -> dict[str, str]:
    """Model -> folder, of "a=DIR,b=DIR", a list of "a=DIR" or a mapping.

    Args:
        option: name of the option, for the message.
        given: value that the user gave.
        expected: description of the value that is expected, for the message.

    Raises:
        ValueError: a model without a name or a folder, one that is named twice, or one that is called "real".
    """
    if isinstance(given, Mapping):
        return {str(name): str(folder) for name, folder in given.items()}
    found: dict[str, str] = {}
    for part in listed(given):
        name, _, folder = (side.strip() for side in part.partition("="))
        if not name or not folder or name in ("real", *found):
            raise ValueError(
                f"{option} is {given!r}, expected {expected} with a name for every model that is not 'real'"
            )
        found[name] = folder
    return found
