"""Layers by slabs against the same layers of the whole, where slabs meet and where the volume ends."""

import pytest
import torch
from torch import nn

from tools.layers.slabs import Kept

X = torch.randn(2, 4, 13, 5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("length", [1, 2, 5, 13, 20])
@pytest.mark.parametrize(
    ("layer", "reach", "factor"),
    [
        (nn.Conv3d(4, 3, 3, padding=1), 1, 1),
        (nn.Conv3d(4, 3, 5, padding=2), 2, 1),
        (nn.ConvTranspose3d(4, 3, 4, stride=2, padding=1), 1, 2),
        (nn.Upsample(scale_factor=2.0, mode="trilinear"), 1, 2),
        (nn.SiLU(), 0, 1),
    ],
)
def test_a_layer_is_that_of_the_whole(layer, reach, factor, length):
    layer = layer.double()
    with torch.no_grad():
        close(Kept(X, length).then(layer, reach, factor).kept().whole, layer(X))


@pytest.mark.parametrize("length", [1, 4, 20])
@pytest.mark.parametrize("affine", [True, False])
def test_a_normalisation_is_that_of_the_whole(length, affine):
    norm = nn.GroupNorm(2, 4, affine=affine).double()
    if affine:
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    with torch.no_grad():
        close(Kept(X, length).normalised(norm).kept().whole, norm(X))


def test_any_slab_of_a_chain_can_be_asked_for():
    conv, norm = nn.Conv3d(4, 4, 3, padding=1).double(), nn.GroupNorm(2, 4).double()
    start = Kept(X, 3).remembered()
    chain = start.then(conv, reach=1).normalised(norm).then(conv, reach=1) + start
    with torch.no_grad():
        expected = conv(norm(conv(X))) + X
        for first in range(13):
            for end in range(first + 1, 14):
                close(chain.slab(first, end), expected[:, :, first:end])


@pytest.mark.parametrize("length", [2, 3, 12])
def test_a_result_takes_the_place_of_what_it_is_computed_from(length):
    """Although a slab needs two slices of the one before, as they were."""
    conv = nn.Conv3d(4, 4, 5, padding=2).double()
    given = X.clone()
    with torch.no_grad():
        made = Kept(given, length).then(conv, reach=2).kept(into=given)
        close(made.whole, conv(X))
    assert made.whole.data_ptr() == given.data_ptr()


def test_large_numbers_in_half_precision_do_not_overflow_in_the_statistics():
    x = (1000 * X).half()
    made = Kept(x, 4).normalised(nn.GroupNorm(2, 4)).kept().whole
    assert made.dtype == torch.float16
    torch.testing.assert_close(made.float(), nn.functional.group_norm(x.float(), 2), rtol=0, atol=4e-3)


def test_length_is_checked():
    with pytest.raises(ValueError, match="length is 0, expected 1 or more"):
        Kept(X, 0)
