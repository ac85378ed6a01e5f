"""What of a bundle's configs deserves a look, found by the matchers with which MONAI finds what it runs."""

from __future__ import annotations

import ast
import builtins
import configparser
import logging
import logging.handlers
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from monai.bundle import ComponentLocator, ConfigParser, ReferenceResolver

from tools.share.bounded import parse_python
from tools.share.configs import LONGEST_EXPRESSION, Entry, entries, strings
from tools.share.risks import PICKLE_OPTIONS, findings, is_known, names_bound, risk_of, unknown_names
from tools.share.risky_names import BUILTINS, RISKS

MONAI_NAMES = {"monai": {"monai"}, "torch": {"torch"}, "np": {"numpy"}, "numpy": {"numpy"}}
"""What MONAI's expressions know without an import."""

NAME = re.compile(r"[\w.]*\w\.+\w[\w.]*")
"""A name with its module; `pydoc.locate`, with which MONAI looks it up, takes `os..system` for `os.system`."""

MOST = 20_000
"""Expressions, targets and references that the configs of a bundle may have; MONAI's have some hundreds."""

LOOKED_UP = {"reader", "writer", "merger_cls", "backbone"}
"""Arguments of MONAI's classes that it takes for the name of a class, and calls."""

LOGGING = re.compile(rb"^\s*\[loggers\]", re.MULTILINE)


@dataclass(frozen=True)
class Judged:
    """An entry of a config, and its risks (of `tools.share.risky_names.RISKS`), none for most."""

    entry: Entry
    risks: tuple[str, ...]


class _EveryReference(dict):
    """References that are all there: their texts are put in as MONAI puts them in, without their values."""

    def __contains__(self, key: object) -> bool:
        return True


def judged_configs(configs: Mapping[str, Any], own: Iterable[str]) -> list[Judged]:
    """Everything in configs that does something, with what deserves a look.

    Args:
        configs: path in the bundle -> content, as `tools.share.bounded.parse_config` gives it.
        own: first parts of the names of modules that lie in the bundle.

    Raises:
        ValueError: there are too many to look at.
    """
    found = {path: entries(path.removeprefix("configs/"), content) for path, content in configs.items()}
    if sum(map(len, found.values())) > MOST:
        raise ValueError(f"the configs have more than {MOST} expressions and targets, so that they cannot be listed")
    trees = [tree for of in found.values() for entry in of if (tree := _tree(_as_run(entry))) is not None]
    bound = names_bound(trees)
    for name, meant in MONAI_NAMES.items():
        bound[name] = bound.get(name, set()) | meant
    texts: dict[str, set[str]] = {}
    for content in configs.values():
        for id, text in strings(content):
            texts.setdefault(ReferenceResolver.normalize_id(id).lstrip("+"), set()).add(text)
    judge = _Judge(set(configs), bound, texts, set(own))
    judged = []
    for path, of in found.items():
        name, known = path.removeprefix("configs/"), {entry.id for entry in of}
        judged += [Judged(entry, judge.risks(entry)) for entry in of]
        for id, text in strings(configs[path]):
            risk = risk_of(text) if NAME.fullmatch(text) else None
            if LOOKED_UP & set(ReferenceResolver.split_id(id)):
                risk = risk or BUILTINS.get(text)
            if id not in known and risk:
                judged.append(Judged(Entry(name, id, "name", text), (risk,)))
        judged += [Judged(Entry(name, id, "option", str(value)), ("pickle",)) for id, value in _options(configs[path])]
    return judged


