"""Filtered enlargement and reduction against SciPy and as transposes of each other."""

import numpy as np
import pytest
import scipy.signal
import torch

from tools.layers.equalised import set_fused
from tools.layers.filters import BINOMIAL, Filter, resample


def images(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(("up", "down"), [(1, 1), (3, 2), (2, 1), (1, 2), (2, 3)])
def test_resampling_is_scipys_along_each_axis(up, down):
    taps = torch.tensor([0.5, -1.0, 2.0, 3.0, 0.25], dtype=torch.float64)
    x = images(2, 3, 9, 7)
    expected = x.numpy()
    for axis in (2, 3):
        expected = scipy.signal.upfirdn(taps.numpy(), expected, up, down, axis=axis)
    found = resample(x, taps, up, down, padding=(4, 4)).numpy()
    # SciPy stops before the zeros that follow the last pixel
    np.testing.assert_allclose(found[:, :, : expected.shape[2], : expected.shape[3]], expected, rtol=0, atol=1e-13)
    rest = found.copy()
    rest[:, :, : expected.shape[2], : expected.shape[3]] = 0
    assert abs(rest).max() < 1e-13


def test_a_filter_of_two_axes_is_the_product_of_two_if_it_is_one():
    taps = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)
    x = images(1, 2, 8, 8)
    product = resample(x, taps[:, None] * taps, 2, 1, (2, 1))
    torch.testing.assert_close(product, resample(x, taps, 2, 1, (2, 1)), rtol=0, atol=1e-13)
    turned = torch.arange(9, dtype=torch.float64).view(3, 3)
    found = resample(x, turned, padding=(2, 2))[0, 1].numpy()
    np.testing.assert_allclose(found, scipy.signal.convolve2d(x[0, 1].numpy(), turned.numpy()), rtol=0, atol=1e-13)


def test_padding_may_cut_off():
    x = images(1, 1, 8, 8)
    taps = torch.tensor([1.0], dtype=torch.float64)
    assert torch.equal(resample(x, taps, padding=(-1, -2)), x[:, :, 1:-2, 1:-2])


def test_a_doubled_constant_is_constant_inside():
    y = Filter().doubled(torch.ones(1, 1, 8, 8))
    assert torch.equal(y[:, :, 1:-1, 1:-1], torch.ones(1, 1, 14, 14))
    assert torch.equal(y[0, 0, 0, 1:-1], torch.full((14,), 0.75))
    halved = Filter().halved(torch.ones(1, 1, 16, 16))
    torch.testing.assert_close(halved[:, :, 1:-1, 1:-1], torch.ones(1, 1, 6, 6))


def test_doubling_is_four_times_the_transpose_of_halving():
    low, high = images(2, 3, 8, 6), images(2, 3, 16, 12, seed=1)
    filtered = Filter().double()
    up, down = (filtered.doubled(low) * high).sum(), (low * filtered.halved(high)).sum()
    torch.testing.assert_close(up, 4 * down, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["blurred", "halved"])
def test_a_filter_in_one_pass_is_that_of_two_to_the_gradient_of_its_gradient(name):
    one, two = Filter([1.0, 2.0, 4.0, 3.0]).double(), Filter([1.0, 2.0, 4.0, 3.0]).double()
    two.fused = False

    def filtered(module, x):
        return module.blurred(x, 2, 2, gain=3) if name == "blurred" else module.halved(x, gain=3)

    x = images(1, 2, 4, 6).requires_grad_()
    torch.testing.assert_close(filtered(one, x), filtered(two, x), rtol=1e-12, atol=1e-12)
    assert torch.autograd.gradcheck(lambda x: filtered(one, x), x)
    assert torch.autograd.gradgradcheck(lambda x: filtered(one, x) ** 2, x)
    with torch.no_grad():
        torch.testing.assert_close(filtered(one, x), filtered(two, x), rtol=1e-12, atol=1e-12)


def test_the_taps_are_those_of_the_paper():
    torch.testing.assert_close(Filter(BINOMIAL).taps, torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8)
    assert not Filter().state_dict()


@pytest.mark.parametrize("taps", [(1, 3, 3, 1), (1, 3, 3, 3, 1), (1, 2, 4)])
def test_volumes_are_filtered_along_three_axes(taps):
    """By SciPy, and by matrices as by convolutions; an odd filter need not be symmetric."""
    module = Filter(taps).double()
    module.taps = torch.tensor(taps, dtype=torch.float64) / sum(taps)
    x = images(2, 3, 6, 4, 8)
    for found, up, down, (before, after) in (
        (module.blurred(x, 2, 1), 1, 1, (2, 1)),
        (module.doubled(x) / 8, 2, 1, (len(taps) // 2, (len(taps) - 1) // 2)),
        (module.halved(x), 1, 2, ((len(taps) - 1) // 2, len(taps) // 2 - 1)),
    ):
        expected = x.numpy()
        for axis in (2, 3, 4):
            spread = np.zeros([n * up if a == axis else n for a, n in enumerate(expected.shape)])
            spread[tuple(slice(None, None, up if a == axis else 1) for a in range(5))] = expected
            padded = np.pad(spread, [(before, after) if a == axis else (0, 0) for a in range(5)])
            expected = scipy.signal.oaconvolve(
                padded, module.taps.numpy().reshape([-1 if a == axis else 1 for a in range(5)]), "valid"
            )
            expected = expected[tuple(slice(None, None, down if a == axis else 1) for a in range(5))]
        np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-13)
    fused, plain = module.halved(x), set_fused(module, False).halved(x)
    torch.testing.assert_close(fused, plain, rtol=0, atol=1e-14)


@pytest.mark.parametrize("taps", [(1, 3, 3, 1), (1, 3, 3, 3, 1)])
def test_doubling_volumes_is_eight_times_the_transpose_of_halving(taps):
    low, high = images(2, 3, 4, 3, 5), images(2, 3, 8, 6, 10, seed=1)
    filtered = Filter(taps).double()
    up, down = (filtered.doubled(low) * high).sum(), (low * filtered.halved(high)).sum()
    torch.testing.assert_close(up, 8 * down, rtol=1e-12, atol=1e-12)
