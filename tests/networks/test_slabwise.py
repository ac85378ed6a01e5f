"""Generation slab by slab gives the volume that generation as a whole gives, and holds less at a time."""

import pytest
import torch
from torch import nn

from tools.layers.upsample import UpsampleConv3d
from tools.networks.hierarchical_gan import Generator, HierarchicalGenerator
from tools.networks.slabwise import SlabwiseGenerator


def made(network=Generator, **options):
    torch.manual_seed(0)
    width = 16 if network is HierarchicalGenerator else 8  # the least that each has
    generator = network(**{"image_size": 32, "latent_dim": 16, "base_channels": width} | options).double()
    for module in generator.modules():
        if isinstance(module, nn.GroupNorm):  # as after training
            nn.init.normal_(module.weight, 1, 0.3)
            nn.init.normal_(module.bias, 0, 0.3)
    return generator


@pytest.fixture(scope="module", params=[Generator, HierarchicalGenerator])
def whole(request):
    """A generator, latents, and the volumes that it makes of them as a whole."""
    generator = made(request.param)
    latent = torch.randn(2, 16, dtype=torch.float64)
    with torch.no_grad():
        return generator, latent, generator(latent)


@pytest.mark.parametrize("length", [1, 3, 4, 10, 32, 100])
def test_slabs_are_the_whole(whole, length):
    generator, latent, volumes = whole
    with torch.no_grad():
        torch.testing.assert_close(SlabwiseGenerator(generator, length)(latent), volumes, rtol=0, atol=1e-10)


def test_by_class_and_in_single_precision():
    generator = made(num_classes=2, image_size=64).float()
    latent, label = torch.randn(2, 16), torch.tensor([0, 1])
    with torch.no_grad():
        expected = generator(latent, label)
        torch.testing.assert_close(SlabwiseGenerator(generator, 8)(latent, label), expected, rtol=0, atol=1e-5)
    assert not torch.equal(expected[0], expected[1])


def test_slabs_come_in_order_and_cover_the_volume():
    slabwise = SlabwiseGenerator(made(), 12)
    slabs = list(slabwise.decode(slabwise.embed(torch.randn(1, 16, dtype=torch.float64))))
    assert [(start, slab.shape[2]) for start, slab in slabs] == [(0, 12), (12, 12), (24, 8)]
    assert all(slab.shape == (1, 1, slab.shape[2], 32, 32) for _, slab in slabs)


def test_no_layer_sees_more_than_a_slab():
    """Decoding: the largest output of a convolution is a slab, with what it overlaps the next ones by."""
    generator = made(image_size=64)
    seen = []
    for module in generator.decode.modules():
        if isinstance(module, UpsampleConv3d):
            module.register_forward_hook(lambda _, __, output: seen.append(output.shape[2]))
    slabwise = SlabwiseGenerator(generator, 4)
    for _ in slabwise.decode(slabwise.embed(torch.randn(1, 16, dtype=torch.float64))):
        pass
    assert max(seen) <= 4 + 2 * 4  # of 64


def test_length_is_checked():
    with pytest.raises(ValueError, match="length is 0, expected 1 or more"):
        SlabwiseGenerator(made(), 0)
