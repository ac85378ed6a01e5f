"""What a bundle needs of a library, found by reading alone."""

import pytest

from tests.share.helpers import REPOSITORY
from tools.share.configs import Entry, config_files, config_sets, entries, load_config, unmet_references
from tools.share.dependencies import STYLE, follow
from tools.share.requirements import CORE, needed_versions, pinned_versions, requirements_text

LIBRARY = {
    "tools/__init__.py": "",
    "tools/files.py": "import bz2\n",
    "tools/data/__init__.py": '"""Data."""\n',
    "tools/data/lists.py": "import tools.files\n\ndef datalist(): pass\n\nlonger = None\n",
    "tools/data/scans.py": "import scanner_of_a_firm\n\ndef read_scan(): pass\n",
    "tools/nets/__init__.py": "VERSION = 1\n",
    "tools/nets/gan.py": """
from __future__ import annotations
import numpy as np
import torch.nn.functional as F
from tools.data import lists
from tools.nets import VERSION
from ..layers import Layer

class Gan:
    page = "page.html"
    def lists(self):
        from tools.late import late
        return lists.longer
""",
    "tools/nets/page.html": "<html>",
    "tools/layers.py": "class Layer: pass\n",
    "tools/late.py": "late = 1\n",
    "tools/study/__init__.py": "",
    "tools/study/statistics.py": "",
    "tools/engines/__init__.py": "",
    "tools/engines/update.py": "class Update: pass\n",
}


@pytest.fixture
def library(tmp_path):
    for name, text in LIBRARY.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def found(library, config):
    return follow(library, [entries("train.json", config)])


def test_kinds_of_strings():
    config = {
        "imports": ["$import os", "$from tools import data"],
        "root": ".",
        "size": "$@root + str(len('import'))",
        "net": {"_target_": "tools.nets.gan.Gan", "writer": "tools.files.Writer", "part": "%other.json#net"},
        "again": "@net",
    }
    assert entries("a.json", config) == [
        Entry("a.json", "imports#0", "import", "import os"),
        Entry("a.json", "imports#1", "import", "from tools import data"),
        Entry("a.json", "size", "expression", "@root + str(len('import'))"),
        Entry("a.json", "net#_target_", "target", "tools.nets.gan.Gan"),
        Entry("a.json", "net#writer", "name", "tools.files.Writer"),
        Entry("a.json", "net#part", "macro", "other.json#net"),
        Entry("a.json", "again", "reference", "@net"),
    ]


def test_a_target_brings_what_it_imports_and_nothing_else(library):
    needed = found(library, {"net": {"_target_": "tools.nets.gan.Gan"}})
    assert needed.problems == []
    assert set(needed.files()) == {
        "tools/__init__.py",
        "tools/data/__init__.py",
        "tools/data/lists.py",
        "tools/files.py",
        "tools/late.py",
        "tools/layers.py",
        "tools/nets/__init__.py",
        "tools/nets/gan.py",
        "tools/nets/page.html",
    }
    assert needed.imports >= {"numpy", "torch", "bz2"}
    assert "scanner_of_a_firm" not in needed.imports
    assert needed.files()["tools/nets/__init__.py"] == STYLE + b"VERSION = 1\n"


