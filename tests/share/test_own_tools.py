"""Two packed bundles in one process: each in a folder of its own, with `own_tools.py` as it is packed."""

import shutil
import subprocess
import sys

import pytest

from tests.tiny import REPOSITORY
from tools.share.dependencies import STYLE

LIBRARY = {
    "tools/__init__.py": "",
    "tools/bundle_command.py": "",
    "tools/networks/__init__.py": "",
    "tools/networks/gan.py": "class Generator:\n    pass\n",
}

BEGIN = """
import pickle, runpy, sys
from importlib import import_module

def initialize(bundle):
    runpy.run_path(f"{bundle}/own_tools.py")
    return import_module("tools.networks.gan").Generator

def refused(bundle):
    try:
        initialize(bundle)
    except ImportError as error:
        return str(error)
"""


@pytest.fixture
def folders(tmp_path):
    """Bundles "first", "same" (with a module more, and what packing writes above code) and "other" (other code)."""
    more = {
        "tools/networks/vae.py": "class Decoder:\n    pass\n",
        "tools/losses/__init__.py": "",
        "tools/losses/l1.py": "",
    }
    other = LIBRARY | {"tools/networks/gan.py": "class Generator:\n    channels = 2\n"}
    same = {name: STYLE.decode() + text for name, text in (LIBRARY | more).items()}
    for bundle, files in (("first", LIBRARY), ("same", same), ("other", other)):
        for name, text in files.items():
            path = tmp_path / bundle / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        shutil.copy(REPOSITORY / "tools" / "share" / "own_tools.py", tmp_path / bundle)
    return tmp_path


def run(code, folder):
    program = subprocess.run([sys.executable, "-c", BEGIN + code], cwd=folder, capture_output=True, text=True)
    assert program.returncode == 0, program.stderr


def test_bundles_with_the_same_tools_share_them_and_others_are_refused(folders):
    run(
        """
Generator = initialize("first")
made = Generator()
assert initialize("first") is initialize("same") is Generator
assert import_module("tools.networks.vae").Decoder.__module__ == "tools.networks.vae"
assert import_module("tools.losses.l1").__file__.endswith("same/tools/losses/l1.py")
before = dict(sys.modules)
said = refused("other")
assert said.startswith("other cannot run in this process, which has the tools of "), said
assert "/first: tools/networks/gan.py is another there. Run it in a process of its own" in said, said
assert sys.modules == before
assert isinstance(pickle.loads(pickle.dumps(made)), Generator)
""",
        folders,
    )


def test_another_programs_tools(folders):
    """A folder that MONAI's first look at a config's imports found is no hindrance; modules that a program uses are."""
    (folders / "tools").mkdir()
    (folders / "tools" / "__init__.py").write_text("theirs = 1\n")
    (folders / "tools" / "hammer.py").write_text("")
    run(
        """
import tools
assert tools.theirs
assert sys.modules[initialize("first").__module__].__file__.endswith("first/tools/networks/gan.py")
""",
        folders,
    )
    run(
        """
import tools.hammer
said = refused("first")
assert said.startswith("first cannot run in this process, which has another program's tools.hammer. Run it"), said
assert sys.modules["tools.hammer"] is tools.hammer
""",
        folders,
    )
