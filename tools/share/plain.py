"""Text of strangers, for a terminal: what cannot be seen, or does something to the terminal, is written out."""

from __future__ import annotations

import re

LONGEST = 400
"""Characters that are shown of one text, unless more is asked for."""

BLANKS = re.compile(r" {9,}")


def plain(text: str, longest: int | None = LONGEST) -> str:
    """``text`` in printable ASCII.

    Control characters, escapes that move the cursor, marks that turn the direction of writing and letters that look
    like others are written as `\\x1b` or `\\u202e`. Long runs of blanks, which push the rest out of sight, are counted.

    Args:
        text: text of any kind.
        longest: a longer text loses its middle, and says how much.
    """
    shown = "".join(c if " " <= c <= "~" else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
    shown = BLANKS.sub(lambda found: f"   [{len(found[0])} blanks]   ", shown)
    if longest is not None and len(shown) > longest:
        half = longest // 2 - 20
        shown = f"{shown[:half]} [... {len(shown) - 2 * half} characters ...] {shown[-half:]}"
    return shown
