"""Which modules of ``tools`` a bundle needs, and which packages those import: followed by reading, not by importing.

A package's ``__init__`` that only re-exports would drag in all that the package has. Of such a package only the names
that somebody asks for are followed, and an ``__init__`` with those alone is written into the archive. An ``__init__``
that does anything else is taken as it is.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tools.share.configs import DOTTED, Entry, expression_tree, import_node

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
        root: the folder that holds ``tools``.
        modules: dotted names of the modules and packages that are needed.
        data_files: other files that a needed module names, relative to ``root``.
        kept: names that each re-exporting package must still have.
        imports: packages other than ``tools`` that needed modules import, by their top-level name.
        problems: names that lead nowhere, each a line.
    """

    root: Path
    modules: set[str] = field(default_factory=set)
    data_files: set[str] = field(default_factory=set)
    kept: dict[str, set[str]] = field(default_factory=dict)
    imports: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    _trees: dict[str, ast.Module] = field(default_factory=dict, repr=False)
    _paths: dict[str, Path | None] = field(default_factory=dict, repr=False)

    def need_module(self, module: str, by: str) -> bool:
        """Follow a module or package, and the packages around it; False, and a problem, if there is none."""
        path = self.path(module)
        if path is None:
            self.problems.append(f"{by}: there is no module {module}")
            return False
        parent = module.rpartition(".")[0]
        if parent:
            self.need_module(parent, by)
        if module not in self.modules:
            self.modules.add(module)
            if path.name == "__init__.py" and self.exports(module) is not None:
                self.kept.setdefault(module, set())
            else:
                self._follow(module, path)
        return True

    def need(self, dotted: str, by: str) -> bool:
        """Follow a dotted name: a module, or something in a module, whose attributes do not matter."""
        module, *attributes = dotted.split(".")
        while attributes and self._is_submodule(module, attributes[0]):
            module = f"{module}.{attributes.pop(0)}"
        if not attributes:
            return self.need_module(module, by)
        return self.need_name(module, attributes[0], by)

    def need_name(self, module: str, name: str, by: str) -> bool:
        """Follow one name of a module or package."""
        if not self.need_module(module, by):
            return False
        exports = self.exports(module)
        if exports is not None and name in exports:
            if name not in self.kept[module]:
                self.kept[module].add(name)
                source, source_name = exports[name]
                self.need_name(source, source_name, f"{module}/__init__.py")
            return True
        if self._is_submodule(module, name):
            return self.need_module(f"{module}.{name}", by)
        if name not in defined_names(self._tree(module)):
            self.problems.append(f"{by}: {module} has no {name}")
            return False
        return True

    def knows(self, module: str, name: str) -> bool:
        """Return whether a module or package has such a name."""
        exports = self.exports(module) or {}
        return name in exports or self._is_submodule(module, name) or name in defined_names(self._tree(module))

    def path(self, module: str) -> Path | None:
        """The file of a module or package; None if there is none."""
        if module not in self._paths:
            self._paths[module] = self._find(module)
        return self._paths[module]

    def _find(self, module: str) -> Path | None:
        base = self.root.joinpath(*module.split("."))
        candidates = (base.with_suffix(".py"), base / "__init__.py")
        return next((path for path in candidates if path.is_file()), None)

    def exports(self, package: str) -> dict[str, tuple[str, str]] | None:
        """name -> (module, name there) of a package that only re-exports; None for whatever else."""
        path = self.path(package)
        if path is None or path.name != "__init__.py":
            return None
        found = {}
        for statement in self._tree(package).body:
            if isinstance(statement, ast.ImportFrom):
                source = absolute(statement, package, is_package=True)
                if source == "__future__":
                    continue
                if not source.startswith(f"{LIBRARY}.") or any(alias.name == "*" for alias in statement.names):
                    return None
                found |= {alias.asname or alias.name: (source, alias.name) for alias in statement.names}
            elif not (_is_docstring(statement) or _is_all(statement)):
                return None
        return found

    def written_init(self, package: str) -> str | None:
        """The ``__init__`` of a re-exporting package with the kept names alone; None where the real one is taken."""
        exports = self.exports(package)
        if exports is None:
            return None
        kept = self.kept.get(package, set())
        tree = self._tree(package)
        lines = []
        docstring = ast.get_docstring(tree, clean=False)
        if docstring:
            lines += [f'"""{docstring}"""', ""]
        for statement in tree.body:
            if isinstance(statement, ast.ImportFrom):
                names = [alias for alias in statement.names if (alias.asname or alias.name) in kept]
                if names:
                    lines.append(ast.unparse(ast.ImportFrom(statement.module, names, statement.level)))
        if kept:
            lines += ["", f"__all__ = {sorted(kept)!r}"]
        return "\n".join(lines).rstrip("\n") + "\n" if lines else ""

    def files(self) -> dict[str, bytes]:
        """path in the archive -> content of all that is needed of ``tools``; code begins with `STYLE`."""
        found = {}
        for module in sorted(self.modules):
            path = self.path(module)
            written = self.written_init(module)
            content = path.read_bytes() if written is None else written.encode()
            found[path.relative_to(self.root).as_posix()] = STYLE + content
        for name in sorted(self.data_files):
            found[name] = (self.root / name).read_bytes()
        return found

    def _follow(self, module: str, path: Path) -> None:
        """Follow what a module's code imports and names."""
        tree = self._tree(module)
        is_package = path.name == "__init__.py"
        where = path.relative_to(self.root).as_posix()
        bound = {}
        for node in imports_at_run_time(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    top = alias.name.split(".")[0]
                    if top != LIBRARY:
                        self.imports.add(top)
                    elif self.need(alias.name, where):
                        bound[alias.asname or LIBRARY] = alias.name if alias.asname else LIBRARY
                continue
            source = absolute(node, module, is_package)
            if source.split(".")[0] != LIBRARY:
                self.imports.add(source.split(".")[0])
                continue
            for alias in node.names:
                if alias.name == "*":
                    self.problems.append(f"{where}: `from {source} import *` does not say what it needs; name it")
                elif self.need_name(source, alias.name, where) and self._is_submodule(source, alias.name):
                    bound[alias.asname or alias.name] = f"{source}.{alias.name}"
        for dotted in attribute_chains(tree, bound):
            module_, _, rest = dotted.partition(" ")
            self._need_if_there(module_, rest.split("."), where)
        self._follow_strings(tree, path, where)

    def _follow_strings(self, tree: ast.Module, path: Path, where: str) -> None:
        """Files beside the module and dotted names that its text constants hold."""
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Constant) and isinstance(node.value, str)):
                continue
            text = node.value
            if DOTTED.fullmatch(text) and text.startswith(f"{LIBRARY}."):
                first, *rest = text.split(".")
                self._need_if_there(first, rest, where)
            elif "." in text and "/" not in text and "\n" not in text and len(text) < 100 and not text.endswith(".py"):
                beside = path.parent / text
                if beside.is_file():
                    self.data_files.add(beside.relative_to(self.root).as_posix())

    def _need_if_there(self, module: str, attributes: list[str], by: str) -> None:
        """Follow a name that may be none: a variable can have a module's name, a text can look like one."""
        while attributes and self._is_submodule(module, attributes[0]):
            module = f"{module}.{attributes.pop(0)}"
        if self.path(module) is None:
            return
        if not attributes:
            self.need_module(module, by)
        elif self.knows(module, attributes[0]):
            self.need_name(module, attributes[0], by)

    def _is_submodule(self, module: str, name: str) -> bool:
        return self.path(f"{module}.{name}") is not None

    def _tree(self, module: str) -> ast.Module:
        if module not in self._trees:
            self._trees[module] = ast.parse(self.path(module).read_text(), filename=module)
        return self._trees[module]


