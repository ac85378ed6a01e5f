"""Distances as metrics of a MONAI evaluator, in one process and in two, and their report."""

import json
import logging
import math

import pytest
import torch
import torch.distributed as dist
from monai.bundle import ConfigParser
from monai.data import DataLoader, Dataset, MetaTensor
from monai.engines import SupervisedEvaluator
from monai.handlers import IgniteMetricHandler, from_engine

from tests.processes import in_two_processes
from tools.engines.generation import PrepareLatents
from tools.evaluation.handlers import FeatureDistanceMetric, FeatureDistances
from tools.features.radiomics import RadiomicFeatures
from tools.features.space import FeatureSpace
from tools.features.untrained import UntrainedSliceFeatures
from tools.metrics.distances import frechet_distance, maximum_mean_discrepancy


class CountedFeatures(FeatureSpace):
    """Mean and deviation per octant of a volume: 16 dimensions, cheap; counts the volumes that it sees."""

    name, dims, note = "octants", 16, "for tests"

    def __init__(self):
        self.seen = 0

    def __call__(self, volumes):
        self.seen += len(volumes)
        octants = volumes.reshape(len(volumes), 2, 8, 2, 8, 2, 8).permute(0, 1, 3, 5, 2, 4, 6).flatten(4)
        return torch.cat([octants.mean(-1).flatten(1), octants.std(-1).flatten(1)], dim=1)


def volumes(n, seed, scale=0.3):
    return torch.tanh(scale * torch.randn(n, 1, 16, 16, 16, generator=torch.Generator().manual_seed(seed)))


REAL, SYNTHETIC = volumes(7, 0), volumes(7, 1, 0.5)


def expected(features=None):
    real, synthetic = ((features or CountedFeatures())(v) for v in (REAL, SYNTHETIC))
    return {"fid": frechet_distance(real, synthetic), "mmd": maximum_mean_discrepancy(real, synthetic)}


def evaluator(key, additional=None, handlers=None, real=REAL, **kwargs):
    """Takes the synthetic volume of an item as the network's output."""
    data = [{"image": SYNTHETIC[i], "label": real[i]} for i in range(len(real))]
    return SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset(data), batch_size=3),
        network=torch.nn.Identity(),
        key_val_metric=key,
        additional_metrics=additional,
        val_handlers=handlers,
        metric_cmp_fn=lambda current, best: current < best,
        **kwargs,
    )


OUTPUT = from_engine(["pred", "label"])


def test_evaluator_takes_distances_from_one_extraction():
    features = CountedFeatures()
    distances = FeatureDistances(features, output_transform=OUTPUT)
    engine = evaluator({"fid": distances["fid"]}, {"mmd": distances["mmd"]})
    engine.run()
    assert engine.state.key_metric_name == "fid"
    assert engine.state.metrics == pytest.approx(expected())
    assert engine.state.best_metric == engine.state.metrics["fid"]
    assert features.seen == 14
    engine.run()  # the second round starts afresh
    assert engine.state.metrics == pytest.approx(expected())
    assert features.seen == 28
    summary = engine.state.feature_spaces["octants"]
    assert summary.real.images == summary.synthetic.images == 7
    assert summary.real.value_range == pytest.approx([REAL.min().item(), REAL.max().item()])


def test_one_volume_has_no_distance(caplog):
    """It ends no run: the distances are nan, and the next validation of more is as ever."""
    distances = FeatureDistances(CountedFeatures(), output_transform=OUTPUT)
    engine = evaluator({"fid": distances["fid"]}, {"mmd": distances["mmd"]}, real=REAL[:1])
    engine.run()
    assert all(math.isnan(engine.state.metrics[name]) for name in ("fid", "mmd"))
    assert "there is 1: it is nan" in caplog.text
    engine = evaluator({"fid": distances["fid"]}, {"mmd": distances["mmd"]})
    engine.run()
    assert engine.state.metrics == pytest.approx(expected())


def test_by_default_images_are_compared_and_not_latents():
    """In an evaluator of a generator "image" is its input and "label" the real volumes: MONAI's names for them."""
    data = [{"latent": SYNTHETIC[i].flatten(), "image": REAL[i]} for i in range(len(REAL))]
    distances = FeatureDistances(CountedFeatures())
    engine = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset(data), batch_size=3),
        network=torch.nn.Unflatten(1, REAL.shape[1:]),
        prepare_batch=PrepareLatents(),
        key_val_metric={"fid": distances["fid"]},
        additional_metrics={"mmd": distances["mmd"]},
    )
    engine.run()
    assert engine.state.metrics == pytest.approx(expected())


def test_without_decollating():
    distances = FeatureDistances(CountedFeatures(), output_transform=OUTPUT)
    engine = evaluator({"fid": distances["fid"]}, decollate=False)
    engine.run()
    assert engine.state.metrics["fid"] == pytest.approx(expected()["fid"])


def test_metric_in_monais_own_handler():
    metric = FeatureDistanceMetric(CountedFeatures())
    engine = evaluator({"distances": IgniteMetricHandler(metric, output_transform=OUTPUT)})
    with pytest.warns(UserWarning, match="not a scalar"):
        engine.run()
    assert engine.state.metrics["fid"] == pytest.approx(expected()["fid"])


