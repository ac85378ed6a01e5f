"""What a browser sends to the server of a study, before anybody trusts it."""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from typing import Any

from flask import request

from tools.study.database import Refused
from tools.study.folder import Study
from tools.study.texts import languages


def sent() -> Mapping[str, Any]:
    """Return what was sent. Another site's form cannot send JSON.

    Raises:
        Refused: "invalid" for what is no JSON object, or holds half a surrogate, which is no text and cannot be kept.
    """
    try:
        content = request.get_json(silent=True) if request.is_json else None
        json.dumps(content, ensure_ascii=False).encode()
    except (RecursionError, UnicodeEncodeError) as error:
        raise Refused("invalid") from error
    if not isinstance(content, dict):
        raise Refused("invalid")
    return content


def equal(given: Any, expected: str) -> bool:
    """Return whether a secret was given, in a time that says nothing of it."""
    return isinstance(given, str) and hmac.compare_digest(given.encode(errors="replace"), expected.encode())


def language_of(study: Study) -> str:
    """Return the language that is asked for, or the study's own where there is no such translation."""
    wanted = request.args.get("language", study.language)
    return wanted if wanted in languages() else study.language
