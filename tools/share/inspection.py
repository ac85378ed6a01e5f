"""``python -m tools inspect``: what a bundle can do, listed without importing or evaluating any of it."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tools.share.archive import archive_files, check_archive
from tools.share.configs import Entry, entries

KINDS = {
    "import": "imports, which run a module's code",
    "target": "_target_s, which are called",
    "expression": "expressions, which Python evaluates",
    "macro": "parts of other files that are read in",
    "logging": "lines of a logging config, which Python evaluates",
    "name": "names of Python objects elsewhere",
}

NOTABLE = re.compile(
    r"(?<![\w.])(eval|exec|compile|__import__|open|globals)\s*\(|"
    r"\b(import_module|run_path|run_module|pickle|marshal|subprocess|popen|socket|urlopen|urlretrieve|requests|ctypes|"
    r"rmtree|unlink|os\.(system|remove|exec\w*|spawn\w*|kill)|torch\.load|cpp_extension|load_url)\b"
)
"""What deserves a look: it runs code or programs, loads pickles, opens files, reaches the network, or deletes."""


def inspect(archive: str, checksum: str | None = None) -> None:
    """List every import, _target_ and expression of a bundle's configs, and what its Python files import.

    Nothing is evaluated, imported or unpacked. The archive is checked first: paths, links, sizes, checksums, weights.

    Args:
        archive: NAME_v<version>.zip, or the folder of an unpacked bundle, which is not checked.
        checksum: SHA-1 or SHA-256 of the archive, from where you trust it: that of model_info.json, for instance.
    """
    path = Path(str(archive))
    if path.is_dir():
        files = folder_files(path)
        print(f"{path} is a folder: its files were not checked against SHA256SUMS.")
    else:
        name = check_archive(path, checksum=None if checksum is None else str(checksum))
        files = archive_files(path)
        print(f"{path.name} holds {name}: {len(files)} files and its weights, all as its SHA256SUMS says.")
        if checksum is None:
            print("Whoever alters an archive can write new checksums: compare with --checksum from the release's list.")
    print(listing(files))


def listing(files: Mapping[str, bytes]) -> str:
    """What ``files``, by their path in a bundle, can do, as text. A `!` marks what deserves a look."""
    found = bundle_entries(files)
    lines = []
    for kind, title in KINDS.items():
        chosen = [entry for entry in found if entry.kind == kind]
        if chosen:
            lines += ["", f"{len(chosen)} {title}:"]
            lines += [f"{_mark(entry.text)} {entry.config} {entry.id}: {entry.text}" for entry in chosen]
    lines += ["", "Python files, with what they import and call that deserves a look:"]
    for path in sorted(path for path in files if path.endswith(".py")):
        imports, notable = python_summary(files[path].decode(errors="replace"))
        lines.append(f"{'!' if notable else ' '} {path}: {', '.join(imports) or 'imports nothing'}")
        lines += [f"!     line {number}: {text}" for number, text in notable]
    return "\n".join(lines)


def bundle_entries(files: Mapping[str, bytes]) -> list[Entry]:
    """The strings of all configs that do something, read as text.

    Raises:
        ValueError: a config cannot be read, so that it cannot be listed.
    """
    found = []
    for path in sorted(files):
        if not path.startswith("configs/"):
            continue
        text = files[path].decode(errors="replace")
        name = path.removeprefix("configs/")
        if path.endswith((".json", ".yaml", ".yml")):
            found += entries(name, _content(path, text))
        elif path.endswith((".conf", ".ini", ".cfg")):
            lines = [line.strip() for line in text.splitlines()]
            chosen = [line for line in lines if re.match(r"(class|args|kwargs)\s*=", line)]
            found += [Entry(name, line.split("=")[0].strip(), "logging", line.split("=", 1)[1]) for line in chosen]
    return found


def python_summary(source: str) -> tuple[list[str], list[tuple[int, str]]]:
    """Modules that a Python file imports, and the lines with words that deserve a look."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError) as error:
        return [], [(0, f"not Python: {error}")]
    imports = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imports.add("." * node.level + (node.module or ""))
    lines = source.splitlines()
    called = {
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and NOTABLE.search(f"{ast.unparse(node.func)}(")
    }
    return sorted(imports), [(number, lines[number - 1].strip()) for number in sorted(called)]


def folder_files(folder: Path) -> dict[str, bytes]:
    """The configs and Python files of an unpacked bundle, by their path in it."""
    chosen = [*folder.glob("configs/**/*"), *folder.glob("**/*.py")]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in chosen if path.is_file()}


def _content(path: str, text: str) -> Any:
    try:
        return json.loads(text) if path.endswith(".json") else yaml.safe_load(text)
    except (json.JSONDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"{path} cannot be read ({error}), so what it does cannot be listed") from error


def _mark(text: str) -> str:
    return "!" if NOTABLE.search(text) else " "
