"""Which modules of ``tools`` a bundle needs, and which packages those import.

Python's own ``modulefinder`` finds them: it reads the code of a module and of all that this imports, and runs none.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from modulefinder import ModuleFinder
from pathlib import Path
from types import CodeType

from tools.former import name_now
from tools.share.configs import Entry, expression_tree, import_node

LIBRARY = "tools"

STYLE = b"""\
# Formatted and checked by ruff in the repository that this was packed from; other tools leave it as it is.
# flake8: noqa
# isort: skip_file
# fmt: off
"""
"""Head of packed code, without which the MONAI Model Zoo's black, isort and flake8, whose settings differ, ask for
changes that the next version would undo."""


@dataclass
class Dependencies:
    """What following a bundle's configs found.

    Attributes:
        root: folder that holds ``tools``.
        imports: packages other than ``tools`` that the configs name, by their top-level name.
        problems: names that lead nowhere, each a line.
    """

    root: Path
    imports: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    finder: ModuleFinder = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.finder = ModuleFinder(
            path=[str(self.root)]
        )  # so that all other packages are "bad modules", and not followed

    @property
    def modules(self) -> dict[str, Path]:
        """Dotted name -> file of the modules and packages that are needed."""
        return {name: Path(module.__file__) for name, module in self.finder.modules.items() if module.__file__}

    def need(self, dotted: str, by: str) -> None:
        """Follow a dotted name: a module, or something in a module, whose attributes do not matter."""
        if dotted.split(".")[0] != LIBRARY:
            self.imports.add(dotted.split(".")[0])
            return
        module, rest = self._split(dotted)
        if not module:
            self.problems.append(f"{by}: there is no module {LIBRARY}")
            return
        self.finder.import_hook(module)
        if rest and not self._has(module, rest[0]):
            self.problems.append(f"{by}: {_missing(module, rest[0])}")

    def files(self) -> dict[str, bytes]:
        """path in the archive -> content of needed modules, after `STYLE`, and of files beside them that they name."""
        found = {}
        for module, path in self.modules.items():
            found[self._relative(path)] = STYLE + path.read_bytes()
            for text in _texts(self.finder.modules[module].__code__):
                if "." in text and "/" not in text and "\n" not in text and len(text) < 100:
                    beside = path.parent / text
                    if beside.is_file() and beside.suffix != ".py":
                        found[self._relative(beside)] = beside.read_bytes()
        return dict(sorted(found.items()))

    def finish(self) -> None:
        """Collect the packages that needed modules import, and name imports that lead nowhere."""
        self.imports |= {name.split(".")[0] for name in self.finder.badmodules} - {LIBRARY}
        for module, path in self.modules.items():
            by = self._relative(path)
            for code in _codes(self.finder.modules[module].__code__):
                for kind, what in self.finder.scan_opcodes(code):
                    if kind == "absolute_import" and what[1].split(".")[0] == LIBRARY:
                        self._check_import(what[1], what[0] or (), by)
        self.problems = sorted(set(self.problems))

    def _check_import(self, source: str, names: tuple[str, ...], by: str) -> None:
        """Name what an import of a needed module does not find."""
        module, rest = self._split(source)
        if rest:
            self.problems.append(f"{by}: {_missing(module, rest[0])}")
            return
        for name in names:
            if name == "*":
                self.problems.append(f"{by}: `from {source} import *` does not say what it needs; name it")
            elif not self._has(source, name):
                self.problems.append(f"{by}: {_missing(source, name)}")

    def _has(self, module: str, name: str) -> bool:
        """Whether a module that was followed has a name, or a package a module, which is followed then."""
        if name in self.finder.modules[module].globalnames:
            return True
        if self._split(f"{module}.{name}")[1]:
            return False
        self.finder.import_hook(f"{module}.{name}")
        return True

    def _split(self, dotted: str) -> tuple[str, list[str]]:
        """The longest beginning of a dotted name that is a module, and the rest."""
        parts = dotted.split(".")
        known = 0
        while known < len(parts):
            base = self.root.joinpath(*parts[: known + 1])
            if not base.with_suffix(".py").is_file() and not (base / "__init__.py").is_file():
                break
            known += 1
        return ".".join(parts[:known]), parts[known:]

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()


def follow(root: Path, sets: list[list[Entry]]) -> Dependencies:
    """What the configs of a bundle need.

    Args:
        root: folder that holds ``tools``.
        sets: entries of the configs that run together, since a name that one imports serves the others.
    """
    found = Dependencies(Path(root))
    for entries in sets:
        bound: dict[str, str] = {}
        for entry in entries:
            by = f"{entry.config}: {entry.id}"
            if entry.kind == "import":
                name, dotted = _import(entry)
                found.need(dotted, by)
                bound[name] = dotted
            elif entry.kind == "name" or (entry.kind == "target" and "." in entry.text):
                found.need(entry.text, by)
        for entry in entries:
            if entry.kind == "expression":
                by = f"{entry.config}: {entry.id}"
                try:
                    tree = expression_tree(entry.text)
                except ValueError as error:
                    found.problems.append(f"{by}: {error}")
                    continue
                for dotted in attribute_chains(tree, bound):
                    found.need(dotted, by)
    found.finish()
    return found


def _import(entry: Entry) -> tuple[str, str]:
    """The name that a config's import binds, and the dotted name that it stands for."""
    node = import_node(entry.text)
    alias = node.names[0]
    if isinstance(node, ast.ImportFrom):
        return alias.asname or alias.name, f"{node.module}.{alias.name}"
    return alias.asname or alias.name, alias.name


def attribute_chains(tree: ast.AST, bound: dict[str, str]) -> set[str]:
    """Dotted names of the attributes that are taken of what ``bound`` has: name -> what it stands for."""
    found = set()
    for node in ast.walk(tree):
        names = []
        part = node
        while isinstance(part, ast.Attribute):
            names.append(part.attr)
            part = part.value
        if names and isinstance(part, ast.Name) and part.id in bound:
            found.add(".".join([bound[part.id], *reversed(names)]))
    return found


def _codes(code: CodeType) -> Iterator[CodeType]:
    """The code of a module and of what is defined in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _texts(code: CodeType) -> Iterator[str]:
    """The texts that a module's code has."""
    for part in _codes(code):
        for constant in part.co_consts:
            values = constant if isinstance(constant, tuple | frozenset) else (constant,)
            yield from (value for value in values if isinstance(value, str))


def _missing(module: str, name: str) -> str:
    """What a reader is told of a name that is not there."""
    now = name_now(f"{module}.{name}")
    return f"{module} has no {name}" + (f"; it is {now} now" if now else "")
