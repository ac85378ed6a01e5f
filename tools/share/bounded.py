"""Configs and Python files of strangers, parsed in bounded time and memory; nothing of them is constructed or run."""

from __future__ import annotations

import ast
import codecs
import json
from typing import Any

import yaml

from tools.share.plain import plain

JSON_BYTES, YAML_BYTES, PYTHON_BYTES = 8 << 20, 1 << 20, 1 << 19
"""The longest files that are parsed."""

DEEPEST = 100
"""How deep a config may be nested; those that people write go ten deep."""

NODES, YAML_NODES = 200_000, 20_000
"""How many values a config may have, with YAML's aliases taken for what they stand for, and without."""

PARSE_ERRORS = (SyntaxError, ValueError, RecursionError, MemoryError)
"""What Python's own parser raises for what is no Python, or is nested too deeply; none of it harms."""

TAGS = {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "merge", "timestamp", "value")}
CONTAINERS = {f"tag:yaml.org,2002:{name}" for name in ("map", "seq", "set", "omap", "pairs", "binary")}

SWITCHES = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def parse_config(path: str, content: bytes) -> Any:
    """Return what MONAI would read: mappings, lists, strings, switches, and None for other values of YAML.

    Args:
        path: path of the file, whose ending says, as it does to MONAI, whether it is JSON or YAML.
        content: content of the file; UTF-8, or UTF-16 or UTF-32, which some of MONAI's readers take.

    Raises:
        ValueError: the content cannot be read, or not within bounds, so that what it does cannot be listed.
    """
    is_json = path.lower().endswith("json")
    most = JSON_BYTES if is_json else YAML_BYTES
    try:
        if len(content) > most:
            raise ValueError(f"{len(content)} bytes, more than {most}")
        if is_json and sum(map(content.count, (b",", b"[", b"{"))) > NODES:
            raise ValueError(f"more than {NODES} values")
        found = json.loads(content.removeprefix(codecs.BOM_UTF8)) if is_json else _yaml(content)
        _check_size(found)
        return found
    except RecursionError as error:
        raise ValueError(
            f"{plain(path)} cannot be read (nested too deeply), so what it does cannot be listed"
        ) from error
    except (ValueError, yaml.YAMLError) as error:
        reason = plain(" ".join(str(error).split()))
        raise ValueError(f"{plain(path)} cannot be read ({reason}), so what it does cannot be listed") from error


def parse_python(source: bytes | str, mode: str = "exec") -> ast.AST:
    """The syntax tree that Python would run: bytes are decoded as Python decodes them, by their `# coding:`.

    Raises:
        ValueError: no Python, too long, or nested too deeply.
    """
    if len(source) > PYTHON_BYTES:
        raise ValueError(f"it has more than {PYTHON_BYTES} bytes")
    try:
        return ast.parse(source, mode=mode)
    except PARSE_ERRORS as error:
        raise ValueError(plain(str(error)) or type(error).__name__) from error


class _Loader(yaml.SafeLoader):
    """PyYAML's composer, which stops at a depth and a number of nodes."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.depth = self.count = 0

    def compose_node(self, parent: Any, index: Any) -> yaml.Node:
        self.depth, self.count = self.depth + 1, self.count + 1
        if self.depth > DEEPEST or self.count > YAML_NODES:
            raise ValueError(f"more than {DEEPEST} levels or {YAML_NODES} values")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _yaml(content: bytes) -> Any:
    loader = _Loader(content)
    try:
        node = loader.get_single_node()
    finally:
        loader.dispose()
    return None if node is None else _Plain().of(node)


class _Plain:
    """Nodes of YAML as mappings, lists and strings, each made once however often it is named."""

    def __init__(self) -> None:
        self.made: dict[int, Any] = {}
        self.open: set[int] = set()

    def of(self, node: yaml.Node) -> Any:
        if id(node) in self.open:
            raise ValueError("an alias that holds itself")
        if id(node) in self.made:
            return self.made[id(node)]
        if node.tag not in TAGS | CONTAINERS:
            raise ValueError(f"a tag {node.tag}, which MONAI's loader refuses")
        self.open.add(id(node))
        if isinstance(node, yaml.MappingNode):
            if not all(isinstance(key, yaml.ScalarNode) for key, _ in node.value):
                raise ValueError("a key that is no text")
            made: Any = {key.value: self.of(value) for key, value in node.value}
        elif isinstance(node, yaml.SequenceNode):
            made = [self.of(value) for value in node.value]
        else:
            made = node.value if node.tag.endswith(":str") else SWITCHES.get(node.value.lower())
        self.open.discard(id(node))
        self.made[id(node)] = made
        return made


def _check_size(content: Any) -> None:
    """Levels, and the number of values with aliases taken for what they stand for: a bomb has billions."""
    measured: dict[int, tuple[int, int]] = {}  # of each mapping and list, by its identity
    stack = [(content, False)]
    while stack:
        value, ready = stack.pop()
        if not isinstance(value, dict | list) or (id(value) in measured and not ready):
            continue
        values = list(value.values()) if isinstance(value, dict) else value
        if not ready:
            stack.append((value, True))
            stack += [(v, False) for v in values]
            continue
        inner = [measured.get(id(v), (1, 0)) if isinstance(v, dict | list) else (1, 0) for v in values]
        size, levels = 1 + sum(s for s, _ in inner), 1 + max((d for _, d in inner), default=0)
        if size > NODES or levels > DEEPEST:
            raise ValueError(f"more than {NODES} values, its aliases written out, or more than {DEEPEST} levels")
        measured[id(value)] = size, levels
