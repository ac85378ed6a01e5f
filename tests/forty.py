"""The whole suite over a catalogue of forty bundles: those that there are, again and again under other names.

``python -m tests.forty [OPTION ...]`` copies the repository's files to a temporary folder, doubles entries of the
catalogue there, writes their bundles and runs pytest with the options; ``make test-forty`` does so as ``make test``.
"""

import importlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
COUNT = 40
DOUBLED = """

from dataclasses import replace  # noqa: E402

BUNDLES += tuple(replace(entry, name=entry.name + "{ending}") for entry in BUNDLES if entry.name in {names})
"""
"""What a family's module gets at its end, for each round of copies."""


def rounds(names, count):
    """Which of the names are copied in each round, until there are ``count``."""
    missing = count - len(names)
    return [names[: missing - start] for start in range(0, missing, len(names))]


def copy_repository(folder):
    """The files that git knows or would take."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, folder / name)


def double_entries(folder, count=COUNT, sign="_"):
    """Write entries whose names end in the sign and a number into the catalogue in ``folder``, and their bundles."""
    families = importlib.import_module("tools.catalogue.write").FAMILIES
    for family in families:
        module = folder / Path(family.__file__).relative_to(REPOSITORY)
        source = module.read_text()
        every = [entry.name for each in families for entry in each.BUNDLES]
        own = {entry.name for entry in family.BUNDLES}
        for number, names in enumerate(rounds(every, count), start=2):
            source += DOUBLED.format(ending=f"{sign}{number}", names=sorted(own & set(names)))
        module.write_text(source)
    subprocess.run([sys.executable, "-m", "tools", "write_bundles"], cwd=folder, check=True, stdout=subprocess.DEVNULL)


def main(options):
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "forty"
        copy_repository(folder)
        double_entries(folder)
        there = sum(path.is_dir() for path in (folder / "bundles").iterdir())
        print(f"{there} bundles in {folder}", flush=True)
        return subprocess.run([sys.executable, "-m", "pytest", *options], cwd=folder).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