class _Judge:
    def __init__(self, paths: set[str], bound: dict[str, set[str]], texts: dict[str, set[str]], own: set[str]) -> None:
        self.paths, self.bound, self.texts, self.own = paths, bound, texts, own

    def risks(self, entry: Entry) -> tuple[str, ...]:
        """The risks of an entry, the worst first."""
        by_kind = {
            "macro": self._macro,
            "target": self._target,
            "expression": self._expression,
            "import": self._expression,
        }
        found = set(by_kind[entry.kind](entry)) if entry.kind in by_kind else set()
        return tuple(sorted(found, key=list(RISKS).index))

    def _expression(self, entry: Entry) -> Iterator[str]:
        text = _as_run(entry)
        tree = _tree(text)
        if tree is None:
            yield "hidden"  # no Python, or too long: what MONAI makes of it is not known
            return
        yield from (finding.risk for finding in findings(tree, self.bound, strings=True))
        if isinstance(tree, ast.Module) and any(isinstance(node, ast.Import | ast.ImportFrom) for node in tree.body):
            names = [a.name for n in tree.body if isinstance(n, ast.Import) for a in n.names]
            names += [n.module or "" for n in tree.body if isinstance(n, ast.ImportFrom)]
            if not all(is_known(name.split(".")[0], self.own) for name in names):
                yield "unknown"
        elif unknown_names(tree, self.bound, self.own):
            yield "unknown"
        if is_target(entry.id):
            if not _is_chain(tree):
                yield "hidden"  # a name that is made while it runs
            yield from self._referred(entry.id, f"${entry.text}", plain_only=True)

    def _target(self, entry: Entry) -> Iterator[str]:
        if entry.text.startswith("@"):
            yield from self._referred(entry.id, entry.text)
        else:
            yield from self._risks_of_target(entry.text)

    def _risks_of_target(self, text: str) -> Iterator[str]:
        for name in _monai_names(text) or [text]:
            root = name.lstrip(".").split(".")[0]
            risk = risk_of(name) or BUILTINS.get(root)
            if risk:
                yield risk
            elif not (is_known(root, self.own) or hasattr(builtins, root)):
                yield "unknown"

    def _referred(self, id: str, text: str, plain_only: bool = False) -> Iterator[str]:
        """The risks of `_target_: "@id"`: of the text that the id has, through further references and macros.

        With ``plain_only`` what an expression or a component gives is no risk: `$@network.forward` is common.
        """
        seen: set[str] = set()
        waiting = self._ids(id, text)
        while waiting:
            referred = waiting.pop()
            texts = self.texts.get(referred, set())
            if not texts and not plain_only:
                yield "unknown"
            for found in texts if referred not in seen else ():
                if found.startswith(("@", "%")):
                    waiting += self._ids(referred, found)
                elif not found.startswith("$"):
                    yield from self._risks_of_target(found)
                elif not plain_only:
                    yield "unknown"
            seen.add(referred)

    @staticmethod
    def _ids(id: str, text: str) -> list[str]:
        """The ids that a reference, an expression or a macro refers to."""
        if text.startswith("%"):
            return [ConfigParser.split_path_id(_resolved(id, text)[1:])[1]]
        return list(ReferenceResolver.match_refs_pattern(_resolved(id, text)))

    def _macro(self, entry: Entry) -> Iterator[str]:
        path, _ = ConfigParser.split_path_id(_resolved(entry.id, f"%{entry.text}")[1:])
        if path and posixpath.normpath(path) not in self.paths:
            yield "outside"
        if is_target(entry.id):
            yield from self._referred(entry.id, f"%{entry.text}")


def is_target(id: str) -> bool:
    """Return whether an id ends with `_target_`, however its levels are written."""
    return ReferenceResolver.split_id(id)[-1].lstrip("+") == "_target_"


def judged_logging(path: str, text: str) -> list[Judged]:
    """The lines of a logging config that `logging.config.fileConfig` evaluates, with their `%(name)s` put in.

    MONAI allows literals and classes of `logging` alone, but looks at the lines before `%(name)s` is put in.
    """
    name = path.removeprefix("configs/")
    parser = configparser.ConfigParser()
    try:
        parser.read_string(text)
        found = []
        for section in parser.sections():
            for option in ("class", "args", "kwargs", "defaults"):
                if parser.has_option(section, option):
                    value = parser.get(section, option)
                    raw = parser.get(section, option, raw=True)
                    risks = () if _is_plain_logging(option, value) else ("code",)
                    risks += ("hidden",) if raw != value else ()
                    found.append(Judged(Entry(name, option, "logging", value.strip()), risks))
        return found
    except (configparser.Error, RecursionError) as error:
        return [Judged(Entry(name, "", "logging", f"cannot be read: {error}"), ("hidden",))]


