"""Sets in different units are refused, and the unit of the others is found."""

import numpy as np
import pytest

from tools.evaluation.units import BYTE, HOUNSFIELD, SHARE, SIGNED, common_unit, unit_of
from tools.transforms.window import Window


@pytest.mark.parametrize(
    ("values", "unit"),
    [
        ((-1, 1), SIGNED),
        ((-1.02, 0.9), SIGNED),
        ((0, 1), SHARE),
        ((0, 255), BYTE),
        ((-1024, 1800), HOUNSFIELD),
        ((-1000, 300), HOUNSFIELD),
        ((0, 3000), None),
        ((-90, 40), None),
    ],
)
def test_units(values, unit):
    assert unit_of(values) == unit


def test_scaling_clips_at_the_window():
    unit = common_unit({"real": (-1024, 1500), "a": (-1000, 400)})
    assert unit.scale(np.array([-2000.0, -1024, -212, 600, 3000])) == pytest.approx([-1, -1, 0, 1, 1])


def test_different_kinds_are_refused_with_both_ranges():
    with pytest.raises(ValueError, match=r"real from -1024 to 1500, a from -1 to 0.9; real HU, a \[-1, 1\]"):
        common_unit({"real": (-1024, 1500), "a": (-1, 0.9)})
    with pytest.raises(ValueError, match=r"\[0, 1\] against \[-1, 1\]"):
        common_unit({"real": (0, 1), "a": (-1, 0.9)})
    with pytest.raises(ValueError, match=r"the unit of the values is not known \(real from 0 to 3000.*--window"):
        common_unit({"real": (0, 3000), "a": (0, 2900)})


def test_a_window_does_not_hide_another_unit():
    assert common_unit({"real": (0, 3000), "a": (0, 2900)}, (0, 2000)).window == Window(0, 2000)
    with pytest.raises(ValueError, match=r"a cover 0\.1% of the window from -1024 to 600"):
        common_unit({"real": (-1024, 1500), "a": (-1, 1)}, (-1024, 600))
    for bad in ((600, -1024), (1,), 5, ("a", "b", "c"), (0, float("nan"))):
        with pytest.raises(ValueError, match="window is"):
            common_unit({"real": (0, 1)}, bad)