def test_names_that_expressions_use(library):
    """Each way in which a config can import brings the module, and its package, but not the package's other modules."""
    imports = {
        "$from tools.data.lists import datalist": "$[x for x in datalist(@root)]",
        "$import tools.data.lists as lists": "$lists.datalist(@root).parts.first",
        "$from tools.data import lists as l": "$l.datalist(@root)",
        "$import tools.data as data": "$data.lists.datalist(@root)",
    }
    for statement, expression in imports.items():
        needed = found(library, {"imports": [statement], "root": ".", "list": expression})
        assert needed.problems == []
        assert set(needed.modules) == {"tools", "tools.data", "tools.data.lists", "tools.files"}, statement


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"net": {"_target_": "tools.nets.gan.Gone"}}, "train.json: net#_target_: tools.nets.gan has no Gone"),
        ({"net": {"_target_": "tools.gone.Net"}}, "train.json: net#_target_: tools has no gone"),
        ({"imports": ["$import tools.gone as g"]}, "train.json: imports#0: tools has no gone"),
        ({"imports": ["$import tools.data as data"], "x": "$data.gone()"}, "train.json: x: tools.data has no gone"),
        (
            {"imports": ["$from tools.data import lists"], "x": "$lists.gone()"},
            "train.json: x: tools.data.lists has no gone",
        ),
        ({"imports": ["$from tools.late import soon"]}, "train.json: imports#0: tools.late has no soon"),
        ({"x": "$1 +"}, "train.json: x: not a Python expression"),
        (
            {"imports": ["$import tools.engines as engines"], "x": "$engines.Update()"},
            "train.json: x: tools.engines has no Update; it is tools.engines.update.Update now",
        ),
    ],
)
def test_what_leads_nowhere_is_named(library, config, problem):
    (line,) = found(library, config).problems
    assert line.startswith(problem)


def test_imports_that_lead_nowhere_are_named(library):
    code = "from tools.layers import Gone\nfrom tools.files import *\ndef late():\n    import tools.data.gone\n"
    (library / "tools/late.py").write_text(code)
    problems = found(library, {"net": {"_target_": "tools.late.late"}}).problems
    assert problems == [
        "tools/late.py: `from tools.files import *` does not say what it needs; name it",
        "tools/late.py: tools.data has no gone",
        "tools/late.py: tools.layers has no Gone",
    ]


def test_unmet_references(tmp_path):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "train.json").write_text('{"bundle_root": ".", "a": {"b": 1}, "c": "$@a#b + @gone"}')
    (tmp_path / "configs" / "evaluate.json").write_text('{"d": "@a#b", "e": "@a#gone"}')
    sets = config_sets(tmp_path)
    assert [[path.name for path in files] for files in sets] == [["train.json", "evaluate.json"], ["train.json"]]
    assert unmet_references(sets[1]) == ["train.json: c refers to @gone"]
    assert "evaluate.json: e refers to @a#gone" in unmet_references(sets[0])


@pytest.mark.parametrize("bundle", sorted(path.name for path in (REPOSITORY / "bundles").iterdir() if path.is_dir()))
def test_every_bundle_leads_somewhere(bundle):
    folder = REPOSITORY / "bundles" / bundle
    sets = config_sets(folder)
    assert [line for files in sets for line in unmet_references(files)] == []
    content = {path.name: load_config(path) for path in config_files(folder)}
    needed = follow(REPOSITORY, [[e for p in files for e in entries(p.name, content[p.name])] for files in sets])
    assert needed.problems == []
    above = ("tools.study", "tools.benchmark", "tools.share", "tools.__main__", "tools.collection")
    above += ("tools.evaluation.command", "tools.evaluation.measuring", "tools.evaluation.sets")
    assert [module for module in needed.modules if module.startswith(above)] == []
    pinned = pinned_versions(REPOSITORY / "requirements.txt")
    versions, problems = needed_versions(needed.imports, [], pinned)
    assert problems == []
    assert not {"pytest", "ruff", "onnxruntime", "mlflow"} & set(versions)
    metadata = load_config(folder / "configs" / "metadata.json")
    listed = metadata["required_packages_version"]
    assert listed.items() >= {name: version for name, version in versions.items() if name not in CORE}.items()
    assert [metadata[f"{name}_version"] for name in ("monai", "pytorch", "numpy")] == [pinned[name] for name in CORE]
    assert listed.items() <= pinned.items()


def test_requirements():
    pinned = {"monai": "1.6.1", "torch": "2.13.0", "pillow": "13.0.0", "pytest": "9.2.0"}
    versions, problems = needed_versions({"PIL", "os", "requests"}, ["monai", "gone"], pinned)
    assert requirements_text(versions) == "monai==1.6.1\ntorch==2.13.0\npillow==13.0.0\n"
    assert problems == [
        "the packed code imports requests, which no pinned line of requirements.txt provides",
        "metadata.json requires gone, which requirements.txt does not pin",
    ]
