"""The translation generator: published sizes, the layers in the text's order, modalities kept apart."""

import pytest
import torch
from monai.networks.nets import PatchDiscriminator
from torch.nn import functional as F

from tools.networks.cyclegan import TranslationGenerator


def weights_of(convolutions):
    """Parameters of convolutions (in, out, kernel), counted one by one."""
    return sum(i * o * k * k + o for i, o, k in convolutions)


def branch(slices, c, blocks):
    return [(slices, c, 7), (c, 2 * c, 3), (2 * c, 4 * c, 3), *[(4 * c, 4 * c, 3)] * 2 * blocks]


def decoder(slices, c):
    return [(4 * c, 2 * c, 3), (2 * c, c, 3), (c, slices, 7)]


def count(network):
    return sum(p.numel() for p in network.parameters())


def test_one_modality_has_the_parameters_of_cyclegan():
    """The released nine-block generator has 11,378,179 for three channels; two 7x7 convolutions lose two channels."""
    assert count(TranslationGenerator()) == 11_365_633 == 11_378_179 - 2 * (2 * 64 * 49) - 2


@pytest.mark.parametrize(("modalities", "slices"), [(1, 1), (2, 1), (3, 1), (2, 3)])
def test_parameters_of_every_set_up(modalities, slices):
    merge = [(modalities * 256, 256, 1)] if modalities > 1 else []
    latent = [(256, 256, 3)] * 10
    forward = branch(slices, 64, 4) * modalities + merge + latent + decoder(slices, 64)
    backward = branch(slices, 64, 4) + latent + decoder(slices, 64) * modalities
    assert count(TranslationGenerator(modalities, 1, slices)) == weights_of(forward)
    assert count(TranslationGenerator(1, modalities, slices)) == weights_of(backward)


def test_multimodal_parameters():
    assert count(TranslationGenerator(2, 1)) == 16_589_825
    assert count(TranslationGenerator(1, 2)) == 11_737_602
    assert count(TranslationGenerator(3, 1)) == 21_748_225
    assert count(TranslationGenerator(1, 3)) == 12_109_571


def test_monai_patch_discriminator_is_the_70x70_patchgan():
    """2,762,689 parameters, and one logit hears 70x70 pixels."""
    network = PatchDiscriminator(2, channels=64, in_channels=1, num_layers_d=3, norm="INSTANCE", bias=True)
    assert count(network) == 2_762_689
    convolutions = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    field = 1
    for convolution in reversed(convolutions):
        field = (field - 1) * convolution.stride[0] + convolution.kernel_size[0]
    assert field == 70


@torch.no_grad()
def test_forward_is_the_text_layer_by_layer():
    network = TranslationGenerator(channels=4)
    for p in network.parameters():  # visible biases too
        p.normal_(std=0.2)
    convolutions = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.ConvTranspose2d)]
    assert len(convolutions) == 3 + 18 + 3
    x = image = torch.rand(2, 1, 32, 32) * 2 - 1

    def normalised(x):
        mean, var = x.mean((2, 3), keepdim=True), x.var((2, 3), keepdim=True, unbiased=False)
        return (x - mean) / (var + 1e-5).sqrt()

    def reflected(x, c, margin):
        return F.conv2d(F.pad(x, [margin] * 4, mode="reflect"), c.weight, c.bias)

    first, down1, down2, *residual, up1, up2, last = convolutions
    x = normalised(reflected(x, first, 3)).relu()
    for c in (down1, down2):
        x = normalised(F.conv2d(x, c.weight, c.bias, stride=2, padding=1)).relu()
    for a, b in zip(residual[::2], residual[1::2], strict=True):
        x = x + normalised(reflected(normalised(reflected(x, a, 1)).relu(), b, 1))
    for c in (up1, up2):
        x = normalised(F.conv_transpose2d(x, c.weight, c.bias, stride=2, padding=1, output_padding=1)).relu()
    torch.testing.assert_close(network(image), reflected(x, last, 3).tanh(), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_modalities_have_branches_and_decoders_of_their_own():
    torch.manual_seed(0)
    forward, backward = TranslationGenerator(2, 1, channels=4), TranslationGenerator(1, 2, channels=4)
    pair = torch.rand(1, 2, 16, 16)
    assert forward(pair).shape == (1, 1, 16, 16)
    assert not torch.allclose(forward(pair), forward(pair.flip(1)))  # the order of modalities matters
    before = backward(pair[:, :1])
    for p in backward.decoders[1].parameters():
        p.add_(0.1)
    after = backward(pair[:, :1])
    assert torch.equal(before[:, 0], after[:, 0])
    assert not torch.equal(before[:, 1], after[:, 1])


@torch.no_grad()
def test_slabs():
    network = TranslationGenerator(2, 1, slices=3, channels=4)
    assert network(torch.rand(1, 6, 16, 16)).shape == (1, 3, 16, 16)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"in_modalities": 0}, "at least one modality in"),
        ({"branch_blocks": 10}, "10 of 9"),
        ({"slices": 2}, "slices must be odd.* got 2"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        TranslationGenerator(**arguments)


def test_sizes_that_cannot_be_halved_twice_are_named():
    with pytest.raises(ValueError, match="slices of 32 x 30"):
        TranslationGenerator(channels=4)(torch.zeros(1, 1, 32, 30))
