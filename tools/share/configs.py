"""What a bundle's configs say, read as text: nothing here is evaluated, imported or run."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser, ReferenceResolver

REFERENCE = re.compile(r"@(?:#|::)*\w+(?:(?:#|::)\w+)*")
"""A reference of MONAI's config syntax, with relative ones: `@train#dataset`, `@##sampler`."""

DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
"""A dotted name, as `_target_` has it."""

LONGEST_EXPRESSION = 20_000
"""Characters of an expression that is parsed; those that people write have some hundreds."""


@dataclass(frozen=True)
class Entry:
    """One string of a config that does something.

    Attributes:
        config: the file's name.
        id: place in the config, as MONAI writes it: `train#dataset#data`.
        kind: "import", "expression", "target", "name" (a dotted name elsewhere), "macro" or "reference".
        text: the string, without MONAI's "$" or "%".
    """

    config: str
    id: str
    kind: str
    text: str


def load_config(path: Path) -> dict[str, Any]:
    """A config's content.

    Raises:
        ValueError: the content is not a JSON object.
    """
    try:
        content = json.loads(Path(path).read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not JSON: {error}. Configs are JSON files with one object.") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}; a config is one JSON object of ids and values.")
    return content


def config_files(folder: Path) -> list[Path]:
    """The JSON files of a bundle's configs, without the metadata, sorted by name."""
    return sorted(path for path in (folder / "configs").glob("*.json") if path.name != "metadata.json")


def config_sets(folder: Path) -> list[tuple[Path, ...]]:
    """Return which files run together: a config with `bundle_root` alone, any other on top of `train.json`.

    Of a bundle that trains nothing it is `inference.json` in its place.
    """
    train, inference = (folder / "configs" / f"{name}.json" for name in ("train", "inference"))
    below = train if train.is_file() else inference
    return [(path,) if "bundle_root" in load_config(path) else (below, path) for path in config_files(folder)]


def entries(config: str, content: Any) -> list[Entry]:
    """The strings of a config that do something, in its order; ``config`` is the file's name."""
    found = []
    for id, text in strings(content):
        kind = kind_of(id, text)
        if kind is not None:
            found.append(Entry(config, id, kind, text[1:] if text[0] in "$%" else text))
    return found


def kind_of(id: str, text: str) -> str | None:
    """The kind of an `Entry`; None for plain text."""
    if text.startswith("$"):
        return "import" if isinstance(_parsed(text[1:]), ast.Import | ast.ImportFrom) else "expression"
    if text.startswith("%"):
        return "macro"
    if ReferenceResolver.split_id(id)[-1].lstrip("+") == "_target_":  # MONAI merges `a#_target_` and `+a::_target_`
        return "target"
    if text.startswith("@"):
        return "reference"
    return "name" if DOTTED.fullmatch(text) and text.startswith("tools.") else None


def expression_tree(text: str) -> ast.Expression:
    """The syntax tree of an expression, each reference a name.

    Raises:
        ValueError: the text is not a Python expression.
    """
    try:
        return ast.parse(REFERENCE.sub("_reference_", text).strip(), mode="eval")
    except SyntaxError as error:
        raise ValueError(f"not a Python expression: {text} ({error.msg})") from error


def import_node(text: str) -> ast.Import | ast.ImportFrom:
    """The import statement in an `Entry` of that kind; MONAI reads the first statement and its first name only."""
    return _parsed(text)


def unmet_references(files: Sequence[Path]) -> list[str]:
    """`<id> refers to @<id>` for each reference of the merged configs that leads nowhere.

    MONAI's parser merges the files and resolves macros and relative ids; nothing is evaluated.
    """
    parser = ConfigParser()
    parser.read_config([str(path) for path in files])
    parser.parse(reset=True)
    known = parser.ref_resolver.items
    missing = []
    for id, item in known.items():
        if not isinstance(item.get_config(), str):
            continue  # a list or mapping, whose items have their own ids
        for reference in parser.ref_resolver.find_refs_in_config(config=item.get_config(), id=id):
            if reference not in known:
                missing.append(f"{files[-1].name}: {id.replace('::', '#')} refers to @{reference.replace('::', '#')}")
    return sorted(set(missing))


def strings(content: Any, id: str = "") -> Iterator[tuple[str, str]]:
    """id -> text of all strings of a config that are not empty, in its order."""
    if isinstance(content, str):
        if content:
            yield id, content
    elif isinstance(content, Mapping):
        for key, value in content.items():
            yield from strings(value, f"{id}#{key}" if id else str(key))
    elif isinstance(content, list):
        for number, value in enumerate(content):
            yield from strings(value, f"{id}#{number}" if id else str(number))


def _parsed(text: str) -> ast.stmt | None:
    if len(text) > LONGEST_EXPRESSION:
        return None
    try:
        statements = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # references are not Python
        return None
    return statements[0] if statements else None
