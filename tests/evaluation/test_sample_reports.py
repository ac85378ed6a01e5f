"""Reports on samples of several images and labels: each image has its own, and labels are those that networks make."""

import json

import pytest
import torch
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator

from tests.evaluation.test_report_handler import SPREAD, result
from tests.evaluation.test_report_handler import run as run_of_images
from tools.evaluation.sample_reports import SampleReports
from tools.evaluation.settings import ComparisonSettings
from tools.transforms.channels import Channels

CHANNELS = Channels({"t1": 99.5, "flair": 99.5}, {"core": 1, "oedema": 2})


def samples(count, seed):
    """Images [n, 2, 12, 8] and class indices [n, 1, 12, 8]."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(count, 2, 12, 8, generator=generator) - 0.5
    label = torch.randint(0, 2, (count, 1, 12, 8), generator=generator, dtype=torch.uint8)
    return images, label


def run(folder, image, channels=CHANNELS):
    (real, truth), (made, label) = samples(5, 0), samples(6, 1)
    items = [
        {"image": images, "label": index, "known": torch.tensor([True, True])}
        for images, index in zip(real, truth, strict=True)
    ]
    report = SampleReports(
        folder, items, channels, image, spaces=SPREAD, comparing=ComparisonSettings(resamples=0), name="model"
    )
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset([{"image": one} for one in channels.join(made * 2, label)]), batch_size=2),
        network=torch.nn.Identity(),
        val_handlers=[report],
    )
    evaluator.run()
    return evaluator.state.metrics, real, made * 2, truth, label


def test_each_image_has_the_report_that_it_has_alone(tmp_path):
    metrics, real, made, *_ = run(tmp_path / "all", "all")
    run(tmp_path / "one", "flair")
    for number, name in enumerate(CHANNELS.images):
        of = slice(number, number + 1)
        run_of_images(tmp_path / name, made[:, of].clamp(-1, 1), real[:, of])
        alone, _ = result(tmp_path / name)
        assert result(tmp_path / "all" / name)[0] == alone
        assert metrics[f"{name}/spread/fid"] == alone["fid"]
    assert result(tmp_path / "one")[0] == result(tmp_path / "flair")[0]


def test_labels_are_told_beside_it(tmp_path):
    metrics, *_, truth, label = run(tmp_path, "t1")
    (_, report), page = result(tmp_path), (tmp_path / "report.html").read_text()
    for kind, of in (("real", truth), ("synthetic", label)):
        share = 100 * (of == 1).double().flatten(1).mean(1)
        assert report["labels"]["core: share, %"][kind] == pytest.approx(share.mean().item())
        assert report["labels"]["core: share, %"][f"{kind}_std"] == pytest.approx(share.std(correction=0).item())
    assert report["labels"]["oedema: shown"]["synthetic"] == 0
    assert report["labels"]["oedema: row"]["distance"] is None
    assert metrics["labels/core: row"] == pytest.approx(report["labels"]["core: row"]["distance"])
    assert "core: flair inside" in page
    assert "labels, core: row" in (tmp_path / "report.csv").read_text()
    assert json.loads((tmp_path / "report.json").read_text())["labels"].keys() == report["labels"].keys()


def test_labels_alone_and_an_image_that_is_none(tmp_path):
    alone = Channels({}, {"core": 1, "oedema": 2})
    report = SampleReports(tmp_path, [], alone, spaces=SPREAD)
    assert [*report.reports] == ["core", "oedema"]
    with pytest.raises(
        ValueError, match=r"image is 'flare', expected one of t1, flair, core, oedema, all\. Did you mean"
    ):
        SampleReports(tmp_path, [], CHANNELS, "flare", spaces=SPREAD)
