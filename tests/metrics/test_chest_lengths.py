"""Lengths in the chest against bars and ellipsoids of known size, and against phantoms whose anatomy is known."""

import itertools

import numpy as np
import pytest

from tools.data.phantoms.fields import streams
from tools.data.phantoms.thorax import STREAMS, thorax_ct
from tools.data.phantoms.thorax_anatomy import Anatomy
from tools.metrics.chest_lengths import lung_extent, rib_distance, vertebra_distance


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


@pytest.mark.parametrize("distance", [19.0, 24.5, 30.0])
@pytest.mark.parametrize("turned", [False, True])
def test_bars_in_the_middle_of_one_half_are_vertebrae_whichever_half_it_is(distance, turned):
    volume = np.full((75, 32, 40), -700.0)
    volume[:, 18:28, 18:22] = bars(distance, 4.0, drop=0)[:, :10, :4]
    volume = volume[:, ::-1] if turned else volume
    assert vertebra_distance(volume, 4.0) == pytest.approx(distance, rel=0.03)
    assert rib_distance(volume, 4.0) is None


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
        assert vertebra_distance(phantom.hu, phantom.spacing[2]) == pytest.approx(at_the_spine, rel=0.04)


@pytest.mark.parametrize("distance", [rib_distance, vertebra_distance])
def test_what_has_no_bones_has_no_distance(distance):
    rng = np.random.default_rng(0)
    assert distance(np.full((64, 16, 16), -1000.0), 4.0) is None
    assert distance(rng.normal(100, 100, (64, 32, 32)), 4.0) is None
    assert distance(np.linspace(-1000, 1000, 64)[:, None, None] * np.ones((1, 16, 16)), 4.0) is None


@pytest.mark.parametrize("distance", [rib_distance, vertebra_distance])
def test_too_few_or_too_thick_slices_are_no_error(distance):
    assert distance(bars(24.0, 4.0, height=60), 4.0) is None
    assert distance(bars(24.0, 12.0), 12.0) is None


@pytest.mark.parametrize("distance", [rib_distance, vertebra_distance])
@pytest.mark.parametrize(("shape", "spacing"), [((4, 4), 1.0), ((4, 4, 4), 0.0)])
def test_no_volume_and_no_spacing_are_refused(distance, shape, spacing):
    with pytest.raises(ValueError, match="expected a volume"):
        distance(np.zeros(shape), spacing)


def chest(spacing, extent=(300.0, 280.0, 400.0), lung=(100.0, 70.0, 50.0)):
    """Two ellipsoids of air with these half axes, 130 mm between their middles, in a body upon a table; a windpipe that
    leaves the picture, vessels, and air between table and body."""
    numbers = [round(mm / step) for mm, step in zip(extent, spacing, strict=True)]
    z, y, x = np.meshgrid(
        *((np.arange(n) - (n - 1) / 2) * s for n, s in zip(numbers, spacing, strict=True)), indexing="ij"
    )
    hu = np.full(z.shape, -1000.0)
    hu[(y / 110) ** 2 + (x / 180) ** 2 < 1] = 40
    hu[(np.abs(y - 118) < 12) & (np.abs(x) < 190)] = 40  # a hollow table
    hu[(np.abs(y - 118) < 6) & (np.abs(x) < 184)] = -1000
    for side in (-65, 65):
        hu[(z / lung[0]) ** 2 + (y / lung[1]) ** 2 + ((x - side) / lung[2]) ** 2 < 1] = -850
        hu[(np.abs(z) < 60) & (np.hypot(y - 20, x - side) < 5)] = 40
    hu[(z > 0) & (np.hypot(y, x) < 9)] = -1000
    hu[(np.abs(z - 20) < 9) & (np.abs(y) < 9) & (np.abs(x) < 65)] = -1000
    return hu


@pytest.mark.parametrize("spacing", [(3.0, 3.0, 3.0), (5.0, 3.5, 3.5), (2.5, 5.5, 5.5)])
def test_lungs_are_as_large_as_they_were_made(spacing):
    length, depth, width = lung_extent(chest(spacing), spacing)
    # beyond a plane 0.082 half axes from an ellipsoid's tip are 0.5% of it, beyond one 0.117 from it 1%
    assert length == pytest.approx(2 * 100 * (1 - 0.082), abs=1.7 * spacing[0])
    assert depth == pytest.approx(2 * 70 * (1 - 0.082), abs=1.7 * spacing[1])
    assert width == pytest.approx(2 * (65 + 50 * (1 - 0.117)), abs=1.7 * spacing[2])


def test_lungs_are_in_the_mm_that_a_header_claims():
    volume = chest((4.0, 4.0, 4.0))
    plain, claimed = lung_extent(volume, (4.0, 4.0, 4.0)), lung_extent(volume, (5.0, 4.0, 6.0))
    assert np.array(claimed) == pytest.approx(np.array(plain) * (1.25, 1, 1.5), rel=0.03)


def test_lungs_that_are_cut_have_no_length_and_a_body_without_them_nothing():
    spacing = (4.0, 4.0, 4.0)
    volume = chest(spacing)
    length, depth, width = lung_extent(volume[20:], spacing)
    assert length is None
    assert (depth, width) == pytest.approx(lung_extent(volume, spacing)[1:], abs=8)
    assert lung_extent(chest(spacing, lung=(1.0, 1.0, 1.0)), spacing) == (None, None, None)
    assert lung_extent(np.full((8, 8, 8), -1000.0), spacing) == (None, None, None)


@pytest.mark.parametrize("index", range(2))
def test_lungs_of_a_phantom_do_not_depend_on_its_voxels(index):
    measured = []
    for shape in ((64, 64, 64), (48, 64, 64), (96, 96, 96)):
        phantom = thorax_ct([0, index], shape)
        measured.append(lung_extent(phantom.hu, phantom.spacing[::-1])[1:])
    assert np.ptp(measured, axis=0) / np.mean(measured, axis=0) == pytest.approx(0, abs=0.06)


@pytest.mark.parametrize(
    ("shape", "spacing"), [((4, 4), (1.0, 1.0, 1.0)), ((4, 4, 4), (1.0, 0.0, 1.0)), ((4, 4, 4), 1.0)]
)
def test_lungs_of_no_volume_or_without_spacing_are_refused(shape, spacing):
    with pytest.raises(ValueError, match=r"expected a volume .* and its spacing"):
        lung_extent(np.zeros(shape), spacing)
