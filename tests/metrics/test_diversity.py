"""MS-SSIM within a set, against the formula with SciPy's filter and MONAI's metric, and over pairs."""

import itertools

import numpy as np
import pytest
import torch
from monai.metrics import MultiScaleSSIMMetric
from scipy.ndimage import gaussian_filter

from tools.metrics.diversity import WEIGHTS, ms_ssim, ms_ssim_diversity, scales_that_fit


def faces(n, shape, variation, seed=0):
    """Images in [-1, 1] that share a pattern and differ by as much of their own."""
    rng = np.random.default_rng(seed)
    shared, *own = (gaussian_filter(rng.normal(size=shape), 2) for _ in range(n + 1))
    stack = np.stack([shared + variation * o for o in own])
    return stack / np.abs(stack).max()


def by_monai(a, b, scales):
    """In [-1, 1], counted from -1."""
    weights = np.array(WEIGHTS[:scales]) / sum(WEIGHTS[:scales])
    metric = MultiScaleSSIMMetric(a.ndim, data_range=2.0, weights=weights.tolist())
    return metric(*(torch.from_numpy(v + 1).float()[None, None] for v in (a, b))).item()


def by_formula(a, b, scales):
    """Wang, Simoncelli and Bovik 2003, in [0, 1], float64."""

    def halved(v):
        v = v[tuple(slice(n // 2 * 2) for n in v.shape)]
        pairs = [size for n in v.shape for size in (n // 2, 2)]
        return v.reshape(pairs).mean(tuple(range(1, 2 * v.ndim, 2)))

    def mean(v):  # sigma 1.5, window 11, where it lies inside
        return gaussian_filter(v, 1.5, truncate=5 / 1.5)[(slice(5, -5),) * v.ndim]

    terms = []
    for scale in range(scales):
        if scale:
            a, b = halved(a), halved(b)
        covariance, variances = mean(a * b) - mean(a) * mean(b), mean(a**2) - mean(a) ** 2 + mean(b**2) - mean(b) ** 2
        terms.append((2 * covariance + 0.03**2) / (variances + 0.03**2))
    terms[-1] = terms[-1] * (2 * mean(a) * mean(b) + 0.01**2) / (mean(a) ** 2 + mean(b) ** 2 + 0.01**2)
    weights = np.array(WEIGHTS[:scales]) / sum(WEIGHTS[:scales])
    return np.prod([term.mean() ** weight for term, weight in zip(terms, weights, strict=True)])


@pytest.mark.parametrize(("shape", "scales"), [((176, 180), 5), ((99, 120), 4), ((44, 45), 3), ((44, 45, 46), 3)])
def test_ms_ssim_is_the_formula_and_monais(shape, scales):
    a, b = faces(2, shape, 0.7)
    assert scales_that_fit(shape) == scales
    x, y = ((v + 1) / 2 for v in (a, b))
    given = [torch.from_numpy(v) for v in (x, y)]
    assert ms_ssim(*given, scales) == pytest.approx(by_formula(x, y, scales), abs=1e-10)
    # MONAI computes in float32, with a dense window
    assert ms_ssim(*given, scales) == pytest.approx(by_monai(a, b, scales), abs=1e-4)
    assert ms_ssim(given[0], given[0], scales) == pytest.approx(1)


@pytest.mark.parametrize(("side", "scales"), [(11, 1), (21, 1), (22, 2), (88, 4), (175, 4), (176, 5), (512, 5)])
def test_the_coarsest_scale_holds_a_window(side, scales):
    assert scales_that_fit((side, 600)) == scales


def test_anticorrelated_images_are_not_alike():
    a = faces(1, (44, 44), 1.0)[0]
    assert ms_ssim(*(torch.from_numpy((v + 1) / 2).float() for v in (a, -a)), 3) == 0


def test_few_images_give_all_pairs():
    images = faces(4, (48, 50), 1.0)
    expected = [by_formula((a + 1) / 2, (b + 1) / 2, 3) for a, b in itertools.combinations(images, 2)]
    result = ms_ssim_diversity(images)
    assert result.ms_ssim == pytest.approx(np.mean(expected), abs=1e-5)
    assert result.std == pytest.approx(np.std(expected), abs=1e-5)
    assert (result.pairs, result.scales) == (6, 3)


def test_pairs_are_different_images_drawn_once():
    class Stored:
        """Images that are read when asked for."""

        def __init__(self):
            self.read = []

        def __len__(self):
            return 30

        def __getitem__(self, i):
            self.read.append(i)
            return np.full((11, 11), i / 30)

    def drawn(seed):
        stored = Stored()
        with pytest.warns(UserWarning, match="of 30 images .* have one value throughout"):
            assert ms_ssim_diversity(stored, pairs=200, generator=np.random.default_rng(seed)).pairs == 200
        reads = stored.read[1:]  # the first told the shape
        return list(zip(reads[::2], reads[1::2], strict=True))

    first = drawn(1)
    assert len({frozenset(pair) for pair in first}) == 200
    assert all(0 <= a < b < 30 for a, b in first)
    assert {i for pair in first for i in pair} == set(range(30))
    assert first == drawn(1) != drawn(2)


def test_less_variation_is_less_diverse():
    values = [ms_ssim_diversity(faces(5, (44, 44), v)).ms_ssim for v in (0.0, 0.2, 0.5, 2.0)]
    assert values[0] == pytest.approx(1)
    assert values == sorted(values, reverse=True)


def test_the_unit_does_not_matter():
    images = faces(3, (44, 44), 0.5)
    in_hu = torch.from_numpy(images * 812 - 212)
    assert ms_ssim_diversity(in_hu, (-1024, 600)).ms_ssim == pytest.approx(ms_ssim_diversity(images).ms_ssim, abs=1e-5)


def test_bad_input_is_named():
    images = faces(3, (12, 12), 0.5)
    with pytest.raises(ValueError, match="got 1"):
        ms_ssim_diversity(images[:1])
    with pytest.raises(ValueError, match="pairs is 0"):
        ms_ssim_diversity(images, pairs=0)
    with pytest.raises(ValueError, match="low < high"):
        ms_ssim_diversity(images, (1, 1))
    with pytest.raises(ValueError, match=r"got shape \(10, 12\)"):
        ms_ssim_diversity(images[:, :10])
    with pytest.raises(ValueError, match=r"image 2 has shape \(12, 11\)"):
        ms_ssim_diversity([*images[:2], images[2, :, :11]])
    with pytest.raises(ValueError, match="lie outside the range"):
        ms_ssim_diversity(images * 1000)
    images[1, 0, 0] = np.nan
    with pytest.raises(ValueError, match="image 1 holds NaN"):
        ms_ssim_diversity(images)
