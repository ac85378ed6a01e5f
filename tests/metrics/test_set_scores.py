"""Scores of layers and diversity as metrics of a MONAI evaluator, in one process and in two."""

import json
import math

import numpy as np
import pytest
import torch
import torch.distributed as dist
from monai.bundle import ConfigParser
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator
from monai.metrics import MultiScaleSSIMMetric

from tests.processes import in_two_processes
from tools.metrics.diversity import ms_ssim_diversity
from tools.metrics.histograms import histogram_correlation, histogram_intersection
from tools.metrics.set_scores import DiversityMetric, LayerScoreMetric
from tools.metrics.spectra import spectral_correlation


def volumes(count, seed, noise):
    """[count, 1, 20, 16, 18] in [-1, 1]: bright from front to back, with noise."""
    generator = torch.Generator().manual_seed(seed)
    ramp = torch.linspace(-0.6, 0.6, 16)[:, None]
    return (ramp + noise * torch.randn(count, 1, 20, 16, 18, generator=generator)).clamp(-1, 1)


REAL, SYNTHETIC = volumes(6, 0, 0.1), volumes(5, 1, 0.2)


def test_averages_are_those_of_the_slices_of_each_layer():
    metric = LayerScoreMetric(layers=5)
    metric(SYNTHETIC[:2], REAL[:4])
    metric(list(SYNTHETIC[2:]), list(REAL[4:]))
    found = metric.aggregate()
    for name, score in (
        ("correlation", histogram_correlation),
        ("intersection", histogram_intersection),
        ("spectral_correlation", spectral_correlation),
    ):
        layers = [
            [v[:, 0, 4 * k : 4 * k + 4].reshape(-1, 16, 18).double().numpy() for v in (REAL, SYNTHETIC)]
            for k in range(5)
        ]
        options = {} if score is spectral_correlation else {"value_range": (-1.0, 1.0)}
        assert found[name] == pytest.approx(np.mean([score(*pair, **options) for pair in layers]), rel=1e-5), name
    assert set(found) == {"kl_256", "kl_3", "correlation", "intersection", "spectral_correlation"}
    noisier = LayerScoreMetric(layers=5)
    noisier(volumes(5, 1, 0.5), REAL)
    assert noisier.summary()["kl_256"]["average_ratio"] > 1 > noisier.summary()["intersection"]["average_ratio"]


def test_real_against_real_is_about_the_baseline():
    metric = LayerScoreMetric(layers=2)
    metric(volumes(6, 2, 0.1), REAL)
    assert 0.3 < metric.summary()["kl_256"]["average_ratio"] < 1.5


def test_reset_forgets():
    metric = LayerScoreMetric(layers=2)
    metric(volumes(3, 5, 0.6), volumes(3, 6, 0.6))
    metric.reset()
    metric(SYNTHETIC, REAL)
    other = LayerScoreMetric(layers=2)
    other(SYNTHETIC, REAL)
    assert metric.aggregate() == other.aggregate()


def test_diversity_is_the_mean_over_successive_volumes():
    given = torch.nn.functional.avg_pool3d(volumes(5, 3, 1.5), 3, 1, 1)
    given = torch.nn.functional.interpolate(given, (24, 24, 24))
    metric = DiversityMetric()
    metric(given[:1])
    metric(given[1:3], None)
    metric(list(given[3:]), [])
    # sides of 24 have room for two scales
    weights = np.array([0.0448, 0.2856]) / 0.3304
    monai = MultiScaleSSIMMetric(3, data_range=2.0, weights=weights.tolist())
    pairs = monai(given[:-1] + 1, given[1:] + 1)
    assert float(metric.aggregate()) == pytest.approx(float(pairs.mean()), abs=1e-4)
    few = DiversityMetric(pairs=2)
    few(given)
    assert float(few.aggregate()) == pytest.approx(float(pairs[:2].mean()), abs=1e-4)
    two = DiversityMetric()
    two(given[:2])
    assert float(two.aggregate()) == pytest.approx(ms_ssim_diversity(given[:2, 0]).ms_ssim)


def test_equal_volumes_are_not_diverse():
    metric = DiversityMetric()
    metric(torch.nn.functional.interpolate(SYNTHETIC[:1], (16, 16, 16)).expand(3, -1, -1, -1, -1))
    assert float(metric.aggregate()) == pytest.approx(1)


