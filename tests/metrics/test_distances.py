"""Distances between feature sets against closed forms and slower direct formulas."""

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from tests.metrics.reference import fid_features_to_statistics, fid_statistics_to_metric, kid_features_to_metric
from tools.metrics import distances
from tools.metrics.distances import frechet_distance, kernel_distance, maximum_mean_discrepancy


def normal(n, d, seed, shift=0.0, scale=1.0):
    return np.random.default_rng(seed).normal(shift, scale, (n, d))


def frechet_by_sqrtm(x, y):
    root = sqrtm(np.cov(x, rowvar=False) @ np.cov(y, rowvar=False)).real
    traces = np.trace(np.cov(x, rowvar=False)) + np.trace(np.cov(y, rowvar=False))
    return ((x.mean(0) - y.mean(0)) ** 2).sum() + traces - 2 * np.trace(root)


def mmd_by_loops(x, y, sigma, unbiased, factor=1):
    def k(p, q):
        return np.exp(-((p - q) ** 2).sum() / (factor * sigma**2))

    def within(s):
        pairs = [(i, j) for i in range(len(s)) for j in range(len(s)) if not (unbiased and i == j)]
        return np.mean([k(s[i], s[j]) for i, j in pairs])

    return within(x) + within(y) - 2 * np.mean([k(p, q) for p in x for q in y])


@pytest.mark.parametrize(("n", "m"), [(200, 150), (200, 7), (9, 200)])
def test_frechet_agrees_with_matrix_square_root(n, m):
    mixing = np.random.default_rng(0).normal(size=(6, 6))
    x, y = normal(n, 6, 1) @ mixing, normal(m, 6, 2, shift=0.3)
    assert frechet_distance(x, y) == pytest.approx(frechet_by_sqrtm(x, y), rel=1e-8)


def test_frechet_of_gaussians_with_known_moments():
    # Whitened samples have exactly mean 0 and covariance 1, so the closed form holds to rounding:
    # |mu|^2 + sum (sqrt(s_r) - sqrt(s_g))^2 for commuting covariances.
    def whitened(n, seed):
        q = np.linalg.qr(normal(n, 4, seed) - normal(n, 4, seed).mean(0))[0]
        return q * np.sqrt(n - 1)

    a, b, mu = np.array([1.0, 2.0, 3.0, 4.0]), np.array([2.0, 2.0, 0.5, 0.0]), np.array([1.0, -1.0, 0.0, 2.0])
    value = frechet_distance(whitened(50, 0) * a, whitened(80, 1) * b + mu)
    assert value == pytest.approx((mu**2).sum() + ((a - b) ** 2).sum(), rel=1e-10)


def test_frechet_with_fewer_samples_than_dimensions_is_exact():
    # Embedding in many dimensions by an isometry changes no distance; sqrtm is reliable in the few.
    x, y = normal(6, 3, 0), normal(5, 3, 1, shift=0.5)
    isometry = np.linalg.qr(normal(300, 3, 2))[0].T
    assert frechet_distance(x @ isometry, y @ isometry) == pytest.approx(frechet_by_sqrtm(x, y), rel=1e-8)


def test_identical_sets_are_at_distance_zero():
    for n, d in ((10, 40), (40, 10)):
        x = normal(n, d, 3, shift=5)
        assert frechet_distance(x, x) == pytest.approx(0, abs=1e-10)
        assert maximum_mean_discrepancy(x, x[::-1].copy(), unbiased=False) == pytest.approx(0, abs=1e-12)


def test_constant_features_have_a_frechet_distance_but_no_bandwidth():
    assert frechet_distance(np.zeros((3, 2)), np.ones((4, 2))) == pytest.approx(2)
    with pytest.raises(ValueError, match=r"median distance .* is zero"):
        maximum_mean_discrepancy(np.ones((3, 2)), np.ones((4, 2)))


