"""Jung et al.'s networks: published sizes, and what attention does."""

import pytest
import torch
from torch import nn

from tools.networks.slice_gan import AttentionGenerator, SliceDiscriminator, StackDiscriminator, blend, halvings

IN, OUT = 2, 1


def count(network):
    return sum(p.numel() for p in network.parameters())


def test_the_published_numbers_of_parameters():
    with torch.device("meta"):
        assert count(AttentionGenerator()) == 2_107_136
        assert count(SliceDiscriminator(192)) == 11_194_848
        assert count(StackDiscriminator(192)) == 18_886_464


def test_the_generators_layers_one_by_one():
    """Convolutions (in, out, kernel) without biases, and two weights for each channel of an instance norm."""
    layers = [(IN, 32, 7), (32, 64, 4), (64, 128, 4), *[(128, 128, 3)] * 12, (128, 64, 4), (64, 32, 4)]
    heads = [(32, OUT, 7)] * 2
    expected = sum(i * o * k * k for i, o, k in layers + heads) + 2 * sum(o for _, o, _ in layers)
    with torch.device("meta"):
        assert count(AttentionGenerator()) == expected


@torch.no_grad()
def test_slices_go_in_and_out_and_maps_are_those_of_the_published_size():
    given = torch.rand(2, 2, 32, 48) * 2 - 1
    generator = AttentionGenerator(8, num_res_blocks=1)
    image, attention = generator.drawn(given)
    assert image.shape == attention.shape == (2, 1, 32, 48)
    assert -1 <= image.min() < image.max() <= 1
    assert 0 < attention.min() < attention.max() < 1
    assert torch.equal(generator(given), attention * given[:, :1] + (1 - attention) * image)
    with torch.device("meta"):
        scores, conditions = SliceDiscriminator(192)(torch.empty(5, 1, 192, 192))
        volumes = StackDiscriminator(192)(torch.empty(5, 1, 3, 192, 192))
    assert (scores.shape, conditions.shape, volumes.shape) == ((5, 1, 3, 3), (5,), (5, 1, 1, 3, 3))


def test_attention_1_returns_the_input_and_0_the_image():
    given, image = torch.rand(2, 3, 1, 4, 4)
    assert torch.equal(blend(given, image, torch.ones_like(given)), given)
    assert torch.equal(blend(given, image, torch.zeros_like(given)), image)


@torch.no_grad()
def test_a_generator_that_attends_to_everything_is_the_identity():
    generator = AttentionGenerator(8, num_res_blocks=1)
    generator.attention = nn.Sequential(generator.attention, Far())
    given = torch.rand(1, 2, 16, 16)
    assert torch.equal(generator(given), given[:, :1])


class Far(nn.Module):
    """Logits that a sigmoid makes 1."""

    def forward(self, x):
        return torch.full_like(x, 100.0)


@pytest.mark.parametrize(("size", "times"), [(192, 6), (96, 5), (32, 3), (64, 4), (256, 6), (384, 7)])
def test_how_often_discriminators_halve(size, times):
    assert halvings(size) == times
    assert size // 2**times >= 3 > size // 2 ** (times + 1)
    with torch.device("meta"):
        scores, conditions = SliceDiscriminator(size, 2)(torch.empty(1, 1, size, size))
    assert (scores.shape[-1], conditions.shape) == (size // 2**times, (1,))


def test_sizes_that_cannot_be_halved():
    with pytest.raises(ValueError, match=r"image_size is 100, and discriminators halve it 5 times; .* 32 such as 96"):
        SliceDiscriminator(100)
    with pytest.raises(ValueError, match=r"image_size is 4.* such as 4|image_size is 5"):
        StackDiscriminator(5)
    with pytest.raises(ValueError, match="30 x 32 are halved twice"):
        AttentionGenerator(8)(torch.zeros(1, 2, 30, 32))