def test_what_is_missing_is_named():
    metric = LayerScoreMetric(layers=2)
    with pytest.raises(ValueError, match="evaluation was empty"):
        metric.aggregate()
    metric(SYNTHETIC[:1], REAL[:1])
    with pytest.raises(ValueError, match=r"process\(es\) \[0\] were given no second real volume"):
        metric.aggregate()
    with pytest.raises(ValueError, match="got None"):
        metric(SYNTHETIC)
    with pytest.raises(ValueError, match="30 layers"):
        LayerScoreMetric(layers=30)(SYNTHETIC, REAL)
    diversity = DiversityMetric()
    diversity(SYNTHETIC[:1, :, :16])
    with pytest.raises(ValueError, match="evaluation was empty"):
        diversity.aggregate()
    with pytest.raises(ValueError, match="image 1 has shape"):
        diversity(SYNTHETIC[:1, :, :18])
    with pytest.raises(ValueError, match="outside the range"):
        DiversityMetric()(1000 * SYNTHETIC)
    with pytest.raises(ValueError, match="pairs is 0"):
        DiversityMetric(pairs=0)
    with pytest.raises(ValueError, match="low < high"):
        DiversityMetric(value_range=(1, 1))


CONFIG = {
    "layers": {
        "_target_": "tools.evaluation.handlers.SetMetric",
        "metric_fn": {"_target_": "tools.metrics.set_scores.LayerScoreMetric", "layers": 4},
        "output_transform": "$monai.handlers.from_engine(['pred', 'label'])",
    },
    "diversity": {
        "_target_": "IgniteMetricHandler",
        "metric_fn": {"_target_": "tools.metrics.set_scores.DiversityMetric"},
        "output_transform": "$monai.handlers.from_engine(['pred', 'label'])",
        "save_details": False,
    },
    "key": {"kl_256": "$@layers['kl_256']"},
    "additional": {"spectra": "$@layers['spectral_correlation']", "ms_ssim": "@diversity"},
}


def evaluated(pairs):
    """Metrics of an evaluator made from a config whose network's output is the synthetic volume itself."""
    parser = ConfigParser(CONFIG)
    data = [{"image": s[:, :16, :, :16], "label": r[:, :16, :, :16]} for s, r in pairs]
    engine = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset(data), batch_size=2),
        network=torch.nn.Identity(),
        key_val_metric=parser.get_parsed_content("key"),
        additional_metrics=parser.get_parsed_content("additional"),
    )
    engine.run()
    return engine.state.metrics


def test_from_a_config():
    pairs = list(zip(SYNTHETIC[:4], REAL[:4], strict=True))
    metric = LayerScoreMetric(layers=4)
    metric(SYNTHETIC[:4, ..., :16, :, :16], REAL[:4, ..., :16, :, :16])
    expected = metric.aggregate()
    found = evaluated(pairs)
    assert found["kl_256"] == expected["kl_256"]
    assert found["spectra"] == expected["spectral_correlation"]
    assert 0 < found["ms_ssim"] < 1
    with pytest.raises(KeyError, match="LayerScoreMetric has no 'fid', choose from"):
        ConfigParser(CONFIG).get_parsed_content("layers")["fid"]


def run_process(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/init", rank=rank, world_size=2)
    try:
        part = slice(0, 2) if rank == 0 else slice(2, 5)
        metrics = dict(evaluated(list(zip(SYNTHETIC[part], REAL[part], strict=True))))
        lonely = LayerScoreMetric(layers=2)
        lonely(SYNTHETIC[:2], REAL[: 1 + rank])
        try:
            lonely.aggregate()
        except ValueError as error:
            metrics["message"] = str(error)
        with open(f"{folder}/{rank}.json", "w") as file:
            json.dump(metrics, file)
    finally:
        dist.destroy_process_group()


def test_two_processes_share_the_volumes(tmp_path):
    in_two_processes(run_process, str(tmp_path))
    whole = evaluated(list(zip(SYNTHETIC[:5], REAL[:5], strict=True)))
    pairs = [evaluated([(SYNTHETIC[i], REAL[i]), (SYNTHETIC[i + 1], REAL[i + 1])])["ms_ssim"] for i in (0, 2, 3)]
    for rank in range(2):
        found = json.loads((tmp_path / f"{rank}.json").read_text())
        assert found["message"].startswith("process(es) [0] were given no second real volume")
        assert found["kl_256"] == pytest.approx(whole["kl_256"], rel=1e-5)
        assert found["spectra"] == pytest.approx(whole["spectra"], rel=1e-5)
        assert found["ms_ssim"] == pytest.approx(math.fsum(pairs) / 3)
