"""JSON as a person would lay it out: what fits on a line stands on a line."""

import json
from typing import Any

WIDTH = 120


def as_json(content: dict, width: int = WIDTH) -> str:
    """The text of a config, ending with a newline.

    The outermost braces stand on lines of their own. Inside, an object or a list takes one line if that has at most
    ``width`` columns, and one line for each entry otherwise. Keys keep their order.
    """
    return _block(content, 0, width) + "\n"


def _block(value: Any, indent: int, width: int) -> str:
    """An object or list with a line for each of its entries."""
    inner = " " * (indent + 4)
    if isinstance(value, dict):
        opening, closing = "{}"
        starts = {f"{json.dumps(key)}: ": item for key, item in value.items()}.items()
    else:
        opening, closing = "[]"
        starts = [("", item) for item in value]
    lines = [inner + start + _text(item, indent + 4, len(start), width) for start, item in starts]
    return f"{opening}\n" + ",\n".join(lines) + f"\n{' ' * indent}{closing}"


def _text(value: Any, indent: int, used: int, width: int) -> str:
    line = json.dumps(value, ensure_ascii=False)
    fits = indent + used + len(line) < width  # a comma may follow
    return line if fits or not value or not isinstance(value, dict | list) else _block(value, indent, width)
