"""Python and scripts in a bundle: each is shown to run, and then to be seen by `inspect`."""

import runpy
from contextlib import suppress

import pytest

from tests.share.attacks import TOUCH, Payload, inspected, marked, ran, torch_file, written

MODULES = {
    "utf-7": b"# coding: utf-7\n+AGkAbQBwAG8AcgB0- os\n+AG8AcwAuAHMAeQBzAHQAZQBt-('touch pwned')\n",
    "escapes in a comment": b"# coding: unicode_escape\n# harmless \\nimport os\\nos.system('touch pwned')\n",
    "utf-16 within": f"# coding: raw_unicode_escape\n\\u0069mport os; os.system('{TOUCH}')\n".encode(),
    "an alias": f"from os import system as s\ns('{TOUCH}')\n".encode(),
    "a star": f"from os import *\nsystem('{TOUCH}')\n".encode(),
    "assigned": f"import os as o\nf = g = o.system\nf('{TOUCH}')\n".encode(),
    "matched": f"import os\nmatch os:\n    case object(system=f):\n        f('{TOUCH}')\n".encode(),
    "decorators": b"import os\n@os.system\n@lambda c: 'touch pwned'\nclass C: pass\n",
    "getattr": f"import os\ngetattr(os, 'metsys'[::-1])('{TOUCH}')\n".encode(),
    "through MONAI": f"from monai.utils import misc\nmisc.subprocess.run('{TOUCH}', shell=True)\n".encode(),
    "torch.load": b"import torch as t\nt.load('payload', weights_only=False)\n",
    "a page break before it": f"x = 1\n\x0cimport os\nos.system('{TOUCH}')\n".encode(),
    "importlib": f"import importlib\nimportlib.import_module('os').system('{TOUCH}')\n".encode(),
    "a parameter": b"import os\ndef f(m):\n    m.rename('x', 'pwned')\nf(os)\n",
    "a pair": b"import os\n(a,) = (os,)\na.rename('x', 'pwned')\n",
    "an attribute of a class": b"import os\nclass A:\n    m = os\nA.m.rename('x', 'pwned')\n",
    "getattr by a plain name": b"import os\ngetattr(os, 'rename')('x', 'pwned')\n",
    "line ends of other systems": b"# x\rimport os\ros.system('touch pwned')\r",
    "deep": b"x = " + b"(" * 90 + b"__import__('os').system('touch pwned')" + b")" * 90,
    "turned by marks": "import os\nx = '\u202e\u2066' ; os.system('touch pwned')\n".encode(),
}


@pytest.mark.parametrize("name", MODULES)
def test_what_a_python_file_runs_is_marked(stranger, capsys, name):
    source = MODULES[name]
    written(stranger, {"scripts/net.py": source, "x": b"", "payload": torch_file(Payload())})
    with suppress(TypeError):
        runpy.run_path("scripts/net.py")
    assert ran(stranger)
    shown = inspected(stranger, {"scripts/net.py": source}, capsys)
    assert any(line.startswith("!     line ") for line in marked(shown)), shown


@pytest.mark.parametrize("name", ["utf-7", "escapes in a comment", "turned by marks"])
def test_what_editors_show_otherwise_says_so(stranger, capsys, name):
    shown = inspected(stranger, {"scripts/net.py": MODULES[name]}, capsys)
    assert "! hides what it does: 1 place\n" in shown
    assert "os.system('touch pwned')" in shown


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("docs/notes.txt", f"import os\nos.system('{TOUCH}')\n", "is Python under another name"),
        ("docs/run", "#!/bin/sh\ntouch pwned\n", "a script"),
        ("setup.BAT", "echo", "a script"),
        ("requirements.txt", "torch==2\n--index-url http://x\n", "has pip fetch"),
        ("requirements-more.txt", "torch @ https://x/y.whl\n", "has pip fetch"),
    ],
)
def test_other_files_that_programs_run(stranger, capsys, name, content, reason):
    shown = inspected(stranger, {name: content}, capsys)
    assert any(f"! {name}: {reason}" in line for line in marked(shown))


def test_modules_that_stand_in_for_pythons_own(stranger, capsys):
    shown = inspected(stranger, {"json.py": "", "torch/__init__.py": "", "scripts/json.py": ""}, capsys)
    assert "hides what it does: 2 places" in shown
