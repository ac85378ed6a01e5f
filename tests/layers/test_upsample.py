"""The transposed form of upsampling and convolution equals the two steps one after the other."""

import pytest
import torch
from torch import nn

from tools.layers.few_rows import FewRowsLinear
from tools.layers.upsample import UpsampleConv3d


@pytest.fixture
def pair():
    """The layer, always in its transposed form, and torch's two layers with the same weights."""
    torch.manual_seed(0)
    layer = UpsampleConv3d(3, 5, fuse_from=1).double()
    plain = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv3d(3, 5, 3, padding=1)).double()
    plain[1].load_state_dict(layer.state_dict())
    return layer, plain


@pytest.mark.parametrize("shape", [(4, 4, 4), (1, 5, 6), (7, 2, 3)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
def test_output_and_gradients_equal_the_plain_form(pair, shape, layout):
    layer, plain = pair
    layer.to(memory_format=layout)
    x = torch.randn(2, 3, *shape, dtype=torch.float64, requires_grad=True)
    inputs = (x, *layer.parameters())
    outputs, expected = layer(x), plain(x)
    torch.testing.assert_close(outputs, expected, rtol=0, atol=1e-12)
    towards = torch.randn_like(outputs)
    for ours, theirs in zip(
        torch.autograd.grad(outputs, inputs, towards),
        torch.autograd.grad(expected, (x, *plain.parameters()), towards),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-11)


def test_small_inputs_take_the_plain_form(pair):
    layer, plain = pair
    layer.fuse_from = 8
    x = torch.randn(1, 3, 4, 4, 4, dtype=torch.float64)
    assert torch.equal(layer(x), plain(x))


def test_many_weights_for_few_rows_are_not_rounded():
    layer, x = FewRowsLinear(3, 5), torch.randn(2, 3)
    expected = nn.functional.linear(x, layer.weight, layer.bias)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer(x), expected)
        assert layer(x.bfloat16()).dtype == torch.float32
    assert torch.equal(torch.jit.script(layer)(x), expected)


def test_state_dict_is_that_of_a_convolution():
    assert list(UpsampleConv3d(2, 4).state_dict()) == ["weight", "bias"]
