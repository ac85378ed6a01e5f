"""Lets this bundle find its own `tools` from any working folder, also beside another bundle in the same process.

What is loaded stays loaded, so that pickling and isinstance hold. A second bundle whose `tools` have the same code uses
that of the first, and adds the modules that the first has not; one with other code is refused.
"""

import importlib
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
TOOLS = ROOT / "tools"
APART = "Run it in a process of its own: python -m monai.bundle run, or subprocess or multiprocessing from Python."


def without_head(path):
    """Return the lines of a file after the comments that it begins with, which packing writes."""
    lines = path.read_bytes().splitlines()
    first = next((number for number, line in enumerate(lines) if not line.startswith(b"#")), len(lines))
    return lines[first:]


def is_same(path, other):
    """Return whether a file says what another says, if there is another."""
    return not other.is_file() or without_head(path) == without_head(other)


def share(folders):
    """Add this bundle's folders to the packages that are loaded from other folders.

    Raises:
        ImportError: a file is another there.
    """
    for path in sorted(path for path in TOOLS.rglob("*") if path.is_file() and path.suffix != ".pyc"):
        for folder in folders:
            if not is_same(path, folder / path.relative_to(TOOLS)):
                raise ImportError(
                    f"{ROOT.name} cannot run in this process, which has the tools of {folder.parent}: "
                    f"{path.relative_to(ROOT)} is another there. {APART}"
                )
    for init in sorted(TOOLS.rglob("__init__.py")):
        package = importlib.import_module(".".join(init.parent.relative_to(ROOT).parts))
        if str(init.parent) not in package.__path__:
            package.__path__.append(str(init.parent))


def find_own_tools():
    """Make `tools` this bundle's.

    Raises:
        ImportError: another program's `tools` are in use, or a bundle's that differ.
    """
    loaded = sys.modules.get("tools")
    folders = [Path(folder).resolve() for folder in getattr(loaded, "__path__", [])]
    if TOOLS in folders:
        return
    if any((folder / "bundle_command.py").is_file() for folder in folders):
        share(folders)
        return
    others = [name for name in sys.modules if name.startswith("tools.")]
    if others:
        raise ImportError(f"{ROOT.name} cannot run in this process, which has another program's {others[0]}. {APART}")
    sys.modules.pop("tools", None)  # another program's, in the working folder: MONAI's first look found it
    sys.path.insert(0, str(ROOT))


find_own_tools()
