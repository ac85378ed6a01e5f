"""A window against its formula written out, in every kind of number it is used for, and what is no window."""

import numpy as np
import pytest
import torch

from tools.transforms.window import CT_WINDOW, Window


def test_ends_become_minus_one_and_one_and_come_back():
    low, high = CT_WINDOW
    assert (low, high, CT_WINDOW.width) == (-1024, 600, 1624)
    hu = np.array([-1024, -212, 600, 1412], np.float32)
    assert CT_WINDOW.scale(hu).tolist() == [-1, 0, 1, 2]
    assert CT_WINDOW.share(hu).tolist() == [0, 0.5, 1, 1.5]
    assert CT_WINDOW.unscale(CT_WINDOW.scale(hu)).tolist() == hu.tolist()


@pytest.mark.parametrize("make", [float, np.float32, np.float64, lambda v: torch.tensor(v, dtype=torch.float32)])
def test_numbers_keep_their_kind_and_every_bit_of_the_formula(make):
    values = [make(v) for v in (-987.3, 0.1, 333.3)]
    window = Window(-160, 240)
    for v in values:
        assert window.scale(v) == (v - -160) / 400 * 2 - 1
        assert window.unscale(v) == (v + 1) / 2 * 400 + -160
        assert type(window.scale(v)) is type(v)
        assert getattr(window.unscale(v), "dtype", None) == getattr(v, "dtype", None)


@pytest.mark.parametrize(
    "bad", [(1, 1), (2, 1), (0, float("inf")), (float("nan"), 1), (1,), 5, "ab", ("a", "b"), (True, 2)]
)
def test_what_is_no_window_is_refused(bad):
    with pytest.raises(ValueError, match="window is"):
        Window.of(bad)
    assert Window.of([0, 2]) == Window.of((0.0, 2.0)) == Window.of(Window(0, 2))
