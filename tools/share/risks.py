"""What deserves a look in Python code, by the names it uses: found in the syntax tree, so that layout hides nothing.

Names are followed through imports, aliases and simple assignments. A name that is made while the code runs cannot be
followed; what makes such names is itself among what deserves a look.
"""

from __future__ import annotations

import ast
import builtins
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from tools.share.risky_names import ANYWHERE, AT_THE_ROOT, BUILTINS, KNOWN, OS_FILES, OS_PLAIN, RISKS, SYS_PLAIN, WHOLE

DOTTED = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")
DUNDER = re.compile(r"__\w+__")
PLAIN_DUNDERS = {"__version__", "__name__", "__file__", "__doc__", "__class__", "__len__", "__local_refs"}


PICKLE_OPTIONS = {"allow_pickle": False, "weights_only": True, "pickle_module": None}
"""Options that load pickles unless they have this value."""


@dataclass(frozen=True)
class Finding:
    """A place that deserves a look: its line, which of `RISKS`, and the code."""

    line: int
    risk: str
    text: str


def risk_of(dotted: str) -> str | None:
    """The worst risk of a name such as `torch.hub.load`, by what it passes through; None for none."""
    parts = [part for part in dotted.split(".") if part]  # as pydoc.locate has it
    if not parts:
        return None
    found = [ANYWHERE[part] for part in parts if part in ANYWHERE]
    within = (".".join(parts[start:end]) for start in range(len(parts)) for end in range(start + 2, start + 4))
    found += [WHOLE[name] for name in within if name in WHOLE]
    if parts[0] in AT_THE_ROOT:
        found.append(AT_THE_ROOT[parts[0]])
    for before, after in pairwise(parts):
        if before == "os" and after not in OS_PLAIN:
            found.append("files" if after in OS_FILES else "unknown")
        if before == "sys" and after not in SYS_PLAIN:
            found.append("hidden")
    if {"os", "sys"} & set(parts[1:]):
        found.append("hidden")  # a module reached through another one
    if len(parts) > 1 and parts[-1] == "open":
        found.append("files")
    if parts[0] in KNOWN and any(re.match("_[^_]", part) for part in parts[1:]):
        found.append("unknown")
    return min(found, key=list(RISKS).index, default=None)


def is_known(root: str, own: Iterable[str] = ()) -> bool:
    """Whether the first part of a dotted name is a package that bundles use, of Python itself, or the bundle's own."""
    return root in KNOWN or root in sys.stdlib_module_names or root in own


