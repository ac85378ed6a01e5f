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


MEANINGS, TOO_MANY = 30, "__getattribute__"
"""How many things a name is followed to; one that stands for more is itself taken for what hides."""

LOOKS = {"getattr", "hasattr"}
"""Functions that take a module and a name; `getattr` is judged by the name."""

MOST = 1000
"""Places of one file that are listed."""

LINES, COLUMNS = 40, 2000
"""The longest call or statement that is shown."""

SWITCHES = re.compile(
    r"(TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD|MONAI_ALLOW_PICKLE)|(LD_PRELOAD|LD_LIBRARY_PATH|PYTHON[A-Z]{4,})"
)
"""Variables of the environment that let pickles be loaded, or other code."""


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
    if {"os", "sys"} & {part.lstrip("_") for part in parts[1:]}:
        found.append("hidden")  # a module reached through another one
    if len(parts) > 1 and parts[-1] == "open":
        found.append("files")
    if is_known(parts[0]) and any(re.match("_[^_]", part) for part in parts[1:]):
        found.append("unknown")
    return min(found, key=list(RISKS).index, default=None)


def is_known(root: str, own: Iterable[str] = ()) -> bool:
    """Return whether the first part of a dotted name is a package that bundles use, of Python itself, or the bundle's
    own.
    """
    return root in KNOWN or root in sys.stdlib_module_names or root in own


def names_bound(trees: Iterable[ast.AST]) -> dict[str, set[str]]:
    """Return what names stand for by imports and simple assignments: `y` -> {"os.system"}; of all scopes together."""
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
                meant = bound.setdefault(name, set())
                meant |= _resolved(chain, bound) if len(meant) < MEANINGS else {TOO_MANY}
    return bound


def findings(tree: ast.AST, bound: Mapping[str, set[str]] | None = None, strings: bool = False) -> list[Finding]:
    """Return what deserves a look in a tree, in the order of its lines.

    Args:
        tree: syntax tree of a file or an expression.
        bound: meanings of names; None takes the tree's own imports.
        strings: True counts texts that are names too, such as "os.system", and all names with two underscores.
    """
    bound = names_bound([tree]) if bound is None else bound
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    found: dict[Finding, None] = {}
    shown: dict[ast.AST, str] = {}
    looked_at: set[ast.AST] = set()
    for node in ast.walk(tree):
        if node in looked_at:
            continue
        if isinstance(node, ast.Attribute):  # the whole of a.b.c is looked at, once
            looked_at |= set(_inner(node))
        for risk in _risks(node, parents, bound, strings):
            around = _around(node, parents)
            if around not in shown:
                shown[around] = _shown(around)
            found[Finding(getattr(node, "lineno", 0), risk, shown[around])] = None
        if len(found) > MOST:
            found[Finding(0, "hidden", f"more than {MOST} places deserve a look; the others are not listed")] = None
            break
    return sorted(found, key=lambda finding: finding.line)


def _risks(node: ast.AST, parents: Mapping, bound: Mapping[str, set[str]], strings: bool) -> Iterator[str]:
    parent = parents.get(node)
    if isinstance(node, ast.Name | ast.Attribute):
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
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        if (switch := SWITCHES.search(node.value)) is not None:
            yield "pickle" if switch[1] else "code"
        if not strings:
            return
        if DOTTED.fullmatch(node.value):
            yield from filter(None, [risk_of(node.value) or BUILTINS.get(node.value)])
        if set(DUNDER.findall(node.value)) - PLAIN_DUNDERS:
            yield "hidden"


