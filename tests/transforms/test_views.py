"""Views of volumes against torch's own resizing, and against what a ball measures in mm."""

import math

import pytest
import torch
from monai.data import MetaTensor

from tools.transforms.spatial import ResizeVolumed
from tools.transforms.views import TellViewd, axis_weights, place_code, view

FIELD = torch.tensor([[60.0, 48.0, 54.0]])


def volume(shape=(12, 16, 18)):
    return torch.rand(1, 1, *shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


def whole(volumes, size):
    field = FIELD.expand(len(volumes), 3)
    spacing = field / torch.tensor(size)
    return view(volumes, field, size, spacing, torch.zeros_like(field), -1.0)


@pytest.mark.parametrize("size", [(12, 16, 18), (6, 8, 9), (5, 7, 31), (24, 16, 8)])
def test_a_whole_volume_is_resized_as_elsewhere(size):
    given = volume()
    expected = ResizeVolumed("image", size).resized(MetaTensor(given[0])).as_tensor()
    # in its outermost half voxel torch repeats the last voxel, as the weights' sum does here
    assert (whole(given, size)[0] - expected).abs().max() < 1e-5


def test_its_own_size_and_spacing_is_the_volume_itself():
    given = volume()
    assert torch.allclose(whole(given, (12, 16, 18)), given, atol=1e-6)


def test_a_box_lies_where_it_is_said_to_and_measures_what_it_does():
    """A plane along each axis, in mm: value = position of the voxel's centre."""
    field = torch.tensor([[60.0, 48.0, 54.0]])
    axes = [(torch.arange(n) + 0.5) * mm / n for n, mm in zip((30, 24, 27), field[0].tolist(), strict=True)]
    places = torch.meshgrid(*axes, indexing="ij")
    start, spacing = torch.tensor([[10.0, 6.0, 4.0]]), torch.tensor([[3.0, 1.0, 2.5]])
    for axis in range(3):
        box = view(places[axis][None, None], field, (8, 9, 10), spacing, start, -1.0)[0, 0]
        line = box.movedim(axis, 0)[:, 4, 4]
        expected = [start[0, axis].item() + (i + 0.5) * spacing[0, axis].item() for i in range(len(line))]
        # a triangle over whole voxels is off by a part of one
        assert line.tolist() == pytest.approx(expected, abs=0.15)


def test_a_ball_keeps_its_volume_in_ml_at_any_spacing():
    field = torch.tensor([[96.0, 96.0, 96.0]])
    grid = torch.stack(torch.meshgrid(*[torch.arange(96) + 0.5 - 48] * 3, indexing="ij"))
    ball = ((grid**2).sum(0) < 20**2).float()[None, None] * 2 - 1
    for spacing, size in (((2.0, 2.0, 2.0), 40), ((5.0, 1.5, 1.5), 48), ((3.0, 4.0, 4.0), 24)):
        asked = torch.tensor([spacing])
        start = 48 - asked * size / 2
        box = view(ball, field, (size,) * 3, asked, start, -1.0)
        ml = ((box + 1) / 2).sum().item() * math.prod(spacing)
        assert ml == pytest.approx(4 / 3 * math.pi * 20**3, rel=0.02)


def test_outside_of_the_volume_is_what_is_said():
    box = view(volume(), FIELD, (4, 4, 4), FIELD / 4, torch.tensor([[-30.0, 0.0, 0.0]]), -1.0)
    assert (box[0, 0, :2] == -1).all()
    assert (box[0, 0, 2:] > -1).all()


def test_each_row_has_its_own_spacing():
    given = torch.cat([volume(), volume().flip(2)])
    field = torch.cat([FIELD, FIELD * 2])
    spacing, start = torch.tensor([[4.0, 3.0, 3.0], [2.0, 5.0, 5.0]]), torch.tensor([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])
    together = view(given, field, (6, 5, 5), spacing, start, -1.0)
    for row in range(2):
        part = slice(row, row + 1)
        alone = view(given[part], field[part], (6, 5, 5), spacing[part], start[part], -1.0)
        assert torch.allclose(together[part], alone, atol=1e-6)


def test_weights_of_a_voxel_sum_to_one():
    one = torch.ones(1)
    weights = axis_weights(10, one * 2, 7, one * 1.3, one * 4.1)
    assert weights.shape == (1, 7, 10)
    assert torch.allclose(weights.sum(2), torch.ones(1, 7))


def test_places_are_shares_of_four_levels():
    shares = torch.tensor([[0.0, 1 / 6], [1 / 3, 0.9], [1.2, 0.0]])
    expected = [[1, 0, 0, 0, 0.5, 0.5, 0, 0], [0, 1, 0, 0, 0, 0, 0.3, 0.7], [0, 0, 0, 1, 1, 0, 0, 0]]
    assert torch.allclose(place_code(shares), torch.tensor(expected), atol=1e-6)


def test_what_is_told_of_a_volume_that_is_asked_for():
    item = TellViewd([40, 60, 90], spacing=[3, 2, 2], extent=[240, 360, 150])({"seed": 0})
    assert item["spacing"].tolist() == [3, 2, 2]
    # 120 of 240 mm: from a quarter to three quarters; 120 of 360: the middle third; 180 of 150 is all there is
    first, last = [0.25, 0.75, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0], [0, 0, 0.75, 0.25, 0, 0, 1, 0, 0, 0, 0, 1]
    assert item["bottom_region"].tolist() == pytest.approx(first, abs=1e-6)
    assert item["top_region"].tolist() == pytest.approx(last, abs=1e-6)
    own = TellViewd([40, 60, 60])({"field_of_view_mm": torch.tensor([240.0, 300.0, 300.0])})
    assert own["spacing"].tolist() == [6, 5, 5]
    assert own["bottom_region"].tolist() == [1, 0, 0, 0] * 3
    assert own["top_region"].tolist() == [0, 0, 0, 1] * 3
