import json

import pytest

from tools.catalogue.layout import as_json

CONTENT = {
    "short": [1, 2.5, None, True, "x"],
    "empty": [{}, []],
    "text": 'a "quoted" line\n é',
    "long": {f"key_{number}": {"numbers": list(range(number))} for number in range(40)},
    "deep": [[["x" * 70, ["y" * 70, {"z": "w" * 130}]]]],
}


def test_nothing_is_changed_but_the_lines():
    text = as_json(CONTENT)
    assert json.loads(text) == CONTENT
    assert list(json.loads(text)["long"]) == list(CONTENT["long"])
    assert text.endswith("}\n")


def test_a_line_holds_what_fits():
    lines = as_json(CONTENT).splitlines()
    assert '    "short": [1, 2.5, null, true, "x"],' in lines
    # only a text can be longer: it is not cut
    assert [line.strip() for line in lines if len(line) > 120] == [f'"z": "{"w" * 130}"']


@pytest.mark.parametrize("length", [118, 119, 120, 121])
def test_at_the_edge(length):
    """A line that would have ``length`` columns with its comma, and one entry behind it."""
    value = "x" * (length - len('    "a": [""],'))
    lines = as_json({"a": [value], "b": 0}).splitlines()
    assert (len(lines) == 4) == (length <= 120)
    assert max(map(len, lines)) <= 120 or length > 120
