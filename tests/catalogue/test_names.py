"""What configs import: the names that their expressions use, each from the module that defines it."""

import ast

import pytest

from tests.tiny import REPOSITORY
from tools.catalogue.names import NAMES, with_imports


@pytest.mark.parametrize("module", sorted(set(NAMES.values())))
def test_every_name_is_where_it_is_said_to_be(module):
    tree = ast.parse(REPOSITORY.joinpath(*module.split(".")).with_suffix(".py").read_text())
    defined = {statement.name for statement in tree.body if isinstance(statement, ast.FunctionDef | ast.ClassDef)}
    defined |= {to.id for s in tree.body if isinstance(s, ast.Assign) for to in s.targets if isinstance(to, ast.Name)}
    assert {name for name, where in NAMES.items() if where == module} <= defined


def test_a_config_imports_what_it_uses_and_train_what_runs_on_top_of_it():
    train = {"bundle_root": ".", "files": ["$[seed_datalist(i, len(@a#b), n=os.sep) for i in range(3)]", "$import x"]}
    configs = with_imports(
        {
            "train": train,
            "inference": {"bundle_root": ".", "f": "$lambda true_ct: true_ct + @seed", "mr": "unpaired", "at": "@f"},
            "evaluate": {"data": {"found": "$set_implementation(@network).to('cpu') if @n else is_smaller"}},
        }
    )
    common = ["$import tools.bundle_command", "$import os", "$import monai", "$import torch"]
    assert configs["train"] == {
        "imports": [
            *common,
            "$from tools.data.synthetic import seed_datalist",
            "$from tools.engines.validation import is_smaller",
            "$from tools.layers.implementation import set_implementation",
        ],
        **train,
    }
    assert next(iter(configs["train"])) == "imports"
    assert configs["inference"]["imports"] == common
    assert "imports" not in configs["evaluate"]


def test_a_name_of_which_nothing_is_known():
    with pytest.raises(ValueError, match=r"inference: .*names.py does not say which module has 'seeds' of \$seeds"):
        with_imports({"inference": {"bundle_root": ".", "list": ["$seeds(1)"]}})
