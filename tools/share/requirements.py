"""What a packed bundle needs installed: the packages that its code imports, at the versions of this repository."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

CORE = ("monai", "torch", "numpy")
"""Packages whose versions have keys of their own in a bundle's metadata."""

ALWAYS = (*CORE, "pytorch-ignite", "fire")
"""What `python -m monai.bundle run` itself needs."""


def pinned_versions(path: Path) -> dict[str, str]:
    """distribution -> version of the pinned lines of a requirements file, in its order.

    Raises:
        FileNotFoundError: no such file.
    """
    lines = (line.split("#")[0].strip() for line in Path(path).read_text().splitlines())
    return dict(line.split("==", 1) for line in lines if "==" in line)


def needed_versions(
    imports: Iterable[str], declared: Iterable[str], pinned: Mapping[str, str]
) -> tuple[dict[str, str], list[str]]:
    """The pinned distributions that a bundle needs, and what is not pinned.

    Args:
        imports: top-level names that packed code and configs import.
        declared: distributions that the metadata requires: those that MONAI imports on a config's behalf.
        pinned: distribution -> version of this repository.

    Returns:
        distribution -> version, in the order of ``pinned``; problems, each a line.
    """
    providers = _providers()
    by_lower = {name.lower(): name for name in pinned}
    names, problems = set(ALWAYS), []
    for top in sorted(set(imports) - set(sys.stdlib_module_names)):
        found = [by_lower[name.lower()] for name in providers.get(top, [top]) if name.lower() in by_lower]
        if found:
            names.add(found[0])
        else:
            problems.append(f"the packed code imports {top}, which no pinned line of requirements.txt provides")
    for name in declared:
        if name.lower() in by_lower:
            names.add(by_lower[name.lower()])
        else:
            problems.append(f"metadata.json requires {name}, which requirements.txt does not pin")
    return {name: version for name, version in pinned.items() if name in names}, problems


@cache
def _providers() -> Mapping[str, list[str]]:
    """Top-level name -> distributions that have it; looked up once, since it takes long."""
    return packages_distributions()


def requirements_text(versions: Mapping[str, str]) -> str:
    """A requirements file of pinned versions."""
    return "".join(f"{name}=={version}\n" for name, version in versions.items())
