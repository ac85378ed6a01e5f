"""The report of a bundle: real and synthetic volumes are counted separately, by any number of processes."""

import json

import numpy as np
import pytest
import torch
import torch.distributed as dist
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator

from tests.processes import in_two_processes
from tools.evaluation.comparison import compare
from tools.evaluation.report_handler import EvaluationReport
from tools.evaluation.results import Metric
from tools.evaluation.settings import ComparisonSettings
from tools.evaluation.summary import sets_of, summary_of
from tools.features.cache import ArrayCache
from tools.features.space import FeatureSpace
from tools.features.spaces import make_spaces
from tools.metrics.distances import frechet_distance, kernel_distance
from tools.metrics.diversity import ms_ssim_diversity


class Spread(FeatureSpace):
    """A feature space of three numbers."""

    name, dims = "spread", 3

    def __call__(self, volumes):
        flat = volumes.flatten(1)
        return torch.stack([flat.mean(1), flat.std(1), flat.abs().amax(1)], 1)


def volumes(count, seed, offset=0.0):
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(count, 1, 12, 8, 8, generator=generator) - 0.5 + offset).clamp(-1, 1)


REAL, SYNTHETIC = volumes(5, 0), volumes(8, 1, 0.1)
SPREAD = (Spread(),)


def run(output_dir, synthetic=SYNTHETIC, real=REAL, spaces=SPREAD, pairs=30, **options):
    """An evaluator whose network returns what it is given."""
    comparing = ComparisonSettings(resamples=0, pairs=pairs)
    report = EvaluationReport(output_dir, [{"image": v} for v in real], spaces, comparing, name="model", **options)
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset([{"image": volume} for volume in synthetic]), batch_size=2),
        network=torch.nn.Identity(),
        val_handlers=[report],
    )
    evaluator.run()
    return evaluator.state.metrics


def result(folder):
    report = json.loads((folder / "report.json").read_text())
    return {name: number["value"] for name, number in report["spaces"]["spread"]["models"]["model"].items()}, report


def test_numbers_are_those_of_the_sets(tmp_path):
    run(tmp_path, settings={"bundle": "here"})
    numbers, report = result(tmp_path)
    sets = sets_of(
        {
            "real": [summary_of(v[0].numpy(), f"real_{i:05d}", [Spread()]) for i, v in enumerate(REAL)],
            "model": [summary_of(v[0].numpy(), str(i), [Spread()]) for i, v in enumerate(SYNTHETIC)],
        }
    )
    expected = compare(sets["real"], {"model": sets["model"]}, [Spread()], ComparisonSettings(resamples=0))
    theirs = expected.layers["model"][Metric("kl_256")]
    for part in ("scores", "baseline", "average_ratio"):
        assert report["layers"]["model"]["kl_256"][part] == pytest.approx(getattr(theirs, part))
    wanted = {name: score.value for name, score in expected.spaces["spread"].models["model"].items()}
    assert numbers == pytest.approx(wanted)
    assert (report["sets"]["real"]["images"], report["sets"]["model"]["images"]) == (5, 8)
    assert report["settings"]["bundle"] == "here"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.csv", "report.html", "report.json"]


def test_whoever_runs_the_evaluator_gets_the_numbers(tmp_path):
    """As a federated client does, which sends `evaluator.state.metrics` to the server."""
    metrics = run(tmp_path, *(v.repeat(1, 1, 1, 2, 2) for v in (SYNTHETIC, REAL)))
    numbers, report = result(tmp_path)
    expected = {f"spread/{name}": value for name, value in numbers.items() if value is not None}
    assert metrics == expected | {"ms_ssim": report["diversity"]["model"]["ms_ssim"]}
    assert metrics["spread/fid"] > 0


def test_what_an_interrupted_evaluation_left_is_not_counted(tmp_path):
    run(tmp_path / "clean")
    leftover = ArrayCache(tmp_path / "again" / ".summaries" / "synthetic")
    leftover.save("old", summary_of(np.zeros((12, 8, 8)), "old", [Spread()]).state())
    run(tmp_path / "again")
    assert result(tmp_path / "again")[0] == result(tmp_path / "clean")[0]


