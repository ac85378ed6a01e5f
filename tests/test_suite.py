"""The suite itself."""

import pytest


def test_what_shares_fixtures_stays_in_one_process(request):
    """pytest-xdist says by the end of a test's name that it has seen the group; without, fixtures are made twice."""
    if not hasattr(request.config, "workerinput"):
        pytest.skip("one process runs all tests")
    assert request.node.nodeid.endswith(f"@{request.path.as_posix()}")
