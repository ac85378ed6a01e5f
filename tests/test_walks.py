"""The walks in CONTRIBUTING.md go through files and functions that there are, at most eight files each."""

import ast
import re

import pytest

from tests.tiny import REPOSITORY

TEXT = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
SECTION = re.search(r"## Two walks.*?\n(.*?)\n## ", TEXT, re.DOTALL)[1]
WALKS = re.findall(r"(?:^\d\. .*\n(?:   .*\n)*)+", SECTION + "\n", re.MULTILINE)
STEPS = [step for walk in WALKS for step in re.split(r"^\d\. ", walk, flags=re.MULTILINE)[1:]]


def test_there_are_two_of_at_most_eight_files():
    assert [len(re.findall(r"^\d\. `", walk, re.MULTILINE)) for walk in WALKS] == [8, 8]


@pytest.mark.parametrize("step", STEPS)
def test_a_step_is_in_its_file(step):
    path, *names = re.findall(r"`([\w./]+)`", step)
    text = (REPOSITORY / path).read_text(encoding="utf-8")
    if path.endswith(".py"):
        defined = {getattr(node, "name", None) for node in ast.walk(ast.parse(text))} | set(
            re.findall(r"self\.(\w+) =", text)
        )
        assert {name for name in names if re.fullmatch(r"\w+", name)} - defined - {"handover", "LoadImage"} == set()
