"""Power: more readers, pairs or preference find more; no preference is found in 5% of studies."""

import json

import numpy as np
import pytest

from tools.study.command import StudyCommands
from tools.study.planning import ALPHA, _logit, clustered_statistics, plan_text, power, power_table
from tools.study.statistics import clustered_test


def test_statistics_are_those_of_the_test():
    rng = np.random.default_rng(0)
    choices = (rng.random((20, 5, 9)) < 0.6).astype(float)
    expected = [clustered_test(one).statistic for one in choices]
    np.testing.assert_allclose(clustered_statistics(choices), expected)
    assert clustered_test(np.ones((4, 5))).statistic == clustered_statistics(np.ones((1, 4, 5)))[0] == np.sqrt(20)


def test_clustered_test_by_hand():
    """Pairs that are all alike: the standard error is that of readers alone."""
    shares = np.array([0.2, 0.6, 0.6, 0.8])
    choices = np.repeat((np.arange(10)[None] < 10 * shares[:, None]).astype(float), 1, axis=1)
    result = clustered_test(choices)
    residuals = choices - choices.mean()
    by_reader = (residuals.sum(1) ** 2).sum() * 4 / 3 / 1600
    by_pair = (residuals.sum(0) ** 2).sum() * 10 / 9 / 1600
    both = by_reader + by_pair - (residuals**2).sum() / 1600
    assert result.statistic == pytest.approx((0.55 - 0.5) / np.sqrt(max(both, by_reader, by_pair)))
    assert result.degrees_of_freedom == 3


@pytest.mark.parametrize("sds", [(0.4, 0.75), (0.0, 0.0), (0.8, 0.3)])
def test_size_is_five_percent_at_most_where_nothing_is_preferred(sds):
    for readers, pairs in ((6, 30), (12, 30), (24, 60)):
        size = power(0.5, readers, pairs, *sds, simulations=3000)
        assert size <= ALPHA + 3 * np.sqrt(ALPHA * (1 - ALPHA) / 3000), (readers, pairs, size)
    assert size >= 0.03  # nor is it far too timid, in a large study


def test_power_grows_with_readers_pairs_and_preference():
    grid = np.array([[power(0.62, r, p, simulations=1500) for p in (10, 20, 40, 80)] for r in (6, 12, 24)])
    assert (np.diff(grid, axis=0) > 0).all()
    assert (np.diff(grid, axis=1) > 0).all()
    by_preference = [power(p, 12, 30, simulations=1500) for p in (0.5, 0.55, 0.6, 0.7, 0.8)]
    assert (np.diff(by_preference) > 0).all()
    assert by_preference[-1] > 0.95
    assert power(0.4, 12, 30, simulations=1500) == pytest.approx(power(0.6, 12, 30, simulations=1500), abs=0.06)


def test_effects_cost_power():
    assert power(0.6, 12, 30, 0, 0, 1500) > power(0.6, 12, 30, 0.4, 0.4, 1500) > power(0.6, 12, 30, 0.8, 0.8, 1500)


def test_share_of_votes_is_the_preference():
    rng = np.random.default_rng(0)
    for share, sd in ((0.6, 0.85), (0.8, 1.5), (0.5, 1.0)):
        logits = _logit(share, sd) + rng.normal(0, sd, 1_000_000)
        assert (1 / (1 + np.exp(-logits))).mean() == pytest.approx(share, abs=2e-3)


def test_table_names_the_smallest_study(tmp_path, capsys):
    table = power_table(0.7, (12, 6), (40, 20), simulations=500)
    enough = [r * p for r, row in table["power"].items() for p, value in row.items() if value >= 0.8]
    assert table["smallest"]["votes"] == min(enough)
    assert list(table["power"]) == [6, 12]
    assert "Fewest votes" in plan_text(table)
    StudyCommands().plan(0.55, readers=3, pairs="5,10", simulations=50, output=str(tmp_path / "plan.json"))
    assert "None of these reaches 80%" in capsys.readouterr().out
    assert json.loads((tmp_path / "plan.json").read_text())["smallest"] is None


def test_bad_numbers_are_named():
    for arguments, message in (
        ((1.2, 5, 5), "preference is 1.2"),
        ((0.6, 1, 5), "1 readers, 5 pairs"),
        ((0.6, 5, 5, -1), "no negative deviation"),
    ):
        with pytest.raises(ValueError, match=message):
            power(*arguments)
    with pytest.raises(ValueError, match="power is 80"):
        power_table(0.6, (5,), (5,), 80)
