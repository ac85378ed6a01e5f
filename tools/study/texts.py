"""What readers read, in their language: `texts.json`, to which a language is added by adding an entry."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("texts.json")


@cache
def _all() -> dict[str, dict[str, str]]:
    return json.loads(FILE.read_text(encoding="utf-8"))


def languages() -> dict[str, str]:
    """Code -> the language's own name."""
    return {code: texts["language"] for code, texts in _all().items()}


def load_texts(language: str) -> dict[str, str]:
    """All texts of a language.

    Raises:
        ValueError: there is none of this language.
    """
    if language not in _all():
        raise ValueError(
            f"language is {language!r}, expected one of {', '.join(_all())}; others can be added to {FILE.name}"
        )
    return _all()[language]
