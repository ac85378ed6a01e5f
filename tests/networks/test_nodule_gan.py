"""The nodule's painter: what it copies, what it does not see, how deep it goes."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from tools.networks.nodule_gan import ExcitedBlock, NoduleGenerator
from tools.transforms.holes import centred_spheres, painting_input
from tools.transforms.spheres import paint_spheres


@pytest.fixture(scope="module")
def generator():
    torch.manual_seed(0)
    return NoduleGenerator(8).eval()


def given(diameter=8.0, margin=2.0, seed=0):
    draw = torch.Generator().manual_seed(seed)
    crop = torch.rand(2, 1, 32, 32, 32, generator=draw) * 2 - 1
    noise = torch.randn(2, 1, 32, 32, 32, generator=draw)
    return painting_input(crop, torch.full((2,), diameter), torch.full((2,), margin), noise, 1.0)


@torch.no_grad()
def test_outside_of_the_hole_every_voxel_is_the_crops(generator):
    x = given()
    made = generator(x)
    inside = x[:, 1:2] > 0
    assert torch.equal(made[~inside], x[:, :1][~inside])
    assert (made[inside] - x[:, :1][inside]).abs().min() > 0
    assert -1 <= made.min() < made.max() <= 1


@torch.no_grad()
def test_without_a_hole_the_crop_comes_back(generator):
    x = given()
    x[:, 1] = 0
    assert torch.equal(generator(x), x[:, :1])


@torch.no_grad()
def test_what_was_in_the_hole_is_not_seen(generator):
    x = given()
    other = x.clone()
    inside = x[:, 1:2] > 0
    other[:, :1][inside] = 0.7
    assert torch.equal(generator(x)[inside], generator(other)[inside])


@torch.no_grad()
def test_size_and_noise_are_seen(generator):
    x = given()
    inside = x[:, 1:2] > 0
    larger, noisier = x.clone(), x.clone()
    larger[:, 2] *= 2
    noisier[:, 3] += 1
    for other in (larger, noisier):
        assert (generator(other)[inside] - generator(x)[inside]).abs().max() > 1e-4
    beyond = x.clone()
    beyond[:, 3:][~inside] = 5
    assert torch.equal(generator(beyond), generator(x))


def test_four_halvings_from_32_to_2():
    """Parameters of every block, counted from its layers."""

    def block(i, o, same=False):
        squeezed = o // 8
        return 27 * (i * o + o * o) + 4 * o + (o * squeezed + squeezed) + (squeezed * o + o) + (0 if same else i * o)

    widths = [32, 64, 128, 256, 512]
    down = [block(4, 32), *(block(a, b) for a, b in pairwise(widths))]
    up = [block(a + b, a) for a, b in pairwise(widths)]
    with torch.device("meta"):
        network = NoduleGenerator()
        assert sum(p.numel() for p in network.parameters()) == sum(down) + sum(up) + 33
        x, sides = network.first(torch.empty(1, 4, 32, 32, 32)), []
        for level in network.down:
            x = level(x)
            sides.append(x.shape[-1])
    assert sides == [16, 8, 4, 2]


@torch.no_grad()
def test_a_block_weighs_its_channels_by_their_means():
    """Squeeze and excitation, written out."""
    torch.manual_seed(1)
    block = ExcitedBlock(8, 8).eval()
    x = torch.randn(2, 8, 4, 4, 4)
    features = block.body[1](block.body[0](x))
    first, _, second, _ = block.body[2].fc
    weights = torch.sigmoid(second(torch.relu(first(features.mean((2, 3, 4))))))
    expected = torch.nn.functional.leaky_relu(features * weights[:, :, None, None, None] + x, 0.2)
    torch.testing.assert_close(block(x), expected)


@pytest.mark.parametrize("spacing", [0.5, 1.0])
def test_spheres_are_those_of_labels(spacing):
    """Which another function paints, by distances in mm."""
    diameters = [6.0, 10.5, 15.0]
    made = centred_spheres(32, spacing, torch.tensor(diameters))
    affine = np.diag([spacing] * 3 + [1.0])
    centre = [31 / 2 * spacing] * 3
    for found, diameter in zip(made, diameters, strict=True):
        assert np.array_equal(found[0].numpy(), paint_spheres((32, 32, 32), affine, [(*centre, diameter)]) > 0)
    assert not centred_spheres(32, spacing, torch.tensor([0.0])).any()


def test_sides_that_cannot_be_halved():
    with pytest.raises(ValueError, match="24 x 32 x 32 are halved 4 times"):
        NoduleGenerator(8)(torch.zeros(1, 4, 24, 32, 32))
    with pytest.raises(ValueError, match="channels is 4, expected 8"):
        NoduleGenerator(4)