def follow(root: Path, sets: list[list[Entry]]) -> Dependencies:
    """Return what the configs of a bundle need.

    Args:
        root: the folder that holds ``tools``.
        sets: the entries of the configs that run together, since a name that one imports serves the others.
    """
    found = Dependencies(Path(root))
    for entries in sets:
        bound: dict[str, str] = {}
        for entry in entries:
            if entry.kind == "import":
                bound |= _config_import(found, entry)
        for entry in entries:
            by = f"{entry.config}: {entry.id}"
            if entry.kind in ("target", "name"):
                if entry.text.split(".")[0] == LIBRARY:
                    found.need(entry.text, by)
                elif "." in entry.text:
                    found.imports.add(entry.text.split(".")[0])
            elif entry.kind == "expression":
                try:
                    tree = expression_tree(entry.text)
                except ValueError as error:
                    found.problems.append(f"{by}: {error}")
                    continue
                for dotted in attribute_chains(tree, bound):
                    module, _, rest = dotted.partition(" ")
                    found.need(f"{module}.{rest}", by)
    found.problems = sorted(set(found.problems))
    return found


def _config_import(found: Dependencies, entry: Entry) -> dict[str, str]:
    """Follow a config's import; what its name then stands for, if that is in ``tools``."""
    node = import_node(entry.text)
    by = f"{entry.config}: {entry.id}"
    alias = node.names[0]
    if isinstance(node, ast.ImportFrom):
        module = node.module or ""
        if module.split(".")[0] != LIBRARY:
            found.imports.add(module.split(".")[0])
            return {}
        found.need_name(module, alias.name, by)
        dotted = f"{module}.{alias.name}"
        return {alias.asname or alias.name: dotted} if found.path(dotted) else {}
    if alias.name.split(".")[0] != LIBRARY:
        found.imports.add(alias.name.split(".")[0])
        return {}
    found.need(alias.name, by)
    return {alias.asname or LIBRARY: alias.name if alias.asname else LIBRARY}


def imports_at_run_time(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """The import statements of a module, also within functions, without those for type checkers."""
    if isinstance(tree, ast.If) and "TYPE_CHECKING" in ast.unparse(tree.test):
        for statement in tree.orelse:
            yield from imports_at_run_time(statement)
        return
    if isinstance(tree, ast.Import | ast.ImportFrom):
        yield tree
    for child in ast.iter_child_nodes(tree):
        yield from imports_at_run_time(child)


def attribute_chains(tree: ast.AST, bound: dict[str, str]) -> set[str]:
    """ "<module> <a.b.c>" for each attribute that is taken of a name bound to a module."""
    found = set()
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and id(node) not in inner:
            names = []
            part: ast.expr = node
            while isinstance(part, ast.Attribute):
                names.append(part.attr)
                part = part.value
            if isinstance(part, ast.Name) and part.id in bound:
                found.add(f"{bound[part.id]} {'.'.join(reversed(names))}")
    return found


def defined_names(tree: ast.Module) -> set[str]:
    """Return what a module has at its top level: functions, classes, variables and what it imports."""
    names = set()
    for statement in tree.body:
        for node in ast.walk(statement) if isinstance(statement, ast.If | ast.Try | ast.With) else (statement,):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                names.add(node.name)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                names |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                names |= {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}
    return names


def absolute(node: ast.ImportFrom, module: str, is_package: bool) -> str:
    """The absolute name of the module that a `from ... import` names."""
    if node.level == 0:
        return node.module or ""
    parts = module.split(".")
    base = parts[: len(parts) - node.level + (1 if is_package else 0)]
    return ".".join([*base, *([node.module] if node.module else [])])


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _is_all(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Assign) and [ast.unparse(target) for target in statement.targets] == ["__all__"]
