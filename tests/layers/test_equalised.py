"""Layers with equalised learning rates, fused resampling, the minibatch's deviation, and growing."""

import math

import pytest
import torch
import torch.nn.functional as F

from tools.layers.equalised import (
    DoublingConv,
    EqualisedConv,
    EqualisedLinear,
    HalvingConv,
    PixelNorm,
    PointConv,
    pixel_norm,
    set_fused,
)
from tools.layers.minibatch import MinibatchDeviation


def test_a_dense_layer_is_scaled_when_it_is_called():
    torch.manual_seed(0)
    layer = EqualisedLinear(300, 200, gain=3, bias=0.5, bias_gain=2, lr_multiplier=0.01)
    assert layer.weight.std().item() == pytest.approx(100, rel=0.02)
    x = torch.randn(4, 300)
    expected = x @ (layer.weight.T * 3 * 0.01 / math.sqrt(300)) + 2 * 0.5
    torch.testing.assert_close(layer(x), expected)
    assert layer(x).std().item() == pytest.approx(3, rel=0.05)


def test_a_convolution_keeps_the_variance():
    torch.manual_seed(0)
    layer = EqualisedConv(64, 64, 3)
    assert layer.weight.std().item() == pytest.approx(1, rel=0.02)
    assert layer(torch.randn(2, 64, 16, 16))[:, :, 1:-1, 1:-1].std().item() == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize(("kind", "bias"), [(DoublingConv, True), (HalvingConv, True), (DoublingConv, False)])
def test_one_operation_computes_what_two_do(kind, bias):
    torch.manual_seed(0)
    layer = kind(3, 5, gain=1.3, bias=bias).double()
    if bias:
        torch.nn.init.normal_(layer.bias)
    x = torch.randn(2, 3, 8, 6, dtype=torch.float64)
    fused = layer(x)
    torch.testing.assert_close(fused, set_fused(layer, False)(x), rtol=0, atol=1e-12)
    weight, given_bias = layer.scaled()
    if kind is DoublingConv:
        expected = F.conv2d(x.repeat_interleave(2, 2).repeat_interleave(2, 3), weight, given_bias, padding=1)
    else:
        y = F.conv2d(x, weight, padding=1)
        expected = (y[:, :, ::2, ::2] + y[:, :, 1::2, ::2] + y[:, :, ::2, 1::2] + y[:, :, 1::2, 1::2]) / 4
        expected = expected + given_bias[:, None, None]
    torch.testing.assert_close(fused, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", [DoublingConv, HalvingConv])
def test_one_operation_computes_what_two_do_with_volumes(kind):
    torch.manual_seed(0)
    layer = kind(3, 5, gain=1.3, spatial_dims=3).double()
    torch.nn.init.normal_(layer.bias)
    x = torch.randn(2, 3, 4, 8, 6, dtype=torch.float64)
    fused = layer(x)
    torch.testing.assert_close(fused, set_fused(layer, False)(x), rtol=0, atol=1e-12)
    weight, bias = layer.scaled()
    if kind is DoublingConv:
        doubled = x.repeat_interleave(2, 2).repeat_interleave(2, 3).repeat_interleave(2, 4)
        expected = F.conv3d(doubled, weight, bias, padding=1)
    else:
        expected = F.conv3d(x, weight, padding=1).unflatten(4, (-1, 2)).unflatten(3, (-1, 2)).unflatten(2, (-1, 2))
        expected = expected.mean(dim=(3, 5, 7)) + bias[:, None, None, None]
    torch.testing.assert_close(fused, expected, rtol=0, atol=1e-12)
    assert weight.numel() == 3 * 5 * 27
    assert layer.scale == pytest.approx(1.3 / 81**0.5)


def test_layers_are_for_images_and_volumes():
    with pytest.raises(ValueError, match="spatial_dims is 4, expected 2 for images or 3 for volumes"):
        EqualisedConv(1, 1, 3, spatial_dims=4)


def test_the_deviation_of_volumes_is_that_of_images_of_as_many_numbers():
    x = torch.randn(8, 3, 2, 4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = MinibatchDeviation(4)(x)
    assert found.shape == (8, 4, 2, 4, 3)
    torch.testing.assert_close(found.flatten(2, 3), MinibatchDeviation(4)(x.flatten(2, 3)), rtol=0, atol=1e-14)


def test_pixel_norm_is_of_the_features_of_a_pixel():
    x = torch.randn(2, 7, 3, 3, dtype=torch.float64)
    found = pixel_norm(x)
    for n, i, j in ((0, 0, 0), (1, 2, 1)):
        mean = sum(x[n, c, i, j] ** 2 for c in range(7)) / 7
        torch.testing.assert_close(found[n, :, i, j], x[n, :, i, j] / (mean + 1e-8).sqrt(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", [(2, 7, 3, 3), (2, 5, 3, 2, 4)])
def test_pixel_norm_as_a_layer_has_the_gradient_of_its_formula(shape):
    x = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    layer = PixelNorm()
    assert torch.autograd.gradcheck(layer, x)
    torch.testing.assert_close(layer(x), pixel_norm(x), rtol=0, atol=1e-14)
    assert torch.equal(set_fused(layer, False)(x), pixel_norm(x))
    (gradient,) = torch.autograd.grad(PixelNorm()(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_pixel_norm_as_a_layer_takes_half_precision():
    x = 300 * torch.randn(2, 7, 3, 3, generator=torch.Generator().manual_seed(0))
    half = x.half().requires_grad_()
    found = PixelNorm()(half)
    assert found.dtype == torch.float16
    torch.testing.assert_close(found.float(), pixel_norm(x), rtol=0, atol=5e-3)


@pytest.mark.parametrize("channels", [(1, 3), (4, 1)])
def test_a_convolution_of_single_voxels_is_a_product_channels_last(channels):
    torch.manual_seed(0)
    layer = PointConv(*channels, gain=1.3, spatial_dims=3).double()
    torch.nn.init.normal_(layer.bias)
    x = torch.randn(2, channels[0], 3, 4, 2, dtype=torch.float64)
    found = layer(x)
    weight, bias = layer.scaled()
    torch.testing.assert_close(found, F.conv3d(x, weight, bias), rtol=0, atol=1e-14)
    torch.testing.assert_close(found, set_fused(layer, False)(x), rtol=0, atol=1e-14)
    assert found.is_contiguous(memory_format=torch.channels_last_3d)


@pytest.mark.parametrize(("batch", "size"), [(8, 4), (4, 4), (3, 4), (6, 3)])
def test_the_minibatchs_deviation_by_loops(batch, size):
    x = torch.randn(batch, 3, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = MinibatchDeviation(size)(x)
    assert torch.equal(found[:, :3], x)
    number = min(batch, size)
    for n in range(batch):
        group = [m for m in range(batch) if m % (batch // number) == n % (batch // number)]
        assert len(group) == number
        total = 0.0
        for c in range(3):
            for i in range(2):
                for j in range(2):
                    values = [x[m, c, i, j].item() for m in group]
                    mean = sum(values) / number
                    total += math.sqrt(sum((value - mean) ** 2 for value in values) / number + 1e-8)
        assert found[n, 3].flatten().tolist() == pytest.approx([total / 12] * 4, rel=1e-5)


def test_a_batch_without_whole_groups_is_refused():
    with pytest.raises(ValueError, match="batch of 6 cannot be divided into groups of 4"):
        MinibatchDeviation(4)(torch.zeros(6, 1, 4, 4))