def _risks_of_chain(node: ast.AST, parent: ast.AST | None, bound: Mapping, strings: bool) -> Iterator[str]:
    chain = _chain(node)
    if not chain:  # a method of what a call gives, for instance
        names = [inner.attr for inner in [node, *_inner(node)] if isinstance(inner, ast.Attribute)]
        yield from filter(None, [risk_of(".".join(["_", *reversed(names)]))])
        if strings and set(filter(DUNDER.fullmatch, names)) - PLAIN_DUNDERS:
            yield "hidden"
        return
    called = isinstance(parent, ast.Call) and parent.func is node
    for dotted in _resolved(chain, bound):
        root = dotted.split(".")[0]
        # a name that nothing imports is no module, but a variable or one of Python's own functions
        is_module = chain[0] in bound or "*" in bound
        risk = BUILTINS.get(root) or risk_of(dotted if is_module else ".".join(["_", *chain[1:]]))
        if dotted == "getattr" and called and _plain_getattr(parent, bound):
            risk = None
        if (
            called
            and dotted == "torch.load"
            and any(keyword.arg == "weights_only" and _is_constant(keyword.value, True) for keyword in parent.keywords)
        ):
            risk = None  # weights alone: nothing is imported but what torch lists
        if risk is None and len(chain) == 1 and _handed_on(node, parent, dotted, is_module):
            risk = "hidden"  # what is called by another name cannot be followed
        if risk is None and strings and {p for p in chain if DUNDER.fullmatch(p)} - PLAIN_DUNDERS:
            risk = "hidden"
        if risk:
            yield risk


def _handed_on(node: ast.AST, parent: ast.AST | None, dotted: str, is_module: bool) -> bool:
    """Return whether a module is given to something as a value, rather than used by its name."""
    if not (is_module and is_known(dotted)) or isinstance(parent, ast.Attribute) or not isinstance(node.ctx, ast.Load):
        return False
    return not (isinstance(parent, ast.Call) and isinstance(parent.func, ast.Name) and parent.func.id in LOOKS)


def _resolved(chain: list[str], bound: Mapping[str, set[str]]) -> set[str]:
    """Return what a chain of names can stand for; itself if its first name is bound by nothing that is known."""
    return {".".join([root, *chain[1:]]) for root in bound.get(chain[0], set())} or {".".join(chain)}


def _chain(node: ast.AST) -> list[str]:
    """`a.b.c` as its parts; empty for what does not begin with a name."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return [node.id, *reversed(parts)] if isinstance(node, ast.Name) else []


def _inner(node: ast.AST) -> Iterator[ast.AST]:
    """The attributes within an attribute, and the name that it begins with."""
    while isinstance(node, ast.Attribute):
        node = node.value
        if isinstance(node, ast.Attribute | ast.Name):
            yield node


def _is_constant(node: ast.AST, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def _plain_getattr(call: ast.Call, bound: Mapping[str, set[str]]) -> bool:
    """`getattr(x, "name")` with a name that is nothing to look at."""
    name = call.args[1] if len(call.args) > 1 else None
    if not (isinstance(name, ast.Constant) and isinstance(name.value, str)):
        return False
    chain = _chain(call.args[0]) or ["_"]
    meant = _resolved([*chain, name.value], bound) if chain[0] in bound or "*" in bound else {f"_.{name.value}"}
    return not any(map(risk_of, meant)) and name.value not in BUILTINS and "__" not in name.value


def _around(node: ast.AST, parents: Mapping[ast.AST, ast.AST]) -> ast.AST:
    """The call, parameter or statement around a node."""
    while (parent := parents.get(node)) is not None:
        if isinstance(node, ast.Call | ast.arg | ast.stmt) or (isinstance(node, ast.expr) and hasattr(parent, "body")):
            break
        node = parent
    return node


def _shown(node: ast.AST) -> str:
    """A call or statement as Python writes it; of what has a body only its name."""
    if isinstance(node, ast.stmt) and hasattr(node, "body"):
        return f"{type(node).__name__} {getattr(node, 'name', '')}".strip()
    if hasattr(node, "end_lineno"):
        lines, columns = node.end_lineno - node.lineno, node.end_col_offset - node.col_offset
        if lines > LINES or columns > COLUMNS:
            return f"{type(node).__name__} (too long to be shown)"
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
