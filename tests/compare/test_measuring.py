"""What of a sample a comparison looks at."""

import numpy as np
import torch

from tools.compare.measuring import Measuring
from tools.evaluation.units import SIGNED
from tools.features.cache import ArrayCache
from tools.features.spaces import make_spaces


def test_one_image_of_several_is_looked_at(tmp_path):
    """The one that the bundle's evaluation names, of whatever else a sample holds."""
    sample = torch.rand(5, 32, 32) * 2 - 1
    spaces = make_spaces(("untrained-slices",), None, 0, True)
    for channel in (0, 3):
        several = Measuring(spaces, SIGNED, ArrayCache(tmp_path / f"several{channel}"), channel)
        alone = Measuring(spaces, SIGNED, ArrayCache(tmp_path / f"alone{channel}"))
        found, expected = (
            m.summary("a", image).state() for m, image in ((several, sample), (alone, sample[channel : channel + 1]))
        )
        assert found.keys() == expected.keys()
        assert all(np.array_equal(found[key], expected[key]) for key in found)
