"""DiffAugment against its definition, pixel by pixel."""

import pytest
import torch

from tools.losses.differentiable_augmentation import DifferentiableAugmentation, cut_out, translated

H, W = 8, 12


def images(rows=3, channels=2):
    return torch.rand(rows, channels, H, W, generator=torch.Generator().manual_seed(1)) * 2 - 1


def uniforms(rows, number):
    return torch.rand(rows, number, generator=torch.Generator().manual_seed(2))


def test_colour_is_brightness_then_contrast_of_each_channel():
    augment = DifferentiableAugmentation(["color"])
    given, u = images(), uniforms(3, augment.numbers(2))
    changed = augment(given, u)
    for row in range(3):
        for channel in range(2):
            added, stretched = u[row, 2 * channel].item() - 0.5, u[row, 2 * channel + 1].item() + 0.5
            mean = given[row, channel].mean().item() + added
            expected = (given[row, channel] + added - mean) * stretched + mean
            torch.testing.assert_close(changed[row, channel], expected)


def test_translation_moves_whole_pixels_and_lets_zeros_in():
    given, u = images(), uniforms(3, 2)
    changed = DifferentiableAugmentation(["translation"], shift=0.25)(given, u)
    moves = set()
    for row in range(3):
        down, right = (round(0.25 * (2 * u[row, i].item() - 1) * size) for i, size in enumerate((H, W)))
        moves |= {down, right}
        for y in range(H):
            for x in range(W):
                inside = 0 <= y - down < H and 0 <= x - right < W
                expected = given[row, :, y - down, x - right] if inside else torch.zeros(2)
                assert torch.equal(changed[row, :, y, x], expected)
    assert len(moves) > 2


def test_cutout_is_a_square_of_half_the_side():
    given = images() + 3  # nothing is 0 before
    changed = cut_out(given, torch.tensor([[0.5, 0.5], [0.0, 0.0], [0.99, 0.5]]))
    gone = changed == 0
    assert gone[0, 0, 2:6, 3:9].all()
    assert gone[0].sum() == 2 * 4 * 6
    assert gone[1].sum() == 2 * 2 * 3  # a corner of it
    assert gone[1, 0, :2, :3].all()
    assert torch.equal(changed[~gone], given[~gone])


def test_labels_are_moved_and_never_recoloured():
    label = torch.tensor([False, True])
    augment = DifferentiableAugmentation(is_label=label)
    assert augment.numbers(2) == 6
    given, u = images(), uniforms(3, 6)
    changed = augment(given, u)
    moved = translated(given, (2 * u[:, 4:] - 1) / 8)
    assert torch.equal(changed[:, 1], moved[:, 1])
    assert not torch.allclose(changed[:, 0], moved[:, 0])


def test_the_same_numbers_are_the_same_change_at_another_resolution():
    augment = DifferentiableAugmentation(["color", "translation", "cutout"])
    small, u = torch.rand(3, 1, 16, 16), uniforms(3, 6)
    u[:, 2:4] = (torch.tensor([[-1.0, 1], [0, 1], [1, -1]]) / 0.125 / 16 + 1) / 2  # whole pixels in both
    u[:, 4:] = (u[:, 4:] * 16).floor() / 16
    large = small.repeat_interleave(2, 2).repeat_interleave(2, 3)
    expected = augment(small, u).repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(augment(large, u), expected)


def test_gradients_pass():
    augment = DifferentiableAugmentation(["color", "translation", "cutout"])
    given = images().double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: augment(x, uniforms(3, 8).double()), given)


def test_nothing_is_changed_without_kinds_and_other_kinds_are_refused():
    given, none = images(), DifferentiableAugmentation([])
    assert none.numbers(2) == 0
    assert torch.equal(none(given, torch.empty(3, 0)), given)
    with pytest.raises(ValueError, match="expected some of"):
        DifferentiableAugmentation(["colour"])