def _is_plain_logging(option: str, value: str) -> bool:
    try:
        tree = parse_python(value.strip() or "()", "eval")
    except ValueError:
        return False
    if option == "class":
        module, _, name = value.strip().rpartition(".")
        modules = {"": logging, "logging": logging, "handlers": logging.handlers, "logging.handlers": logging.handlers}
        found = getattr(modules.get(module), name, None)
        return isinstance(found, type) and issubclass(found, logging.Handler | logging.Formatter)
    plain = (
        ast.Expression | ast.Constant | ast.Tuple | ast.List | ast.Dict | ast.Set | ast.Load | ast.Name | ast.Attribute
    )
    nodes = list(ast.walk(tree))
    if not all(isinstance(node, plain) for node in nodes):
        return False
    streams = {"sys", "sys.stdout", "sys.stderr"}
    return all(ast.unparse(node) in streams for node in nodes if isinstance(node, ast.Name | ast.Attribute))


def _as_run(entry: Entry) -> str:
    """An expression as MONAI evaluates it: `#` and relative ids replaced, references put in as it puts them in."""
    if entry.kind not in ("expression", "import"):
        return ""
    if len(entry.text) > LONGEST_EXPRESSION:
        return entry.text
    text = _resolved(entry.id, f"${entry.text}")
    return str(ReferenceResolver.update_refs_pattern(text, _EveryReference()))[1:].strip()


def _resolved(id: str, text: str) -> str:
    try:
        return ConfigParser.resolve_relative_ids(ReferenceResolver.normalize_id(id), text)
    except ValueError:  # a relative id that leads nowhere
        return ReferenceResolver.normalize_id(text)


def _tree(text: str) -> ast.AST | None:
    """An expression's tree, or that of its statements; None for what is no Python."""
    if not text or len(text) > LONGEST_EXPRESSION:
        return None
    for mode in ("eval", "exec"):
        try:
            return parse_python(text, mode)
        except ValueError:
            continue
    return None


def _is_chain(tree: ast.AST) -> bool:
    """Return whether an expression is a name, a reference or an attribute of one."""
    node = tree.body if isinstance(tree, ast.Expression) else None
    while isinstance(node, ast.Attribute):
        node = node.value
    if isinstance(node, ast.Subscript):  # __local_refs['id']
        node = node.value
        return isinstance(node, ast.Name) and node.id == ReferenceResolver._vars
    return isinstance(node, ast.Name)


@cache
def _monai_names(name: str) -> list[str]:
    """Return where MONAI finds a class or function that is named without its module."""
    modules = _locator().get_component_module_name(name) if "." not in name else None
    return [f"{module}.{name}" for module in ([modules] if isinstance(modules, str) else modules or [])]


@cache
def _locator() -> ComponentLocator:
    return ComponentLocator()


def _options(content: Any, id: str = "") -> Iterator[tuple[str, Any]]:
    """Options of a config that load pickles, such as `"weights_only": false`, with their ids."""
    items: Sequence[tuple[Any, Any]] = []
    if isinstance(content, Mapping):
        items = list(content.items())
    elif isinstance(content, list):
        items = list(enumerate(content))
    for key, value in items:
        inner = f"{id}#{key}" if id else str(key)
        option = ReferenceResolver.split_id(str(key))[-1].lstrip("+")
        if option in PICKLE_OPTIONS and value is not PICKLE_OPTIONS[option]:
            yield inner, value
        yield from _options(value, inner)
