"""The report of a translation bundle, on an engine that "translates" by a known error."""

import json

import nibabel as nib
import numpy as np
import pytest
import torch
from ignite.engine import Engine
from scipy.ndimage import gaussian_filter

from tools.evaluation.settings import ComparisonSettings
from tools.evaluation.translation import TranslationReport, judge
from tools.metrics.paired import mean_absolute_error
from tools.transforms.slices import LoadStudyd, ct_slices, mr_slices

AFFINE = np.array([[-4.0, 0, 0, 60], [0, -4.0, 0, 60], [0, 0, 6.0, -50], [0, 0, 0, 1]])
WINDOW = (-1000, 1000)


def body(seed):
    """True CT, labels and an MR that sees them, [x, y, z]."""
    rng = np.random.default_rng(seed)
    x, y, _ = np.mgrid[:32, :32, :12] - 15.5
    labels = np.zeros((32, 32, 12), np.uint8)
    labels[x**2 + y**2 < 13**2] = 1
    labels[(x - 4) ** 2 + y**2 < 16] = 2
    ct = np.choose(labels, [-1000, 40, 800]) + gaussian_filter(rng.normal(0, 200, labels.shape), 1)
    ct[labels == 0] = -1000  # what is outside of the body is taken for air
    mr = np.choose(labels, [5, 500, 60]) + rng.random(labels.shape) * 10
    return ct.astype(np.float32).clip(-1000, 1000), labels, mr.astype(np.float32)


@pytest.fixture
def studies(tmp_path):
    """Two bodies on disk, as items of a validation set."""
    items, truth = [], {}
    for number in (1, 2):
        paths = {name: str(tmp_path / f"{number}_{name}.nii") for name in ("ct", "labels", "mr")}
        for path, volume in zip(paths.values(), body(number), strict=True):
            nib.save(nib.Nifti1Image(volume, AFFINE), path)
        items.append({"id": f"MR/{number}/in_phase", "image": [paths["mr"]], "label": [paths["ct"]]})
        truth[f"MR/{number}"] = {"ct": paths["ct"], "labels": paths["labels"], "classes": {"1": "soft", "2": "bone"}}
    return items, truth


def evaluate(items, truth, output_dir, image_size=32, excess=0.1):
    """An evaluator whose network makes the true CT, 100 HU too dense where it can be."""
    chain = [mr_slices(image_size, 128.0), ct_slices(image_size, WINDOW, 128.0, "label")]
    real = [{"image": chain[1]({"label": item["label"]})["label"]} for item in items]
    report = TranslationReport(output_dir, real, [], WINDOW, truth, comparing=ComparisonSettings(resamples=0))

    def step(engine, item):
        item = chain[1](chain[0](dict(item)))
        engine.state.batch = [item]
        return [{"pred": torch.as_tensor(item["label"]) + excess}]

    engine = Engine(step)
    report.attach(engine)
    engine.run(items)


def test_errors_and_layers_are_written(studies, tmp_path):
    items, truth = studies
    evaluate(items, truth, tmp_path / "out")
    result = json.loads((tmp_path / "out" / "truth.json").read_text())
    assert set(result["studies"]) == {"MR/1/in_phase", "MR/2/in_phase"}
    expected = [np.minimum(body(n)[0] + 100, 1000) - body(n)[0] for n in (1, 2)]
    masks = [body(n)[1] for n in (1, 2)]
    assert result["mean"]["translation"]["mae_everywhere"] == pytest.approx(np.mean(expected), abs=0.5)
    for tissue, label in (("soft", 1), ("bone", 2)):
        by_hand = np.mean([e[m == label].mean() for e, m in zip(expected, masks, strict=True)])
        assert result["mean"]["translation"][f"me_{tissue}"] == pytest.approx(by_hand, abs=0.5)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["truth"] == result["mean"]
    assert set(report["truth"]) == {"translation", "histogram_matching", "best_constants", "resized_truth"}
    layers = report["layers"]["synthetic"]
    assert set(layers) == {"kl_256", "kl_3", "correlation", "intersection", "spectral_correlation"}
    assert len(layers["kl_256"]["scores"]) == 10
    assert layers["spectral_correlation"]["average"] > 0.9


def test_what_resizing_alone_costs(studies, tmp_path):
    """It is the error of a network that makes no other."""
    for image_size, least, most in ((32, 0, 0.1), (16, 20, 200)):
        evaluate(*studies, tmp_path / str(image_size), image_size, excess=0)
        mean = json.loads((tmp_path / str(image_size) / "truth.json").read_text())["mean"]
        assert least <= mean["resized_truth"]["mae_everywhere"] < most
        assert mean["resized_truth"] == pytest.approx(mean["translation"], rel=1e-4, abs=1e-3)


def test_without_truth_there_is_no_table_of_errors(studies, tmp_path):
    evaluate(studies[0], {}, tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["report.csv", "report.html", "report.json"]
    assert json.loads((tmp_path / "out" / "report.json").read_text())["truth"] == {}


def test_baselines_are_judged_like_the_network(studies):
    items, truth = studies
    ct, mr = (LoadStudyd("image")({"image": path})["image"] for path in (truth["MR/1"]["ct"], items[0]["image"][0]))
    result = judge(np.asarray(ct[0]), ct, mr, reference=body(2)[0].ravel())
    assert result["translation"]["mae_everywhere"] == 0
    assert result["translation"]["psnr"] == float("inf")
    assert result["translation"]["through_plane_change"] == 1
    assert 0 < result["best_constants"]["mae_everywhere"] < result["histogram_matching"]["mae_everywhere"]
    assert result["best_constants"]["mae_everywhere"] < mean_absolute_error(np.asarray(ct[0]), np.zeros_like(ct[0]))


def test_one_volume_is_no_set(studies, tmp_path):
    with pytest.raises(ValueError, match=r"real set has 1 image\(s\)"):
        evaluate(studies[0][:1], {}, tmp_path / "out")
