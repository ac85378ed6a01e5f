"""The distance between ribs against bars of known distance, and against phantoms whose anatomy is known."""

import itertools

import numpy as np
import pytest

from tools.data.phantoms.fields import streams
from tools.data.phantoms.thorax import STREAMS, thorax_ct
from tools.data.phantoms.thorax_anatomy import Anatomy
from tools.metrics.ribs import rib_distance


def bars(distance, spacing, height=300, thick=9.0, drop=0.5):
    """Oblique bars beside each other in air, each voxel as much bone as it holds of one."""
    fine = np.arange(0, height, 0.25)
    rows = np.arange(30)[:, None]
    bone = (((fine - drop * rows) % distance) < thick).astype(float)
    edges = np.arange(0, height + 1e-6, spacing)
    slices = [bone[:, (fine >= low) & (fine < high)].mean(1) for low, high in itertools.pairwise(edges)]
    return np.repeat(np.stack(slices)[..., None], 20, 2) * 1000 - 700


@pytest.mark.parametrize("distance", [19.0, 24.5, 30.0])
@pytest.mark.parametrize("spacing", [1.0, 2.5, 4.5])
def test_bars_are_found_at_their_distance(distance, spacing):
    assert rib_distance(bars(distance, spacing), spacing) == pytest.approx(distance, rel=0.03)


def test_the_distance_is_in_the_mm_that_a_header_claims():
    volume = bars(24.0, 2.0)
    assert rib_distance(volume, 2.4) == pytest.approx(1.2 * rib_distance(volume, 2.0), rel=0.01)


@pytest.mark.parametrize("index", range(4))
def test_phantoms_have_ribs_as_far_apart_as_their_anatomy_says(index):
    anatomy = Anatomy.draw(streams([0, index], *STREAMS)["anatomy"])
    # along the body: height - 0.2 height (1 + ahead) / 2 is constant, ahead -1 at the back and about 0.5 in front
    at_the_spine = anatomy.vertebra[0] * anatomy.scale[2]
    for slices in (64, 96):
        phantom = thorax_ct([0, index], (slices, 64, 64))
        found = rib_distance(phantom.hu, phantom.spacing[2])
        assert 0.97 * at_the_spine < found < at_the_spine / (1 - 0.2 * 0.75)


def test_what_has_no_ribs_has_no_distance():
    rng = np.random.default_rng(0)
    assert rib_distance(np.full((64, 16, 16), -1000.0), 4.0) is None
    assert rib_distance(rng.normal(100, 100, (64, 32, 32)), 4.0) is None
    assert rib_distance(np.linspace(-1000, 1000, 64)[:, None, None] * np.ones((1, 16, 16)), 4.0) is None


def test_too_few_or_too_thick_slices_are_no_error():
    assert rib_distance(bars(24.0, 4.0, height=60), 4.0) is None
    assert rib_distance(bars(24.0, 12.0), 12.0) is None


@pytest.mark.parametrize(("shape", "spacing"), [((4, 4), 1.0), ((4, 4, 4), 0.0)])
def test_no_volume_and_no_spacing_are_refused(shape, spacing):
    with pytest.raises(ValueError, match="expected a volume"):
        rib_distance(np.zeros(shape), spacing)
