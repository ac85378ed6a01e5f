"""Average spectra against the sums that define the Fourier transform."""

import numpy as np
import pytest

from tools.metrics.spectra import average_spectrum, correlation_of_spectra, log_spectrum, spectral_correlation


def test_spectrum_is_the_defining_sum():
    image = np.random.default_rng(0).normal(size=(5, 6))
    centred = image - image.mean()
    expected = np.empty((5, 6))
    for u in range(5):
        for v in range(6):
            total = sum(
                centred[y, x] * np.exp(-2j * np.pi * ((u - 2) * y / 5 + (v - 3) * x / 6))
                for y in range(5)
                for x in range(6)
            )
            expected[u, v] = abs(total)
    expected = np.log(expected + 1e-6 * expected.max())
    assert log_spectrum(image) == pytest.approx(expected, abs=1e-6)


def test_average_and_correlation():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 4, 16, 16)).cumsum(-1)
    mean = sum(log_spectrum(image) for image in a) / 4
    assert average_spectrum(a) == pytest.approx(mean)
    other = average_spectrum(b)
    some = np.ones((16, 16), bool)
    some[8, 8] = False  # frequency 0
    x, y = (spectrum[some] - spectrum[some].mean() for spectrum in (mean, other))
    assert spectral_correlation(a, b) == pytest.approx((x * y).sum() / np.sqrt((x**2).sum() * (y**2).sum()))
    assert spectral_correlation(a, a) == pytest.approx(1)
    assert spectral_correlation(a, a * 3 + 7) == pytest.approx(1)  # brightness and contrast do not matter


def test_white_noise_has_no_spectrum_in_common():
    noise = np.random.default_rng(3).normal(size=(8, 64, 64))
    assert abs(spectral_correlation(noise[:4], noise[4:])) < 0.05


def test_a_checkerboard_lowers_it():
    """The artefact of transposed convolutions that the paper looks for."""
    images = np.random.default_rng(2).normal(size=(6, 32, 32)).cumsum(-1).cumsum(-2)
    board = np.indices((32, 32)).sum(0) % 2
    plain = spectral_correlation(images[:3], images[3:])
    marked = [spectral_correlation(images[:3], images[3:] + strength * board) for strength in (5, 50, 500)]
    assert plain > marked[0] > marked[1]


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="one size"):
        correlation_of_spectra(np.zeros((4, 4)), np.zeros((4, 5)))
    with pytest.raises(ValueError, match=r"image 1 has size \(1, 4\)"):
        average_spectrum([np.eye(4), np.eye(4)[:1]])
    with pytest.raises(ValueError, match="same value at all frequencies"):
        correlation_of_spectra(np.zeros((4, 4)), np.eye(4))
    with pytest.raises(ValueError, match="one value"):
        spectral_correlation(np.ones((2, 4, 4)), np.ones((2, 4, 4)))
    with pytest.raises(ValueError, match="got none"):
        average_spectrum(np.ones((0, 4, 4)))
    with pytest.raises(ValueError, match="finite"):
        log_spectrum(np.full((4, 4), np.nan))
