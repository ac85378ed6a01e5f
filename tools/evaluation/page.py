"""What reports share: a page from its template, records and tables as text, and files that appear whole."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader

from tools.files import whole_file


def page(template: str | os.PathLike, **values: Any) -> str:
    """HTML of a Jinja template with these values; what is no markup in them is escaped."""
    template = Path(template)
    environment = Environment(
        loader=FileSystemLoader(template.parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(template.name).render(**values)


def versions(*libraries: str) -> dict[str, str]:
    """Versions of Python and of libraries."""
    return {"python": platform.python_version(), **{name: version(name) for name in libraries}}


def json_text(record: Mapping[str, Any]) -> str:
    """A record as JSON, which has no NaN: null says that there is no value."""
    return json.dumps(_plain(record), indent=2, allow_nan=False) + "\n"


def csv_text(columns: Sequence[str], rows: Iterable[Iterable[Any]]) -> str:
    """A table as CSV; where there is no value, None or NaN, there is nothing."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(["" if value is None or value != value else value for value in row] for row in rows)
    return text.getvalue()


def number_text(value: float | None) -> str:
    """A number for a table: four significant figures, a dash where there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.0f}" if 10_000 <= abs(value) < 10_000_000 else f"{value:.4g}"


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write a file as a whole."""
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
