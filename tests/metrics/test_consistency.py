import numpy as np
import pytest

from tools.metrics.consistency import border_change, through_plane_change


def test_mean_of_the_steps():
    volume = np.zeros((3, 1, 2))
    volume[1, 0] = (1, 5)
    volume[2, 0] = (4, 5)
    assert through_plane_change(volume) == (1 + 5 + 3 + 0) / 4
    mask = np.ones((3, 1, 2), bool)
    mask[0, 0, 1] = False
    assert through_plane_change(volume, mask) == (1 + 3 + 0) / 3


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="two slices or more"):
        through_plane_change(np.zeros((1, 4, 4)))
    with pytest.raises(ValueError, match="no two voxels"):
        through_plane_change(np.zeros((2, 4, 4)), np.zeros((2, 4, 4)))


@pytest.mark.parametrize("start", [0, 2, 5, 4])
def test_borders_and_what_lies_within_slabs_as_loops_say_it(start):
    volume = np.random.default_rng(1).normal(0, 1, (15, 2, 3))
    slab, borders, inside = 4, [], []
    for border in range(start % slab + slab, 15, slab):
        if border + slab > 15:
            break
        steps = []
        for slice_ in range(border - slab + 1, border + slab):
            step = sum(abs(volume[slice_, y, x] - volume[slice_ - 1, y, x]) for y in range(2) for x in range(3)) / (
                2 * 3
            )
            if slice_ == border:
                borders.append(step)
            else:
                steps.append(step)
        assert len(steps) == 2 * (slab - 1)
        inside.append(sum(steps) / len(steps))
    found = border_change(volume, slab, start)
    assert found.border == pytest.approx(sum(borders) / len(borders))
    assert found.inside == pytest.approx(sum(inside) / len(inside))
    assert found.ratio == pytest.approx(found.border / found.inside)


def test_a_steady_change_has_no_border_and_a_step_has_one():
    ramp = np.arange(32.0)[:, None, None] * np.ones((1, 3, 3))
    assert border_change(ramp, 8).ratio == pytest.approx(1)
    rising = np.arange(32.0)[:, None, None] ** 2 * np.ones((1, 3, 3))  # changes more and more, steadily
    assert border_change(rising, 8).ratio == pytest.approx(1)
    steps = ramp + 5 * (np.arange(32) // 8)[:, None, None]
    assert border_change(steps, 8) == pytest.approx((6, 1))
    assert np.isnan(border_change(np.zeros((32, 2, 2)), 8).ratio)


@pytest.mark.parametrize(
    ("shape", "slab", "start", "message"),
    [
        ((15, 2, 2), 8, 0, "two slabs of 8 slices from slice 0"),
        ((16, 2, 2), 8, 1, "two slabs of 8 slices from slice 1"),
        ((16, 2, 2), 1, 0, "slab is 1"),
        ((16, 2), 4, 0, "got shape"),
    ],
)
def test_volumes_without_two_slabs_are_refused(shape, slab, start, message):
    with pytest.raises(ValueError, match=message):
        border_change(np.zeros(shape), slab, start)
