"""Statistics of labels: by hand on small samples, and what a perfect model and a shifted one get."""

import numpy as np
import pytest

from tools.metrics.labels import compared, statistics_of


def test_numbers_of_a_slice():
    label = np.zeros((1, 4, 10), int)
    label[0, 1, 2:6] = 2
    label[0, 3, 9] = 2
    image = np.arange(40.0).reshape(1, 1, 4, 10)
    found = statistics_of(image, label, ["t1"], ["core", "oedema"])
    assert found["oedema: share, %"] == pytest.approx(100 * 5 / 40)
    assert (found["oedema: shown"], found["oedema: parts"]) == (1, 2)
    assert found["oedema: row"] == pytest.approx((4 * 1.5 + 3.5) / 5 / 4)
    assert found["oedema: column"] == pytest.approx((2.5 + 3.5 + 4.5 + 5.5 + 9.5) / 5 / 10)
    assert found["oedema: t1 inside"] == 14  # of 12 to 15, and 39
    assert "oedema: slice" not in found  # of a slice
    assert found["core: shown"] == 0
    assert np.isnan([found["core: share, %"], found["core: row"], found["core: t1 inside"]]).all()
    assert not any(
        name.startswith("core") for name in statistics_of(image, label, ["t1"], ["core", "x"], [False, True])
    )


def test_a_shift_is_told_in_deviations_and_the_floor_stays():
    rng = np.random.default_rng(0)
    real = [{"a: row": value} for value in rng.normal(0.5, 0.1, 400)]
    same, shifted = ([{"a: row": value + by} for value in rng.normal(0.5, 0.1, 400)] for by in (0, 0.2))
    near, far = (compared(real, of)["a: row"] for of in (same, shifted))
    assert far.distance == pytest.approx(2, abs=0.2)
    assert near.distance < 0.2
    assert near.real_against_real == far.real_against_real < 0.3
    assert (near.real, near.real_std) == pytest.approx((0.5, 0.1), abs=0.02)
    gone = compared(real, [{"a: row": np.nan}])["a: row"]
    assert np.isnan([gone.synthetic, gone.distance]).all()
