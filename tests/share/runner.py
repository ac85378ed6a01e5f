"""Runs MONAI's bundle commands as a stranger would: with the listed packages alone, and nothing of this repository.

A program that reads jobs from its input, one JSON object in a line. It imports MONAI once and forks for each job, since
importing takes longer than what the tests run. Packages that a requirements file neither lists nor leads to cannot be
imported, which stands for an environment of its own.

    python runner.py requirements.txt
"""

from __future__ import annotations

import importlib
import json
import os
import re
import runpy
import sys
import traceback
from importlib.machinery import PathFinder
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

from packaging.requirements import Requirement

PRELOADED = (
    *("monai.bundle", "monai.handlers", "monai.engines", "ignite", "fire", "torch._dynamo", "torch.utils.tensorboard"),
    *("scipy.ndimage", "nibabel", "SimpleITK", "pydicom", "PIL.Image", "matplotlib.pyplot", "jinja2"),
)


def closure(names: list[str]) -> set[str]:
    """Distributions, with all that they require, by their normalised names."""
    found: set[str] = set()
    waiting = [normal(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        try:
            requires = distribution(name).requires or []
        except PackageNotFoundError:
            continue
        for line in requires:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(normal(requirement.name))
    return found


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


class ListedPackages:
    """Python's finder of modules on disk, to which packages that are not listed do not exist."""

    def __init__(self, listed: list[str]) -> None:
        self.allowed = closure(listed)
        self.providers = packages_distributions()

    def find_spec(self, fullname: str, path=None, target=None):
        top = fullname.split(".")[0]
        owners = [] if top in sys.stdlib_module_names else self.providers.get(top, [])
        if owners and not any(normal(name) in self.allowed for name in owners):
            return None
        return PathFinder.find_spec(fullname, path, target)

    def find_distributions(self, *arguments, **options):
        return PathFinder.find_distributions(*arguments, **options)

    def invalidate_caches(self) -> None:
        PathFinder.invalidate_caches()


def run(job: dict) -> int:
    """One job in this process: `python -m monai.bundle <arguments>`, or a program with arguments, in a folder."""
    log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    # one job compiles a bundle's tools for the next
    sys.dont_write_bytecode, sys.pycache_prefix = False, str(Path(job["log"]).with_name("compiled"))
    os.chdir(job["folder"])
    sys.path.insert(0, os.getcwd())
    program = job["program"]
    sys.argv = [program, *job["arguments"]]
    code = 0
    try:
        if program.endswith(".py"):
            runpy.run_path(program, run_name="__main__")
        else:
            runpy.run_module(program, run_name="__main__", alter_sys=True)
    except SystemExit as stopped:
        code = stopped.code if isinstance(stopped.code, int) else int(stopped.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    tools = sys.modules.get("tools")
    Path(job["log"] + ".tools").write_text(str(getattr(tools, "__file__", None)))
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def main() -> None:
    sys.path.pop(0)  # the folder of this file
    listed = [line.split("==")[0] for line in Path(sys.argv[1]).read_text().splitlines()]
    sys.meta_path[sys.meta_path.index(PathFinder)] = ListedPackages(listed)
    for name in PRELOADED:
        importlib.import_module(name)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            os._exit(run(json.loads(line)))
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
