import numpy as np
import pytest

from tools.metrics.consistency import through_plane_change


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