def run_process(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/init", rank=rank, world_size=2)
    try:
        mine = SYNTHETIC[slice(0, 3) if rank == 0 else slice(3, 8)]
        run(f"{folder}/both", mine)
        wide = [volumes.repeat(1, 1, 1, 2, 2) for volumes in (mine, REAL)]
        run(f"{folder}/wide", *wide)
    finally:
        dist.destroy_process_group()


def test_two_processes_equal_one(tmp_path):
    run(tmp_path / "one")
    in_two_processes(run_process, str(tmp_path))
    together, report = result(tmp_path / "both")
    alone, _ = result(tmp_path / "one")
    assert together == pytest.approx(alone)
    assert report["sets"]["model"]["images"] == 8
    diversity = json.loads((tmp_path / "wide" / "report.json").read_text())["diversity"]
    assert (diversity["model"]["pairs"], diversity["real"]["pairs"]) == (2 + 4, 2 + 1)  # none across processes


def test_diversity_is_that_of_successive_volumes(tmp_path):
    """Synthetic ones as they are made, real ones in random order: in their list neighbours may be one patient's."""
    real, synthetic = (v.repeat(1, 1, 1, 2, 2) for v in (REAL, SYNTHETIC))
    run(tmp_path / "all", synthetic, real)
    report = json.loads((tmp_path / "all" / "report.json").read_text())
    order = np.random.default_rng(0).permutation(len(real))
    assert order.tolist() != sorted(order)
    for name, given in (("real", real[order]), ("model", synthetic)):
        pairs = [ms_ssim_diversity(given[i : i + 2, 0]).ms_ssim for i in range(len(given) - 1)]
        found = report["diversity"][name]
        assert (found["pairs"], found["scales"]) == (len(given) - 1, 1)
        assert found["ms_ssim"] == pytest.approx(np.mean(pairs), rel=1e-6)
        assert found["std"] == pytest.approx(np.std(pairs), rel=1e-5)
    run(tmp_path / "few", synthetic, real, pairs=2)
    assert json.loads((tmp_path / "few" / "report.json").read_text())["diversity"]["model"]["pairs"] == 2
    run(tmp_path / "none", synthetic, real, pairs=0)
    assert json.loads((tmp_path / "none" / "report.json").read_text())["diversity"] == {}


def test_volumes_without_room_for_the_window_have_no_diversity(tmp_path):
    run(tmp_path)  # 8 voxels wide
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["diversity"] == {}
    assert any("diversity of model is not measured" in warning for warning in report["warnings"])


def test_other_shapes_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"a synthetic image has 2 channels, expected one; got shape \(2, 12, 8, 8\)"):
        run(tmp_path, synthetic=SYNTHETIC.expand(-1, 2, -1, -1, -1))


def test_2d_images_are_measured_as_such(tmp_path):
    """[1, H, W], or a volume of one slice: features of the slice, one layer, MS-SSIM of pictures with two scales."""
    generator = torch.Generator().manual_seed(0)
    real, synthetic = (torch.rand(count, 1, 24, 40, generator=generator) * 2 - 1 for count in (6, 5))
    (space,) = spaces = make_spaces("untrained-slices", flat=True)
    run(tmp_path / "flat", synthetic, real, spaces)
    run(tmp_path / "deep", synthetic[:, :, None], real[:, :, None], spaces)
    reports = [json.loads((tmp_path / kind / "report.json").read_text()) for kind in ("flat", "deep")]
    for report in reports:
        del report["date"]
    flat, deep = reports
    assert flat == deep
    assert flat["sets"]["real"]["shapes"] == [[1, 24, 40]]
    features = space(real), space(synthetic)
    found = flat["spaces"][space.name]["models"]["model"]
    assert found["fid"]["value"] == pytest.approx(frechet_distance(*features))
    assert found["kid"]["value"] == pytest.approx(kernel_distance(*features))
    assert len(flat["layers"]["model"]["kl_256"]["scores"]) == flat["settings"]["layers"] == 1
    pairs = [ms_ssim_diversity(synthetic[i : i + 2, 0]) for i in range(4)]
    assert (flat["diversity"]["model"]["scales"], pairs[0].scales) == (2, 2)
    assert flat["diversity"]["model"]["ms_ssim"] == pytest.approx(np.mean([pair.ms_ssim for pair in pairs]), rel=1e-6)
    page = (tmp_path / "flat" / "report.html").read_text()
    assert "each 24 x 40." in page
    assert page.count("<svg") == 1  # grey values; a curve over one layer says nothing
    assert page.count("<img") == 3 * 2 + 2


def test_arguments_of_before_work_for_one_version(tmp_path):
    with pytest.warns(FutureWarning, match="seed, resamples are arguments of ComparisonSettings now"):
        report = EvaluationReport(tmp_path, [], SPREAD, resamples=7, seed=3)
    assert report.comparing == ComparisonSettings(seed=3, resamples=7)
