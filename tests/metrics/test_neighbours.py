"""Precision and recall against torch-fidelity, density and coverage against loops."""

import numpy as np
import pytest
import torch

from tests.metrics.reference import prc_features_to_metric
from tools.metrics import neighbours as module
from tools.metrics.neighbours import density_coverage, precision_recall


@pytest.fixture
def sets():
    rng = np.random.default_rng(0)
    return rng.normal(size=(70, 6)), rng.normal(0.4, 0.8, size=(50, 6))


@pytest.mark.parametrize("block", [2048, 16])
def test_precision_recall_is_torch_fidelitys(sets, monkeypatch, block):
    monkeypatch.setattr(module, "BLOCK", block)
    real, synthetic = (torch.from_numpy(s) for s in sets)
    reference = prc_features_to_metric(
        synthetic, real, prc_neighborhood=3, prc_batch_size=50, save_cpu_ram=False, verbose=False
    )
    result = precision_recall(real, synthetic, 3)
    assert 0 < result.recall < 1
    assert result.precision == pytest.approx(reference["precision"], abs=1e-6)
    assert result.recall == pytest.approx(reference["recall"], abs=1e-6)


@pytest.mark.parametrize("block", [2048, 16])
def test_density_and_coverage_by_loops(sets, monkeypatch, block):
    monkeypatch.setattr(module, "BLOCK", block)
    real, synthetic = sets
    k = 4
    inside, covered = 0, 0
    for centre in real:
        radius = sorted(np.linalg.norm(real - centre, axis=1))[k]
        distances = [np.linalg.norm(s - centre) for s in synthetic]
        inside += sum(d < radius for d in distances)
        covered += min(distances) < radius
    density, coverage = density_coverage(real, synthetic, k)
    assert density == pytest.approx(inside / (k * len(synthetic)))
    assert coverage == pytest.approx(covered / len(real))


def test_extremes():
    rng = np.random.default_rng(1)
    real = rng.normal(size=(40, 5))
    assert precision_recall(real, real) == (1, 1)
    assert precision_recall(real, real + 100) == (0, 0)
    assert density_coverage(real, real + 100) == (0, 0)
    one_mode = real[:1] + 1e-3 * rng.normal(size=(40, 5))
    assert precision_recall(real, one_mode).precision == 1
    assert precision_recall(real, one_mode).recall < 0.1
    assert density_coverage(real, one_mode).coverage < 0.5


def test_bad_input_is_named(sets):
    with pytest.raises(ValueError, match="3 neighbours need sets of 4 samples"):
        precision_recall(sets[0][:3], sets[1])
    with pytest.raises(ValueError, match="at least one neighbour"):
        density_coverage(*sets, neighbours=0)
    with pytest.raises(ValueError, match="not finite"):
        precision_recall(sets[0] * np.nan, sets[1])