@pytest.mark.parametrize("unbiased", [True, False])
@pytest.mark.parametrize("block", [3, 2048])
def test_mmd_agrees_with_the_formula(unbiased, block, monkeypatch):
    monkeypatch.setattr(distances, "BLOCK", block)
    x, y = normal(8, 5, 0), normal(11, 5, 1, shift=0.7)
    value = maximum_mean_discrepancy(x, y, bandwidth=1.7, unbiased=unbiased)
    assert value == pytest.approx(mmd_by_loops(x, y, 1.7, unbiased), rel=1e-12)
    value = maximum_mean_discrepancy(x, y, bandwidth=1.7, unbiased=unbiased, kernel="gaussian")
    assert value == pytest.approx(mmd_by_loops(x, y, 1.7, unbiased, factor=2), rel=1e-12)


def test_mmd_is_that_of_the_papers_code():
    """Its statistic written out: unbiased, exp(-alpha d^2) with alpha = 1 / median^2 of all pooled distances.

    Its median counts the zero distances of samples to themselves and is the lower of two middle values, which moves it
    by less and less the more samples there are; with its median the value is the same.
    """
    x, y = normal(60, 6, 0), normal(50, 6, 1, shift=0.4)
    n, m = len(x), len(y)
    pooled = np.concatenate([x, y])
    distances = np.sqrt(((pooled[:, None] - pooled[None]) ** 2).sum(-1))
    median = np.sort(distances.ravel())[(distances.size - 1) // 2]
    kernels = np.exp(-(distances**2) / median**2)
    within = (kernels[:n, :n].sum() - n) / (n * (n - 1)) + (kernels[n:, n:].sum() - m) / (m * (m - 1))
    released = within - 2 * kernels[:n, n:].sum() / (n * m)
    assert maximum_mean_discrepancy(x, y, bandwidth=median) == pytest.approx(released, rel=1e-12)
    assert maximum_mean_discrepancy(x, y) == pytest.approx(released, rel=0.01)
    assert maximum_mean_discrepancy(x, y, kernel="gaussian") < 0.95 * released
    with pytest.raises(ValueError, match="kernel is 'cubic', expected 'paper' or 'gaussian'"):
        maximum_mean_discrepancy(x, y, kernel="cubic")


def test_mmd_of_sets_far_apart_says_only_that_they_are():
    x = normal(40, 3, 0)
    values = [maximum_mean_discrepancy(x, normal(40, 3, 1, shift=shift)) for shift in (100, 1000)]
    assert values == pytest.approx([2 - 2 / np.e] * 2, rel=0.02)


def test_mmd_takes_the_median_of_pooled_distances():
    x, y = normal(8, 5, 0), normal(9, 5, 1)
    pooled = np.concatenate([x, y])
    median = np.median([np.linalg.norm(pooled[i] - pooled[j]) for i in range(17) for j in range(i)])
    assert maximum_mean_discrepancy(x, y) == pytest.approx(maximum_mean_discrepancy(x, y, bandwidth=median), rel=1e-12)


def test_mmd_median_of_many_samples_is_close_to_that_of_all(monkeypatch):
    x, y = normal(300, 4, 0), normal(300, 4, 1, shift=1)
    whole = maximum_mean_discrepancy(x, y)
    monkeypatch.setattr(distances, "MAX_MEDIAN_SAMPLES", 200)
    assert maximum_mean_discrepancy(x, y) == pytest.approx(whole, rel=0.1)


def test_unbiased_mmd_of_equal_distributions_averages_to_zero():
    values = [maximum_mean_discrepancy(normal(20, 3, 2 * s), normal(20, 3, 2 * s + 1)) for s in range(60)]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(len(values))
    assert min(values) < 0


def test_tensors_and_arrays_give_the_same():
    x, y = torch.from_numpy(normal(8, 5, 0)), torch.from_numpy(normal(9, 5, 1)).requires_grad_()
    for distance in (frechet_distance, maximum_mean_discrepancy):
        value = distance(x, y)
        assert type(value) is float
        assert value == distance(x.numpy(), y.detach().numpy())


@pytest.mark.parametrize("distance", [frechet_distance, maximum_mean_discrepancy])
def test_bad_features_are_named(distance):
    good = normal(5, 3, 0)
    with pytest.raises(ValueError, match=r"synthetic features have 1 sample"):
        distance(good, good[:1])
    with pytest.raises(ValueError, match="real features have 3 dimensions and synthetic features 2"):
        distance(good, good[:, :2])
    with pytest.raises(ValueError, match=r"real features must be \[samples, dimensions\], got shape \(5, 3, 1\)"):
        distance(good[..., None], good)
    bad = good.copy()
    bad[1, 1], bad[2, 0] = np.nan, np.inf
    with pytest.raises(ValueError, match="synthetic features of 2 of 5 samples are not finite"):
        distance(good, bad)


@pytest.mark.parametrize("bandwidth", [0, -1.0, float("nan")])
def test_bandwidth_must_be_positive(bandwidth):
    with pytest.raises(ValueError, match="bandwidth must be positive"):
        maximum_mean_discrepancy(normal(3, 2, 0), normal(3, 2, 1), bandwidth=bandwidth)


@pytest.mark.parametrize(
    ("n", "m", "d"), [(60, 50, 50), (50, 60, 80), (90, 20, 40), (20, 90, 40), (90, 80, 40), (2, 9, 4)]
)
@pytest.mark.parametrize("decay", [0, 0.5, 2])
def test_both_routes_to_the_frechet_distance_agree(n, m, d, decay, monkeypatch):
    """With covariances from round to nearly singular, where the first route is left on its own."""
    scale = np.arange(1.0, d + 1) ** -decay
    x, y = normal(n, d, 1) * scale, normal(m, d, 2, shift=0.1) * scale
    chosen = frechet_distance(x, y)
    monkeypatch.setattr(distances, "FRECHET_TOLERANCE", -1)
    assert chosen == pytest.approx(frechet_distance(x, y), rel=1e-7)


def test_singular_values_are_taken_only_where_rounding_matters(monkeypatch):
    taken = []
    svdvals = torch.linalg.svdvals
    monkeypatch.setattr(torch.linalg, "svdvals", lambda matrix: taken.append(matrix) or svdvals(matrix))
    x = normal(40, 30, 1)
    frechet_distance(x, normal(40, 30, 2))
    frechet_distance(x[:20], normal(25, 30, 2))
    assert not taken
    assert frechet_distance(x, x) < 1e-10
    assert taken


def test_frechet_is_torch_fidelitys():
    x, y = normal(300, 40, 1), normal(260, 40, 2, shift=0.2, scale=1.3)
    statistics = [fid_features_to_statistics(torch.from_numpy(f)) for f in (x, y)]
    reference = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    assert frechet_distance(x, y) == pytest.approx(reference, rel=1e-6)


def kid_by_loops(x, y):
    def k(p, q):
        return (p @ q / len(p) + 1) ** 3

    def within(s):
        return np.mean([k(s[i], s[j]) for i in range(len(s)) for j in range(len(s)) if i != j])

    return within(x) + within(y) - 2 * np.mean([k(p, q) for p in x for q in y])


@pytest.mark.parametrize("block", [2048, 7])
def test_kernel_distance_agrees_with_the_formula(monkeypatch, block):
    monkeypatch.setattr(distances, "BLOCK", block)
    x, y = normal(30, 5, 1), normal(20, 5, 2, shift=0.5)
    assert kernel_distance(x, y) == pytest.approx(kid_by_loops(x, y), rel=1e-9)


def test_kernel_distance_is_torch_fidelitys_on_one_subset_of_all():
    x, y = (torch.from_numpy(f) for f in (normal(50, 8, 1), normal(50, 8, 2, shift=0.3)))
    reference = kid_features_to_metric(
        x, y, kid_subsets=1, kid_subset_size=50, kid_degree=3, kid_gamma=None, kid_coef0=1, verbose=False, rng_seed=0
    )
    assert kernel_distance(x, y) == pytest.approx(reference["kernel_inception_distance_mean"], rel=1e-6)
