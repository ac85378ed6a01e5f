"""The suite itself."""

import pytest

from tests.tiny import BUNDLES, one_of_each_family, said, siblings, words


def test_what_shares_fixtures_stays_in_one_process(request):
    """pytest-xdist says by the end of a test's name that it has seen the group; without, fixtures are made twice."""
    if not hasattr(request.config, "workerinput"):
        pytest.skip("one process runs all tests")
    assert request.node.nodeid.endswith(f"@{request.path.as_posix()}")


def test_all_that_configs_say_is_trained_by_some_bundle():
    trained = [*one_of_each_family(), *siblings()]
    assert set().union(*map(said, BUNDLES)) == set().union(*map(said, trained))
    for name in siblings():  # each has something of its own
        assert not said(name) <= set().union(*(said(other) for other in trained if other != name))


def test_what_configs_say():
    network = {"_target_": "UNet", "channels": [4, 8], "act": "@act", "bias": False, "strides": 2, "dropout": 0}
    expression = ["UNet act", "@act"]
    arguments = ["UNet _target_", "_target_ UNet", "UNet channels", "UNet bias", "UNet strides", "UNet dropout"]
    assert sorted(words({"net": network})) == sorted([*arguments, *expression, "bias False", "dropout 0"])
    assert [*words(["$@net.to(@device)", 3])] == ["@net.to", "@device"]
