"""Radiomic features: the numbers of the IBSI's digital phantom, the formulas by loops, and a distance that ranks."""

import itertools
import math

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.networks.layers import GaussianFilter

from tests.features.test_untrained import bodies
from tools.features.radiomics import (
    BANDS,
    BINS,
    COOCCURRENCE,
    DETAIL_BINS,
    FIRST_ORDER,
    RadiomicFeatures,
    cooccurrence,
    cooccurrence_counts,
    first_order,
    grey_levels,
    haar_bands,
)
from tools.metrics.distances import frechet_distance

OUTSIDE = 7
# the digital phantom of the IBSI (arXiv:1612.07003): slices of 4 rows of 5 voxels, 74 of 80 in the region of interest
PHANTOM = np.array(
    [
        [[1, 4, 4, 1, 1], [1, 4, 6, 1, 1], [4, 1, 6, 4, 1], [4, 4, 6, 4, 1]],
        [[1, 4, 4, 1, 1], [1, 1, 6, 1, 1], [OUTSIDE, 1, 3, 1, 1], [4, 4, 6, 1, 1]],
        [[1, 4, 4, OUTSIDE, OUTSIDE], [1, 1, 1, 1, 1], [1, 1, OUTSIDE, 1, 1], [1, 1, 6, 1, 1]],
        [[1, 4, 4, OUTSIDE, OUTSIDE], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 6, 1, 1]],
    ]
)
# the reference values of arXiv:1612.07003; texture in 3D, merged over directions
STATISTICS = {
    "mean": 2.15,
    "variance": 3.05,
    "skewness": 1.08,
    "excess kurtosis": -0.355,
    "median": 1,
    "minimum": 1,
    "10th percentile": 1,
    "90th percentile": 4,
    "maximum": 6,
    "interquartile range": 3,
    "range": 5,
    "mean absolute deviation": 1.55,
    "robust mean absolute deviation": 1.11,
    "energy": 567 / 74,
    "entropy": 1.27,
    "uniformity": 0.512,
}
TEXTURE = {
    "joint maximum": 0.509,
    "joint average": 2.15,
    "joint variance": 3.13,
    "joint entropy": 2.57,
    "difference average": 1.38,
    "difference variance": 3.21,
    "difference entropy": 1.64,
    "sum entropy": 2.11,
    "angular second moment": 0.291,
    "contrast": 5.12,
    "inverse difference": 0.688,
    "inverse difference moment": 0.631,
    "correlation": 0.183,
    "cluster shade": 17.4,
    "cluster prominence": 147,
    "information correlation 1": -0.0288,
}


@pytest.fixture(scope="module")
def features():
    return RadiomicFeatures()


def by_name(row):
    return dict(zip(RadiomicFeatures.names, row.tolist(), strict=True))


def test_statistics_of_the_digital_phantom():
    values = PHANTOM[PHANTOM != OUTSIDE]
    assert len(values) == 74
    found = dict(zip(FIRST_ORDER, first_order(values, np.bincount(values)), strict=True))
    assert found == {name: pytest.approx(value, rel=4e-3) for name, value in STATISTICS.items()}


def test_texture_of_the_digital_phantom():
    counts = cooccurrence_counts((PHANTOM - 1).astype(np.uint16), 7)[:6, :6]  # without the voxels outside
    found = dict(zip(COOCCURRENCE, cooccurrence(counts), strict=True))
    assert found == {name: pytest.approx(value, rel=4e-3) for name, value in TEXTURE.items()}


def test_pairs_by_loops():
    levels = np.random.default_rng(0).integers(0, 5, (4, 3, 6)).astype(np.uint16)
    expected = np.zeros((5, 5), int)
    places = list(itertools.product(*map(range, levels.shape)))
    for p, q in itertools.product(places, places):
        if max(abs(a - b) for a, b in zip(p, q, strict=True)) == 1:
            expected[levels[p], levels[q]] += 1
    assert np.array_equal(cooccurrence_counts(levels, 5), expected)


def test_slabs_change_nothing(monkeypatch):
    levels = np.random.default_rng(0).integers(0, 32, (9, 5, 4)).astype(np.uint16)
    whole = cooccurrence_counts(levels, 32)
    monkeypatch.setattr("tools.features.radiomics.SLAB", 2)
    assert np.array_equal(cooccurrence_counts(levels, 32), whole)


