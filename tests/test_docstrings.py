"""Entries of docstrings: one name a line, and a noun first, so that each can be read by itself."""

import ast
import re
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[1] / "tools"
SECTIONS = "Args|Attributes|Raises|Returns|Yields"
NAMES = {"Args": r"\*{0,2}\w+", "Attributes": r"\w+", "Raises": r"[\w.]+"}
NO_NOUNS = (
    r"also|are|as|at|because|between|by|can|for|from|given|has|have|how|if|in|is|it|makes|may|must|not|of|on|only|or|"
    r"per|see|shall|she|should|that|they|those|to|under|used|was|were|what|when|where|whether|which|who|whose|why|will|"
    r"with|without|add|applied|called|choose|clip|compile|counted|draws|"
    r"ends|give|gives|keep|made|make|move|over|pack|print|read|resample|resize|says|show|shown|take|translate|wanted|"
    r"whatever|write|writes"
)
"""First words after which a sentence must be guessed."""


def entries(doc):
    """(section, name, text) of all entries; ``Returns`` and ``Yields`` have one each, without a name."""
    lines = doc.splitlines()
    for position, line in enumerate(lines):
        heading = re.fullmatch(rf"( *)({SECTIONS}): *(\S.*)?", line)
        if heading is None:
            continue
        margin, section = len(heading[1]), heading[2]
        assert heading[3] is None, f"{section} belongs on a line of its own"
        within = []
        for after in lines[position + 1 :]:
            if after.strip() and indent(after) <= margin:
                break
            if after.strip():
                within.append(after)
        firsts = [after.strip() for after in within if indent(after) == indent(within[0])]
        if section in NAMES:
            yield from ((section, *entry.partition(":")[::2]) for entry in firsts)
        else:
            yield section, None, firsts[0]


def indent(line):
    return len(line) - len(line.lstrip())


def problems(doc):
    """What is wrong with the entries of a docstring, each a line."""
    for section, name, text in entries(doc):
        if section in NAMES and not re.fullmatch(NAMES[section], name):
            yield f"{section}: {name!r} is not one name"
        first = re.search(r"\w+", text)
        if first is None or re.fullmatch(NO_NOUNS, first[0].lower()):
            yield f"{section}: {name}: {text.strip()!r} does not begin with a noun"


@pytest.mark.parametrize(
    ("entry", "wrong"),
    [
        ("Args:\n    keys: of CT in HU.", "'of CT in HU.' does not begin with a noun"),
        ("Args:\n    first, second: the images.", "'first, second' is not one name"),
        ("Args:\n    a number of slices: of them.", "'a number of slices' is not one name"),
        ("Attributes:\n    open: whether it is.", "'whether it is.' does not begin with a noun"),
        ("Raises:\n    ValueError, KeyError: the file is damaged.", "'ValueError, KeyError' is not one name"),
        ("Returns:\n    What was made.", "'What was made.' does not begin with a noun"),
        ("Args:\n    keys: keys of CT in HU,\n        of which one is enough.\n    *more: further keys.", None),
        ("Raises:\n    io.Error: the file is damaged.\n\nReturns:\n    Volumes [B, 1],\n    of which one.", None),
    ],
)
def test_entries_that_cannot_be_read_by_themselves_are_seen(entry, wrong):
    found = list(problems(f"Do this.\n\n{entry}\n"))
    assert (found == []) if wrong is None else any(wrong in problem for problem in found)


@pytest.mark.parametrize("package", sorted({path.relative_to(TOOLS).parts[0] for path in TOOLS.rglob("*.py")}))
def test_entries_are_read_by_themselves(package):
    found = []
    for path in sorted((TOOLS / package).rglob("*.py")) or [TOOLS / package]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                name = getattr(node, "name", path.stem)
                found += [f"{path}: {name}: {problem}" for problem in problems(ast.get_docstring(node) or "")]
    assert found == []
