"""Modulated convolutions against a loop over samples, and the invariants that the paper's Eq. 1 to 3 imply."""

import numpy as np
import pytest
import scipy.signal
import torch
import torch.nn.functional as F

from tools.layers.modulated import demodulation, explicit_convolution, modulated_convolution


@pytest.fixture
def given():
    generator = torch.Generator().manual_seed(0)
    x, weight, style = (
        torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in ((3, 5, 6, 7), (4, 5, 3, 3), (3, 5))
    )
    return x, weight, style


def by_hand(x, weight, style, demodulate):
    """One sample after the other, each with weights of its own, by SciPy."""
    found = torch.zeros(len(x), len(weight), *x.shape[2:], dtype=x.dtype)
    for n in range(len(x)):
        for o in range(len(weight)):
            own = weight[o] * style[n][:, None, None]
            if demodulate:
                own = own / (own.square().sum() + 1e-8).sqrt()
            for i in range(x.shape[1]):
                layer = scipy.signal.correlate2d(x[n, i].numpy(), own[i].numpy(), mode="same")
                found[n, o] += torch.from_numpy(layer)
    return found


@pytest.mark.parametrize("demodulate", [True, False])
@pytest.mark.parametrize("convolve", [modulated_convolution, explicit_convolution])
def test_each_sample_is_convolved_with_its_own_weights(given, convolve, demodulate):
    expected = by_hand(*given, demodulate)
    torch.testing.assert_close(convolve(*given, demodulate), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("convolve", [modulated_convolution, explicit_convolution])
def test_a_transposed_convolution_is_one_with_zeros_in_between(given, convolve):
    x, weight, style = given
    spread = torch.zeros(3, 5, 11, 13, dtype=x.dtype)
    spread[:, :, ::2, ::2] = x
    wide = F.pad(spread, (1, 1, 1, 1))  # what a true convolution of 3x3 makes more, two pixels
    expected = by_hand(wide, weight.flip(2, 3), style, True)
    torch.testing.assert_close(convolve(x, weight, style, up=2), expected, rtol=0, atol=1e-12)


def test_demodulated_weights_have_length_one(given):
    _, weight, style = given
    lengths = (demodulation(weight, style)[:, :, None, None, None] * weight * style[:, None, :, None, None]).flatten(2)
    lengths = torch.linalg.vector_norm(lengths, dim=2)
    assert (lengths <= 1).all()
    assert (lengths >= 1 - 1e-8).all()


def test_the_scale_of_a_style_does_not_matter_if_weights_are_demodulated(given):
    x, weight, style = given
    scaled = modulated_convolution(x, weight, 10 * style)
    torch.testing.assert_close(scaled, modulated_convolution(x, weight, style), rtol=0, atol=1e-7)
    kept = modulated_convolution(x, weight, 10 * style, demodulate=False)
    torch.testing.assert_close(kept, 10 * modulated_convolution(x, weight, style, demodulate=False))


@pytest.mark.parametrize("convolve", [modulated_convolution, explicit_convolution])
def test_volumes_are_convolved_with_weights_of_their_own(convolve):
    generator = torch.Generator().manual_seed(0)
    x, weight, style = (
        torch.randn(*shape, generator=generator, dtype=torch.float64)
        for shape in ((2, 3, 4, 6, 5), (4, 3, 3, 3, 3), (2, 3))
    )
    found = convolve(x, weight, style)
    assert found.shape == (2, 4, 4, 6, 5)
    for n, o in ((0, 0), (1, 3)):
        own = weight[o] * style[n][:, None, None, None]
        own = own / (own.square().sum() + 1e-8).sqrt()
        expected = sum(scipy.signal.correlate(x[n, i].numpy(), own[i].numpy(), "same", "direct") for i in range(3))
        np.testing.assert_allclose(found[n, o].numpy(), expected, rtol=0, atol=1e-12)
    spread = torch.zeros(2, 3, 7, 11, 9, dtype=x.dtype)
    spread[:, :, ::2, ::2, ::2] = x
    wide = F.pad(spread, [1] * 6)  # what a true convolution of 3^3 makes more, two voxels
    expected = convolve(wide, weight.flip(2, 3, 4), style)
    torch.testing.assert_close(convolve(x, weight, style, up=2), expected, rtol=0, atol=1e-12)


def test_demodulated_weights_of_volumes_have_length_one():
    torch.manual_seed(0)
    weight, style = torch.randn(4, 3, 3, 3, 3, dtype=torch.float64), torch.randn(2, 3, dtype=torch.float64)
    own = torch.einsum("bo,oidhw,bi->boidhw", demodulation(weight, style), weight, style)
    lengths = torch.linalg.vector_norm(own.flatten(2), dim=2)
    torch.testing.assert_close(lengths, torch.ones(2, 4, dtype=torch.float64), rtol=0, atol=1e-8)
