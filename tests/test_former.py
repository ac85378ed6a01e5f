"""Names of the version before: MONAI finds what they mean, with a warning that says what to write."""

import pydoc
import warnings

import pytest
from monai.bundle import ConfigParser

import tools.engines
from tools.former import FORMER, name_now


def test_every_former_name_is_what_it_is_called_now():
    for old, now in FORMER.items():
        with pytest.warns(FutureWarning, match=rf"tools\.{old} is now tools\.{now}, "):
            found = pydoc.locate(f"tools.{old}")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert found is pydoc.locate(f"tools.{now}") is not None, old


def test_a_config_of_before_runs():
    config = {
        "imports": ["$import tools.data as data", "$import tools.engines as engines"],
        "seeds": "$data.seed_datalist(2, 5)",
        "epochs": "$engines.epochs_for(7, 3, 1)",
        "draws": {"_target_": "tools.engines.Draws", "seed": 0, "iteration": 1},
    }
    parser = ConfigParser(config)
    with pytest.warns(FutureWarning, match=r"tools\.engines\.Draws is now tools\.engines\.draws\.Draws"):
        assert type(parser.get_parsed_content("draws")).__module__ == "tools.engines.draws"
    with pytest.warns(FutureWarning, match=r"tools\.data\.seed_datalist is now tools\.data\.synthetic"):
        assert [item["seed"] for item in parser.get_parsed_content("seeds")] == [5, 6]
    assert parser.get_parsed_content("epochs") == 3


def test_what_never_was():
    with pytest.raises(AttributeError, match=r"module 'tools.engines' has no attribute 'Trainer'"):
        _ = tools.engines.Trainer
    assert name_now("tools.engines.Trainer") is None
    assert name_now("tools.engines.Update") == "tools.engines.update.Update"