def names_bound(trees: Iterable[ast.AST]) -> dict[str, set[str]]:
    """What names stand for by imports and simple assignments: `y` -> {"os.system"}; of all scopes together."""
    bound: dict[str, set[str]] = {}
    assigned: list[tuple[str, ast.AST]] = []
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                name = alias.asname or alias.name.split(".")[0]
                bound.setdefault(name, set()).add(alias.name if alias.asname else name)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                source = "." * node.level + (node.module or "")
                bound.setdefault(alias.asname or alias.name, set()).add(f"{source}.{alias.name}")
        elif isinstance(node, ast.Assign):
            assigned += [(target.id, node.value) for target in node.targets if isinstance(target, ast.Name)]
        elif isinstance(node, ast.NamedExpr | ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            assigned.append((node.target.id, node.value))
    for _ in range(3):  # names of names
        for name, value in assigned:
            chain = _chain(value)
            if chain and (chain[0] in bound or chain[0] in BUILTINS):
                bound.setdefault(name, set()).update(list(_resolved(chain, bound))[:20])
    return bound


def findings(tree: ast.AST, bound: Mapping[str, set[str]] | None = None, strings: bool = False) -> list[Finding]:
    """What deserves a look in a tree, in the order of its lines.

    Args:
        tree: of a file or an expression.
        bound: what names stand for; None takes the tree's own imports.
        strings: whether texts that are names, such as "os.system", and all names with two underscores count too.
    """
    bound = names_bound([tree]) if bound is None else bound
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    found = {}
    for node in ast.walk(tree):
        for risk in _risks(node, parents, bound, strings):
            finding = Finding(getattr(node, "lineno", 0), risk, _shown(node, parents))
            found[finding] = None
    return sorted(found, key=lambda finding: finding.line)


def _risks(node: ast.AST, parents: Mapping, bound: Mapping[str, set[str]], strings: bool) -> Iterator[str]:
    parent = parents.get(node)
    if isinstance(node, ast.Name | ast.Attribute):
        if not (isinstance(parent, ast.Attribute) and _chain(parent)):  # the whole chain was looked at
            yield from _risks_of_chain(node, parent, bound, strings)
    elif isinstance(node, ast.Import):
        yield from filter(None, (risk_of(alias.name) for alias in node.names))
    elif isinstance(node, ast.ImportFrom):
        names = [f"{node.module or ''}.{alias.name}" for alias in node.names]
        yield from filter(None, map(risk_of, names))
        if node.module in ("os", "sys") and any(alias.name == "*" for alias in node.names):
            yield "program"
    elif isinstance(node, ast.keyword):
        if node.arg in PICKLE_OPTIONS and not _is_constant(node.value, PICKLE_OPTIONS[node.arg]):
            yield "pickle"
    elif isinstance(node, ast.MatchClass):
        yield from (ANYWHERE[name] for name in node.kwd_attrs if name in ANYWHERE)
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name in ("__reduce__", "__reduce_ex__"):
        yield "hidden"
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and strings:
        if DOTTED.fullmatch(node.value):
            yield from filter(None, [risk_of(node.value) or BUILTINS.get(node.value)])
        if set(DUNDER.findall(node.value)) - PLAIN_DUNDERS:
            yield "hidden"


def _risks_of_chain(node: ast.AST, parent: ast.AST | None, bound: Mapping, strings: bool) -> Iterator[str]:
    chain = _chain(node)
    if not chain:  # a method of what a call gives, for instance
        assert isinstance(node, ast.Attribute)
        risk = ANYWHERE.get(node.attr) or ("files" if node.attr in ("open", "tofile") else None)
        yield from filter(None, [risk])
        if strings and DUNDER.fullmatch(node.attr) and node.attr not in PLAIN_DUNDERS:
            yield "hidden"
        return
    called = isinstance(parent, ast.Call) and parent.func is node
    for dotted in _resolved(chain, bound):
        root = dotted.split(".")[0]
        # a name that nothing imports is no module, but a variable or one of Python's own functions
        is_module = chain[0] in bound or "*" in bound
        risk = BUILTINS.get(root) or risk_of(dotted if is_module else ".".join(["_", *chain[1:]]))
        if dotted == "getattr" and called and _plain_getattr(parent):
            risk = None
        if (
            called
            and dotted == "torch.load"
            and any(keyword.arg == "weights_only" and _is_constant(keyword.value, True) for keyword in parent.keywords)
        ):
            risk = None  # weights alone: nothing is imported but what torch lists
        if risk is None and strings and {p for p in chain if DUNDER.fullmatch(p)} - PLAIN_DUNDERS:
            risk = "hidden"
        if risk:
            yield risk


def _resolved(chain: list[str], bound: Mapping[str, set[str]]) -> set[str]:
    """What a chain of names can stand for; itself if its first name is bound by nothing that is known."""
    return {".".join([root, *chain[1:]]) for root in bound.get(chain[0], set())} or {".".join(chain)}


def _chain(node: ast.AST) -> list[str]:
    """`a.b.c` as its parts; empty for what does not begin with a name."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return [node.id, *reversed(parts)] if isinstance(node, ast.Name) else []


def _is_constant(node: ast.AST, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def _plain_getattr(call: ast.Call) -> bool:
    """`getattr(x, "name")` with a name that is nothing to look at."""
    name = call.args[1] if len(call.args) > 1 else None
    if not (isinstance(name, ast.Constant) and isinstance(name.value, str)):
        return False
    return risk_of(f"x.{name.value}") is None and name.value not in OS_FILES | set(BUILTINS) and "__" not in name.value


def _shown(node: ast.AST, parents: Mapping[ast.AST, ast.AST]) -> str:
    """The call, parameter or statement around a node, as Python writes it."""
    while (parent := parents.get(node)) is not None:
        if isinstance(node, ast.Call | ast.arg | ast.stmt) or (isinstance(node, ast.expr) and hasattr(parent, "body")):
            break
        node = parent
    if isinstance(node, ast.stmt) and hasattr(node, "body"):
        return f"{type(node).__name__} {getattr(node, 'name', '')}".strip()
    try:
        return " ".join(ast.unparse(node).split())
    except RecursionError:
        return "(nested too deeply to be shown)"


def unknown_names(tree: ast.AST, bound: Mapping[str, set[str]], own: Iterable[str]) -> list[str]:
    """Names in an expression that are neither bound in it, nor Python's, nor of packages that bundles use."""
    inside = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)}
    inside |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    own = set(own)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id not in inside and node.id != "__local_refs":
            roots = {dotted.split(".")[0] for dotted in bound.get(node.id, {node.id})}
            found += [root for root in roots if not (is_known(root, own) or hasattr(builtins, root))]
    return sorted(set(found))