def test_texture_by_loops():
    levels = np.random.default_rng(1).integers(0, 4, (5, 5, 5)).astype(np.uint16)
    counts = cooccurrence_counts(levels, 4)
    p = {(i + 1, j + 1): counts[i, j] / counts.sum() for i in range(4) for j in range(4)}
    mean = sum(i * v for (i, _), v in p.items())
    variance = sum((i - mean) ** 2 * v for (i, _), v in p.items())
    own = [sum(v for (i, _), v in p.items() if i == k) for k in range(1, 5)]
    differences = [sum(v for (i, j), v in p.items() if abs(i - j) == k) for k in range(4)]
    average = sum(k * d for k, d in enumerate(differences))
    cross = -sum(v * math.log2(own[i - 1] * own[j - 1]) for (i, j), v in p.items())
    found = dict(zip(COOCCURRENCE, cooccurrence(counts), strict=True))
    expected = {
        "joint variance": variance,
        "difference variance": sum((k - average) ** 2 * d for k, d in enumerate(differences)),
        "contrast": sum((i - j) ** 2 * v for (i, j), v in p.items()),
        "inverse difference moment": sum(v / (1 + (i - j) ** 2) for (i, j), v in p.items()),
        "correlation": (sum(i * j * v for (i, j), v in p.items()) - mean**2) / variance,
        "cluster prominence": sum((i + j - 2 * mean) ** 4 * v for (i, j), v in p.items()),
        "information correlation 1": (-sum(v * math.log2(v) for v in p.values()) - cross)
        / -sum(v * math.log2(v) for v in own),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_grey_levels():
    edges = np.array([-1, -0.9376, -0.9374, -0.001, 0, 0.9376, 1])
    assert grey_levels(edges, BINS).tolist() == [0, 0, 1, 15, 16, 31, 31]
    assert grey_levels(np.array([-0.03, 0, 0.03]), DETAIL_BINS).tolist() == [15, 15, 15]


def test_sub_bands():
    volume = np.random.default_rng(0).uniform(-1, 1, (5, 4, 7)).astype(np.float32)
    bands = dict(zip(BANDS, haar_bands(volume), strict=True))
    cube = volume[2:4, 0:2, 4:6].astype(float)
    for name, band in bands.items():
        assert band.shape == (2, 2, 3)
        signs = [np.array([1, 1 if letter == "L" else -1]) for letter in name]
        expected = np.einsum("abc,a,b,c->", cube, *signs) / 8
        assert band[1, 0, 2] == pytest.approx(expected, abs=1e-6)
    extreme = np.where(np.indices((4, 4, 4)).sum(0) % 2, 1.0, -1.0)
    assert np.abs(haar_bands(extreme)[7]).max() == 1


def test_features_of_a_volume(features):
    volumes = bodies(3, 0)
    out = features(volumes)
    assert (out.shape, out.dtype) == ((3, features.dims), torch.float32)
    assert (features.rows, features.dims, len(set(features.names))) == ("volume", 288, 288)
    assert features.name == "radiomics-1-firstorder-glcm-haar"
    assert "not comparable with frd-score" in features.note
    assert torch.isfinite(out).all()
    assert torch.equal(out[1:2], features(volumes[1:2]))
    assert torch.equal(out, features(MetaTensor(volumes)))
    found = by_name(out[0])
    assert found["volume mean"] == pytest.approx(volumes[0].mean().item(), abs=1e-6)
    assert found["LLL mean"] == pytest.approx(found["volume mean"], abs=1e-6)
    assert found["HHH maximum"] == pytest.approx(haar_bands(volumes[0, 0].numpy())[7].max(), abs=1e-6)


@pytest.mark.parametrize("value", [-1.0, 0.3, 1.0])
def test_a_constant_volume(features, value):
    found = by_name(features(torch.full((1, 1, 5, 4, 6), value))[0])
    assert all(math.isfinite(v) for v in found.values())
    assert found["volume energy"] == pytest.approx(value**2)
    assert [found[f"volume {n}"] for n in ("skewness", "entropy", "contrast", "correlation")] == [0, 0, 0, 0]
    assert found["HHH joint average"] == DETAIL_BINS // 2 + 1


@pytest.mark.parametrize("shape", [(1, 1, 16, 16, 3), (1, 2, 16, 16, 16), (1, 16, 16, 16), (0, 1, 16, 16, 16)])
def test_bad_shapes_are_named(features, shape):
    with pytest.raises(ValueError, match=r"got shape \("):
        features(torch.zeros(shape))


@pytest.mark.parametrize("value", [math.nan, 40.0])
def test_bad_values(features, value):
    volume = torch.zeros(1, 1, 4, 4, 4)
    volume[0, 0, 1, 1, 1] = value
    with pytest.raises(ValueError, match=r"take values in \[-1, 1\]"):
        features(volume)


def test_normalisation_by_the_real_set(features):
    real = np.random.default_rng(0).normal(5, 3, (20, 4))
    real[:, 2] = 1 / 3
    normalise = features.normaliser(real)
    out = normalise(real)
    assert out.shape == (20, 3)  # without the constant feature
    assert np.allclose(out.mean(0), 0)
    assert np.allclose(out.std(0), 1)
    one = normalise(torch.tensor(real[:1] + 1))
    assert np.allclose(one, out[:1] + 1 / real[:, [0, 1, 3]].std(0))
    with pytest.raises(ValueError, match=r"expected radiomic features \[m, 4\]"):
        normalise(real[:, :3])
    with pytest.raises(ValueError, match="2 real volumes or more"):
        features.normaliser(real[:1])
    with pytest.raises(ValueError, match="constant; do they differ"):
        features.normaliser(np.ones((3, 4), np.float32))


def test_distance_ranks_noise_and_blur(features):
    generator = torch.Generator().manual_seed(0)

    def textured(seed):
        volumes = bodies(12, seed)
        level = 0.03 + 0.04 * torch.rand(len(volumes), 1, 1, 1, 1, generator=generator)
        return (volumes + level * torch.randn(volumes.shape, generator=generator)).clamp(-1, 1)

    real, other = features(textured(0)), textured(1)
    normalise = features.normaliser(real)
    noise = torch.randn(other.shape, generator=generator)
    noisy = [(other + level * noise).clamp(-1, 1) for level in (0.05, 0.1, 0.2, 0.4)]
    blurred = [GaussianFilter(3, sigma)(other) for sigma in (0.5, 1.0, 2.0)]
    for series in (noisy, blurred):
        distances = [frechet_distance(normalise(real), normalise(features(v))) for v in (other, *series)]
        assert distances == sorted(distances)
        assert distances[-1] > 3 * distances[0]
