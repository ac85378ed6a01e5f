"""A bundle's ``docs/README.md``: what is its family's from one text, what is its own from another.

``texts/<family>.md`` is the whole document as a Jinja template. ``texts/<bundle>.md``, where there is one, extends it
and fills blocks with what is the bundle's own: pictures, measurements, a paper's numbers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path
from textwrap import TextWrapper
from types import ModuleType
from typing import Any

from tools.catalogue import options

WIDTH = 120
TEXTS = Path(__file__).resolve().parent / "texts"


def readme(
    family: ModuleType,
    entry: Any,
    configs: Mapping[str, Any],
    root: str | None = None,
    like: str = "",
    own: Mapping[str, Any] | None = None,
) -> str:
    """The text.

    Args:
        family: module of the catalogue.
        entry: the bundle.
        configs: name -> content of its configs, from which the tables of options are made.
        root: the bundle's folder as commands name it; ``bundles/<name>`` if None.
        like: bundle of the collection that a user's own bundle is like; its texts are the family's alone.
        own: differences from that bundle.

    Raises:
        jinja2.UndefinedError: a text speaks of something that the entry does not have.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # slow: listing the bundles needs none of it

    environment = Environment(
        loader=FileSystemLoader(TEXTS),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown
    )
    of_family = f"{family.__name__.rpartition('.')[2]}.md"
    of_bundle = f"{entry.name}.md"
    name = of_bundle if not like and (TEXTS / of_bundle).is_file() else of_family
    tables = {
        config: options.table(content, options.described(family.OPTIONS, config)) for config, content in configs.items()
    }
    text = environment.get_template(name).render(
        bundle=entry,
        root=root or f"bundles/{entry.name}",
        options=tables,
        like=like,
        own=own or {},
        **family.facts(entry),
    )
    parts = re.split(r"(^```.*?^```$)", text, flags=re.MULTILINE | re.DOTALL)  # every second one is a program
    filled = ["\n\n".join(_filled(block) for block in re.split(r"\n{2,}", part)) for part in parts[::2]]
    return "".join(part for pair in zip_longest(filled, parts[1::2], fillvalue="") for part in pair)


def _filled(block: str) -> str:
    """A paragraph or list of Markdown in lines of one width; tables, headings and pictures as they are."""
    if re.match(r"\n?[|#<!]", block) or not block.strip():
        return block
    items = [" ".join(item.split()) for item in re.split(r"\n(?=(?:-|\d+\.) )", block.strip("\n"))]
    lines = []
    for item in items:
        mark = re.match(r"(-|\d+\.) ", item)
        lines += _wrapped(item, indent=len(mark[0]) if mark else 0)
    before, after = ("\n" if block.startswith("\n") else ""), ("\n" if block.endswith("\n") else "")
    return before + "\n".join(lines) + after


def _wrapped(text: str, indent: int) -> list[str]:
    wrapper = TextWrapper(WIDTH, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False)
    lines = wrapper.wrap(text)
    begins_a_list = any(re.match(r" *([-+*]|\d+[.)]) ", line) for line in lines[1:])
    return [text] if begins_a_list else lines  # Markdown would see a list there