def test_from_a_config():
    parser = ConfigParser(
        {
            "validate": {
                "distances": {
                    "_target_": "tools.evaluation.handlers.FeatureDistances",
                    "features": {"_target_": "tools.features.untrained.UntrainedFeatures", "seed": 2},
                    "output_transform": "$monai.handlers.from_engine(['pred', 'label'])",
                },
                "key": {"fid": "$@validate#distances['fid']"},
                "additional": {"mmd": "$@validate#distances['mmd']"},
            }
        }
    )
    key, additional = (parser.get_parsed_content(f"validate#{i}") for i in ("key", "additional"))
    fid, mmd = key["fid"], additional["mmd"]
    assert fid.args[0] is mmd.args[0]
    with pytest.raises(KeyError, match="no distance 'is', choose from"):
        fid.args[0]["is"]


def test_metric_takes_batches_and_lists_of_any_length():
    metric = FeatureDistanceMetric(CountedFeatures())
    metric(SYNTHETIC[:4], REAL[:5])
    metric(list(SYNTHETIC[4:]), [MetaTensor(v) for v in REAL[5:]])
    assert metric.aggregate() == pytest.approx(expected())
    assert metric.aggregate() == metric.summary().distances
    metric.reset()
    with pytest.raises(ValueError, match="no images"):
        metric.aggregate()


def test_adding_volumes_renews_the_result():
    metric = FeatureDistanceMetric(CountedFeatures())
    metric(SYNTHETIC[:3], REAL[:3])
    first = metric.aggregate()
    metric(SYNTHETIC[3:], REAL[3:])
    assert metric.aggregate() != first
    assert metric.aggregate() == pytest.approx(expected())


def test_other_units_are_an_error_that_names_both():
    metric = FeatureDistanceMetric(CountedFeatures())
    with pytest.raises(ValueError, match=r"real images from .*-?\d{3}.* and synthetic images from -0\.9"):
        metric(SYNTHETIC, REAL * 1024)


def test_narrow_real_range_is_a_warning(caplog):
    metric = FeatureDistanceMetric(CountedFeatures())
    metric(SYNTHETIC, REAL.abs())
    with caplog.at_level(logging.WARNING):
        metric.aggregate()
    assert "real images cover only" in caplog.text


def test_bad_volumes_are_named():
    metric = FeatureDistanceMetric(CountedFeatures())
    bad = SYNTHETIC.clone()
    bad[1, 0, 0, 0, :2] = torch.nan
    with pytest.raises(ValueError, match="synthetic image has 2 of 4096 voxels that are NaN"):
        metric(bad, REAL)
    with pytest.raises(ValueError, match=r"real image must have one channel, got shape \(2, 16, 16, 16\)"):
        metric(SYNTHETIC, REAL.expand(-1, 2, -1, -1, -1))
    with pytest.raises(ValueError, match="no real images"):
        metric(SYNTHETIC, [])
    with pytest.raises(ValueError, match="got None"):
        metric(SYNTHETIC)
    with pytest.raises(ValueError, match="must be a feature space, Identity is none"):
        FeatureDistanceMetric(torch.nn.Identity())


def test_2d_images_go_through_a_space_of_slices():
    real, synthetic = REAL[:, :, 3], SYNTHETIC[:, :, 3]  # [7, 1, 16, 16]
    space = UntrainedSliceFeatures()
    metric = FeatureDistanceMetric(space)
    metric(synthetic, real)
    deep = [volumes[:, :, None] for volumes in (real, synthetic)]
    assert metric.aggregate()["fid"] == pytest.approx(frechet_distance(*map(space, deep)))
    with pytest.raises(ValueError, match="2D images need a space of slices"):
        FeatureDistanceMetric(RadiomicFeatures())(synthetic, real)


def test_distances_are_taken_of_normalised_features():
    """As a report takes them: in radiomic features the largest unit would count alone."""
    space = RadiomicFeatures()
    metric = FeatureDistanceMetric(space, {"fid": frechet_distance})
    metric(SYNTHETIC[:3], REAL[:3])
    features = [space(volumes[:3]).numpy().astype(float) for volumes in (REAL, SYNTHETIC)]
    mean, deviation = features[0].mean(0), features[0].std(0)
    kept = deviation > 1e-6 * abs(features[0]).max(0)
    z_scores = [(of - mean)[:, kept] / deviation[kept] for of in features]
    assert metric.aggregate()["fid"] == pytest.approx(frechet_distance(*z_scores))


def run_process(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/init", rank=rank, world_size=2)
    try:
        part = slice(0, 3) if rank == 0 else slice(3, 7)  # unequal, as the last batches of an evaluation are
        data = [{"image": s, "label": r} for s, r in zip(SYNTHETIC[part], REAL[part], strict=True)]
        distances = FeatureDistances(CountedFeatures(), output_transform=OUTPUT)
        engine = SupervisedEvaluator(
            device=torch.device("cpu"),
            val_data_loader=DataLoader(Dataset(data), batch_size=2),
            network=torch.nn.Identity(),
            key_val_metric={"fid": distances["fid"]},
            additional_metrics={"mmd": distances["mmd"]},
        )
        engine.run()
        metric = FeatureDistanceMetric(CountedFeatures())
        if rank == 1:
            metric(SYNTHETIC, REAL)
        try:
            metric.aggregate()
        except ValueError as error:
            message = str(error)
        with open(f"{folder}/{rank}.json", "w") as file:
            json.dump({**engine.state.metrics, "message": message}, file)
    finally:
        dist.destroy_process_group()


def test_two_processes_equal_one(tmp_path):
    in_two_processes(run_process, str(tmp_path))
    for rank in range(2):
        result = json.loads((tmp_path / f"{rank}.json").read_text())
        assert result.pop("message").startswith("process(es) [0] were given no images")
        assert result == pytest.approx(expected())
