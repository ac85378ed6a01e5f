"""Imports point one way, as DESIGN's layers say: no circle of modules, no folder that imports one above it."""

import ast
import re
from graphlib import CycleError, TopologicalSorter

import pytest

from tests.tiny import REPOSITORY

FILES = ("errors", "files", "former", "quiet", "torch_files")

LAYERS = {
    # what a file of any kind needs
    "errors": (),
    "former": (),
    "quiet": (),
    "files": (),
    "options": (),
    "child_process": (),
    "torch_files": ("files",),
    "command_line": ("errors", "quiet", "files"),
    "bundle_command": ("errors", "quiet", "files", "child_process"),
    # records of datasets: they know nothing of torch
    "datasets": ("errors",),
    # images: they know nothing of networks
    "io": FILES,
    "transforms": (*FILES, "io"),
    "data": (*FILES, "datasets", "io", "transforms"),
    "metrics": (*FILES, "io", "transforms"),
    "features": (*FILES, "options", "io", "transforms"),
    # networks and their training
    "layers": ("former",),
    # what a volume's mean is in a view of it, a network asks what makes views
    "networks": ("errors", "layers", "transforms"),
    "engines": (*FILES, "io", "transforms", "networks"),
    "losses": (*FILES, "transforms", "layers", "networks", "engines"),
    # what bundles there are: text
    "catalogue": (*FILES, "datasets"),
    # commands: nothing imports them, but gpu, which runs benchmark's measurements, compare, which reads configs as it
    # does, and gallery, which knows of published weights and shows volumes as a study does
    "collection": (*FILES, "io", "transforms", "engines"),
    "trained": ("errors", "data", "engines", "collection"),
    "denoising": (*FILES, "options", "engines", "losses", "trained"),
    "ensemble": (*FILES, "options", "child_process", "io", "data", "engines", "collection"),
    # what measures images, whoever makes them
    "evaluation": (*FILES, "options", "io", "transforms", "data", "metrics", "features", "ensemble"),
    "filter_samples": (*FILES, "io", "transforms", "data", "metrics", "evaluation"),
    "inspect_data": (*FILES, "datasets", "io", "transforms", "data", "evaluation"),
    "phantom": (*FILES, "io", "transforms", "data"),
    "preprocess": (*FILES, "datasets", "io", "transforms", "data"),
    "privacy": (
        *FILES,
        *("options", "datasets", "io", "transforms", "data", "metrics", "features", "evaluation"),
        *("engines", "trained"),
    ),
    "rank": (*FILES, "options", "metrics"),
    "lengths": (*FILES, "options", "io", "data", "metrics", "evaluation"),
    "continuity": (*FILES, "options", "io", "data", "metrics", "evaluation"),
    "split": (*FILES, "datasets", "io", "transforms", "data"),
    "study": (*FILES, "options", "io", "transforms", "data", "evaluation"),
    "usefulness": (*FILES, "options", "io", "transforms", "data", "metrics", "engines", "ensemble", "evaluation"),
    "benchmark": (*FILES, "options", "io", "transforms", "data", "metrics", "engines", "evaluation"),
    "compare": (
        *FILES,
        *("options", "child_process", "transforms", "metrics", "features", "engines", "evaluation", "benchmark"),
    ),
    "gpu": (*FILES, "benchmark"),
    "share": (*FILES, "io", "engines"),
    "published": (*FILES, "options", "networks", "engines"),
    "gallery": (*FILES, "options", "io", "transforms", "data", "evaluation", "collection", "study", "published"),
    "__main__": ("command_line",),
}
"""Each folder and file of ``tools``, lowest first, with what it may import. A new one takes its place here."""

NAMED = re.compile(r"tools(\.\w+)+")


def imports(root):
    """Module -> modules of ``tools`` that it imports: anywhere, for type checkers too, or named in a text."""
    paths = {}
    for path in sorted((root / "tools").rglob("*.py")):
        name = ".".join(path.relative_to(root).with_suffix("").parts)
        paths[name.removesuffix(".__init__")] = path
    found = {}
    for module, path in paths.items():
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        found[module] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            names = [*imported_by(node, package), *named_by(node, module, paths)]
            found[module] |= {module_of(name, paths, module) for name in names} - {None, module}
    return found


def imported_by(node, package):
    """Dotted names that a statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
    source = ".".join([*base, *([node.module] if node.module else [])])
    return [f"{source}.{alias.name}" for alias in node.names]


def named_by(node, module, paths):
    """What a text names for somebody to import: "tools.a.b" or "tools.a.b.name", but no folder such as "tools.a"."""
    if not (isinstance(node, ast.Constant) and isinstance(node.value, str) and NAMED.fullmatch(node.value)):
        return []
    is_there = node.value in paths or node.value.rpartition(".")[0] in paths
    is_package = node.value in paths and paths[node.value].name == "__init__.py"
    of_configs = module.startswith("tools.catalogue.")
    return [node.value] if is_there and not is_package and not of_configs else []


def module_of(name, paths, by):
    """The module that a dotted name is, or is in; None for another library's."""
    if name.split(".")[0] != "tools":
        return None
    module = name if name in paths else name.rpartition(".")[0]
    assert module in paths, f"{by} imports {name}, which there is not"
    return module


def circle(edges):
    """Modules that import each other in a ring, or None."""
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        return error.args[1]
    return None


def folder(module):
    """The folder or file right below ``tools`` that a module lies in; "" for ``tools`` itself."""
    return module.split(".")[1] if "." in module else ""


@pytest.fixture(scope="module")
def edges():
    return imports(REPOSITORY)


def test_no_module_imports_in_a_circle(edges):
    assert circle(edges) is None


def test_no_two_folders_import_each_other(edges):
    folders = {}
    for module, targets in edges.items():
        folders.setdefault(folder(module), set()).update(map(folder, targets))
    for name, targets in folders.items():
        targets -= {name, ""}
    assert circle(folders) is None


def test_layers_are_in_order():
    names = list(LAYERS)
    for name, allowed in LAYERS.items():
        assert set(allowed) <= set(names[: names.index(name)]), name


def test_imports_keep_to_the_layers(edges):
    wrong = [
        f"{module} imports {target}"
        for module, targets in edges.items()
        for target in targets
        if folder(module) not in ("", folder(target)) and folder(target) not in LAYERS[folder(module)]
    ]
    assert not wrong


def test_nothing_is_named_that_is_gone(edges):
    assert set(LAYERS) == {folder(module) for module in edges} - {""}


@pytest.mark.parametrize(
    "there",
    ["from tools.data import b", "def f():\n    import tools.data.b", "B = 'tools.data.b.thing'", "from . import b"],
)
def test_every_way_to_import_is_seen(there, tmp_path):
    lies = tmp_path / "tools" / "data"
    lies.mkdir(parents=True)
    for file, text in ((lies / "__init__.py", ""), (lies / "a.py", there), (lies.parent / "__init__.py", "")):
        file.write_text(text)
    (lies / "b.py").write_text("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from tools.data.a import A\n")
    assert circle(imports(tmp_path)) is not None


def test_an_import_of_what_is_gone_is_seen(tmp_path):
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "__init__.py").write_text("")
    (tmp_path / "tools" / "a.py").write_text("def f():\n    from tools.b import g\n")
    with pytest.raises(AssertionError, match=r"tools\.a imports tools\.b\.g"):
        imports(tmp_path)
