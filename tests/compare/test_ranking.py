"""Bundles by what their runs came to, and what is said of it, against SciPy."""

import json
import math

import numpy as np
import pytest
from scipy import stats

from tools.compare.design import Run, Settings
from tools.compare.report import _table, conclusion
from tools.compare.results import Results
from tools.evaluation.page import json_text

SPACE = "moments"


def results(**found):
    """Results of bundles, of whose runs each has a FID with or without an interval."""
    runs = {}
    for bundle, scores in found.items():
        for seed, score in enumerate(scores):
            value, low, high = score if isinstance(score, tuple) else (score, None, None)
            runs[Run(bundle, seed)] = {
                "spaces": {SPACE: {"models": {"1": {"fid": {"value": value, "low": low, "high": high}}}}},
                "moments": {"1": {"iteration": 2, "images": 4, "seconds": 1.0}},
                "parameters": 1_000_000,
                "real_digest": "",
                "problems": {},
            }
    return Results(runs, Settings(images=4), {})


def test_several_seeds_have_the_interval_of_a_t_test():
    runs = (90.0, 105.0, 111.0)
    ranked = results(b=(200.0, 220.0), a=runs).ranking(SPACE)
    assert list(ranked) == ["a", "b"]
    low, high = stats.ttest_1samp(runs, 0).confidence_interval(0.95)
    assert ranked["a"].estimate == pytest.approx((102, low, high, 3))
    assert ranked["b"].estimate.count == 2
    assert [found.place.rank for found in ranked.values()] == [1, 2]


def test_who_leads_of_several_seeds_is_as_students_t_has_it():
    a, b = (9.0, 10.0, 11.5, 9.5), (10.0, 12.0, 11.0, 10.5)
    leads = results(a=a, b=b).ranking(SPACE)["a"].place.leads
    rng = np.random.default_rng(1)
    drawn = [stats.t(3, np.mean(x), stats.sem(x)).rvs(100_000, random_state=rng) for x in (a, b)]
    assert leads == pytest.approx(np.mean(drawn[0] < drawn[1]), abs=0.03)


def test_single_runs_are_ranked_by_what_other_images_would_change():
    ranked = results(b=[(11.0, 7.08, 14.92)], a=[(10.0, 7.06, 12.94)]).ranking(SPACE)
    assert ranked["a"].estimate == (10, 7.06, 12.94, 1)
    assert ranked["a"].place.leads == pytest.approx(stats.norm.cdf((11 - 10) / np.hypot(2.0, 1.5)), abs=0.03)
    assert sum(found.place.leads for found in ranked.values()) == pytest.approx(1)
    assert ranked["a"].place[:3] == (1, 1, 2)


def test_a_bundle_of_one_run_beside_one_of_several_is_named():
    found = results(a=(90.0, 110.0), b=[(200.0, 199.0, 201.0)])
    ranked = found.ranking(SPACE)
    assert ranked["b"].estimate == (200, 199, 201, 1)
    (doubt,) = found.doubts()
    assert doubt.startswith("trained once: b. Intervals")
    assert results(a=(90.0, 110.0), b=(1.0, 2.0)).doubts() == []


def test_runs_without_images_that_could_be_measured_are_left_out():
    ranked = results(a=(90.0, None, 110.0), b=[None], c=(1.0, 2.0)).ranking(SPACE)
    assert list(ranked) == ["c", "a"]
    assert ranked["a"].estimate[::3] == (100, 2)


def test_nothing_is_said_of_who_leads_where_no_spread_is_known():
    found = results(a=[1.0], b=[2.0])
    assert math.isnan(found.ranking(SPACE)["a"].place.leads)
    assert conclusion(found) == "a has the least FID in moments, 1, before b with 2."
    assert _table(found, SPACE)["rows"][1][:6] == ["a", "1", "", "", "1", "1"]
    record = json.loads(json_text(found.ranking(SPACE)["a"].record()))
    unknown = dict.fromkeys(("low", "high", "best", "worst", "leads"))
    assert record == {"mean": 1, "seeds": 1, "rank": 1, **unknown}


def test_the_table_shows_means_intervals_and_ranks():
    found = results(a=(9.0, 21.0), b=[(200.0, 199.0, 201.0)])
    high = stats.ttest_1samp((9.0, 21.0), 0).confidence_interval(0.95).high
    place = found.ranking(SPACE)["a"].place
    shown = ["a", "15", f"0 to {high:.4g}", f"{place.leads:.0%}", "1", "2"]  # no FID is below 0
    row = _table(found, SPACE)["rows"][1][:6]
    assert [*row[:4], row[4].split()[0], row[5]] == shown
    assert f"a has the least FID in moments, 15 (0 to {high:.4g}), before b with 200 (199 to 201)" in conclusion(found)
