"""What one, two and three members cover, against the metrics on sets put together by hand."""

from itertools import combinations

import numpy as np
import pytest

from tools.ensemble.generation import Sample
from tools.evaluation.coverage import _rows, _sample_of, _table
from tools.metrics.neighbours import density_coverage, precision_recall


class Space:
    name = "plain"

    def normaliser(self, features):
        return lambda x: x


class Set:
    def __init__(self, rows):
        self.rows = rows

    def features(self, space):
        return self.rows

    def groups(self, space):
        return np.arange(len(self.rows))


def test_more_members_cover_more_modes_with_as_many_images():
    """Three modes, and three members of which each makes one."""
    rng = np.random.default_rng(0)
    centres = np.eye(3) * 20
    real = np.concatenate([rng.normal(c, 1, (20, 3)) for c in centres])
    made = [rng.normal(c, 1, (12, 3)) for c in centres]
    made_by = [Sample(f"b_{k}_{i}", k + 1, "b", "", 1000 * k + i) for k in range(3) for i in range(12)]
    rows = _rows(Space(), {"real": Set(real), "synthetic": Set(np.concatenate(made))}, made_by, 3, 12)
    for size in (1, 2, 3):
        parts = [np.concatenate([made[k][: 12 // size] for k in chosen]) for chosen in combinations(range(3), size)]
        for score, by in (("coverage", density_coverage), ("recall", precision_recall)):
            expected = [getattr(by(real, part, 5 if score == "coverage" else 3), score) for part in parts]
            (row,) = [row for row in rows if (row["members"], row["score"]) == (size, score)]
            assert (row["mean"], row["lowest"], row["highest"], row["choices"]) == pytest.approx(
                (np.mean(expected), min(expected), max(expected), len(parts))
            )
    by_size = [row["mean"] for row in rows if row["score"] == "coverage"]
    assert by_size[0] < 0.4
    assert by_size == sorted(by_size)
    assert _table(rows).splitlines()[1].split() == ["members", "precision", "recall", "density", "coverage"]


def test_an_image_is_of_its_sample_whatever_its_channel():
    samples = [Sample("b_seed1", 1, "b", "", 1), Sample("b_seed10", 2, "b", "", 10)]
    assert [_sample_of(name, samples).seed for name in ("imagesTr/b_seed10_0000", "b_seed1", "b_seed1_0001")] == [
        10,
        1,
        1,
    ]
