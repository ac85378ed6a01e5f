"""The filters of StyleGAN3 against SciPy, and its activation against steps that are written out."""

import numpy as np
import pytest
import scipy.signal
import torch

from tools.layers.alias_free import FilteredLeakyReLU, low_pass, radial_low_pass, resampling_matrix


def response(kernel, rate, frequency, angle=0.0):
    """Amplitude of a wave that a kernel [t, t] lets pass."""
    position = (np.arange(len(kernel)) - (len(kernel) - 1) / 2) / rate
    along = position[None] * np.cos(angle) + position[:, None] * np.sin(angle)
    return (kernel * np.cos(2 * np.pi * frequency * along)).sum()


@pytest.mark.parametrize(("taps", "rate"), [(12, 32), (24, 64)])
def test_low_pass_filters(taps, rate):
    cutoff, half_width = 4.0, 5.0
    one = low_pass(taps, cutoff, half_width, rate).numpy()
    both = radial_low_pass(taps, cutoff, half_width, rate).numpy()
    assert one.sum() == pytest.approx(1)
    assert both.sum() == pytest.approx(1)
    for kernel in (both.T, np.rot90(both), both[::-1]):
        np.testing.assert_allclose(kernel, both, atol=1e-15)
    for kernel in (np.outer(one, one), both):
        assert response(kernel, rate, cutoff) == pytest.approx(0.5, abs=0.06)
        assert response(kernel, rate, cutoff + 2 * half_width) == pytest.approx(0, abs=0.03)
    for frequency in (cutoff, cutoff + half_width):  # the radial one knows no direction, the other does
        differences = [
            abs(response(kernel, rate, frequency) - response(kernel, rate, frequency, np.pi / 4))
            for kernel in (both, np.outer(one, one))
        ]
        assert differences[0] < 6e-3
        assert differences[1] > 0.015
    assert low_pass(1, cutoff, half_width, rate).tolist() == [1]


def test_radial_filter_is_the_windowed_transform_of_a_disc():
    """The integral over the frequencies of the disc, added up on a grid, against the Bessel function's form."""
    taps, cutoff, half_width, rate = 8, 4.0, 5.0, 32
    grid = (np.arange(400) + 0.5) / 400 * 2 * cutoff - cutoff
    u, v = np.meshgrid(grid, grid)
    inside = u**2 + v**2 < cutoff**2
    position = (np.arange(taps) - (taps - 1) / 2) / rate
    disc = np.array([[np.cos(2 * np.pi * (u * x + v * y))[inside].sum() for x in position] for y in position])
    attenuation = scipy.signal.kaiser_atten(taps, 2 * half_width / (rate / 2))
    window = scipy.signal.get_window(("kaiser", scipy.signal.kaiser_beta(attenuation)), taps, fftbins=False)
    expected = disc * np.outer(window, window)
    found = radial_low_pass(taps, cutoff, half_width, rate).numpy()
    np.testing.assert_allclose(found, expected / expected.sum(), atol=2e-4 * found.max())


@pytest.mark.parametrize(("up", "down"), [(1, 1), (2, 1), (1, 2), (3, 2)])
def test_matrices_are_upfirdn(up, down):
    taps = torch.randn(5, dtype=torch.float64)
    x = torch.randn(9, dtype=torch.float64)
    # SciPy has up - 1 zeros fewer at the end
    matrix = resampling_matrix(taps, 9, up, down, before=4, after=4)
    expected = scipy.signal.upfirdn(taps.numpy(), x.numpy(), up, down)
    made = (matrix @ x).numpy()
    np.testing.assert_allclose(made[: len(expected)], expected, atol=1e-14)
    np.testing.assert_allclose(made[len(expected) :], 0, atol=1e-14)
    cut = resampling_matrix(taps, 9, up, 1, before=-2, after=-3) @ x
    full = resampling_matrix(taps, 9, up, 1, before=4, after=4) @ x
    torch.testing.assert_close(cut, full[6 : len(full) - 7])


@pytest.mark.parametrize("radial", [False, True])
@pytest.mark.parametrize(("size", "size_out", "up", "down"), [(14, 12, 2, 2), (12, 16, 4, 2), (20, 12, 2, 2)])
def test_activation_is_upfirdn_leaky_relu_upfirdn(size, size_out, up, down, radial):
    enlarging = low_pass(6 * up, 2.0, 3.0, 16)
    reducing = (radial_low_pass if radial else low_pass)(6 * down, 3.0, 4.0, 16)
    layer = FilteredLeakyReLU(size, size_out, up, down, enlarging, reducing)
    x = torch.randn(2, 3, size, size)
    before, after = layer.padding
    kernel = reducing.numpy() if radial else np.outer(reducing, reducing)
    made = layer(x)
    assert made.shape == (2, 3, size_out, size_out)
    for image, result in zip(x.flatten(0, 1).double().numpy(), made.flatten(0, 1).numpy(), strict=True):
        zeros = np.zeros((size * up, size * up))
        zeros[::up, ::up] = image
        zeros = np.pad(zeros, max(before, 0))[: size * up + 100, : size * up + 100]
        zeros = zeros[max(-before, 0) :, max(-before, 0) :]
        length = size * up + before + after
        zeros = np.pad(zeros, (0, 50))[:length, :length]
        if after < 0:
            assert length <= size * up + before
        wide = scipy.signal.convolve2d(zeros, np.outer(enlarging, enlarging) * up**2, mode="valid")
        wide = np.where(wide > 0, wide, 0.2 * wide) * np.sqrt(2)
        np.testing.assert_allclose(
            result, scipy.signal.convolve2d(wide, kernel, mode="valid")[::down, ::down], atol=2e-6
        )


def test_a_constant_goes_through_as_through_the_activation():
    layer = FilteredLeakyReLU(30, 30, 2, 2, low_pass(12, 2.0, 6.0, 32), low_pass(12, 2.0, 6.0, 32))
    for value, expected in ((1.0, 2**0.5), (-1.0, -0.2 * 2**0.5)):
        middle = layer(torch.full((1, 1, 30, 30), value))[..., 8:-8, 8:-8]
        torch.testing.assert_close(middle, torch.full_like(middle, expected), rtol=2e-2, atol=0)
