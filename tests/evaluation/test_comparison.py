"""All scores of a comparison are those of the plain functions on the sets' features; five noise levels are ranked."""

import csv
import dataclasses
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch

from tools.evaluation.comparison import compare
from tools.evaluation.report import COLUMNS, Report, write_report
from tools.evaluation.results import Metric
from tools.evaluation.settings import ComparisonSettings
from tools.evaluation.summary import sets_of, summary_of
from tools.features.radiomics import RadiomicFeatures
from tools.features.space import FeatureSpace
from tools.features.untrained import UntrainedFeatures, UntrainedSliceFeatures
from tools.metrics.distances import (
    frechet_distance,
    kernel_distance,
    maximum_mean_discrepancy,
    median_distance,
)
from tools.metrics.diversity import Diversity
from tools.metrics.neighbours import density_coverage, precision_recall

NOISE = (0.05, 0.15, 0.3, 0.45, 0.7)


def bodies(count, seed, noise=0.0, side=24):
    """Elliptic bodies with two lungs and a few nodules, [side, side, side] in [-1, 1]."""
    rng = np.random.default_rng(seed)
    z, y, x = np.mgrid[:side, :side, :side] / (side - 1) * 2 - 1
    made = []
    for _ in range(count):
        volume = np.full((side,) * 3, -1.0)
        volume[(y / rng.uniform(0.6, 0.8)) ** 2 + (x / rng.uniform(0.75, 0.95)) ** 2 < 1] = rng.uniform(0.1, 0.3)
        for lung in (-0.37, 0.37):
            size = rng.uniform(0.3, 0.45), rng.uniform(0.2, 0.3)
            volume[(z / 0.8) ** 2 + (y / size[0]) ** 2 + ((x - lung) / size[1]) ** 2 < 1] = rng.uniform(-0.8, -0.6)
        volume += 0.02 * rng.normal(size=volume.shape)
        made.append(np.clip(volume + noise * rng.normal(size=volume.shape), -1, 1))
    return made


@pytest.fixture(scope="module")
def spaces():
    return [UntrainedFeatures(), UntrainedSliceFeatures(), RadiomicFeatures()]


@pytest.fixture(scope="module")
def sets(spaces):
    """Real bodies, and models that are noisier and noisier."""
    volumes = {"real": bodies(12, 0), **{f"noise {n}": bodies(8, 1, n) for n in NOISE}}
    return sets_of(
        {
            name: [summary_of(volume, f"{name} {i}", spaces) for i, volume in enumerate(given)]
            for name, given in volumes.items()
        }
    )


@pytest.fixture(scope="module")
def comparison(sets, spaces):
    return compare(
        sets["real"], {k: v for k, v in sets.items() if k != "real"}, spaces, ComparisonSettings(resamples=10)
    )


def test_five_noise_levels_are_ranked_by_every_distance(comparison):
    models = [f"noise {n}" for n in NOISE]
    for name, space in comparison.spaces.items():
        # in radiomic features, which reach over magnitudes, MMD with its own bandwidth says only that a set is far away
        far = name.startswith("radiomics")
        assert any("the median distance" in w and name in w for w in comparison.warnings) >= far
        for metric in ("fid", "kid") if far else ("fid", "mmd", "kid"):
            values = [space.models[model][metric].value for model in models]
            assert values == sorted(values), (space, metric, values)
    layers = comparison.layers
    for score in layers[models[0]]:
        values = [layers[model][score].average for model in models]
        better = values if score.name.startswith(("kl", "fid")) else values[::-1]
        assert better == sorted(better), (score, values)


def test_one_bandwidth_for_all_ranks_the_far_ones_too(sets):
    models = {name: of for name, of in sets.items() if name != "real"}
    space = RadiomicFeatures()
    normalise = space.normaliser(sets["real"].features(space.name))
    width = median_distance(np.concatenate([normalise(of.features(space.name)) for of in sets.values()]))
    settings = ComparisonSettings(resamples=0, bandwidth=width)
    numbers = compare(sets["real"], models, [space], settings).spaces[space.name].models
    values = [numbers[f"noise {n}"]["mmd"].value for n in NOISE]
    assert values == sorted(values)
    assert all(numbers[name]["mmd"].bandwidth == width for name in models)


def test_a_model_scores_the_same_whoever_stands_beside_it(sets, comparison, spaces):
    alone = compare(sets["real"], {"noise 0.3": sets["noise 0.3"]}, spaces, ComparisonSettings(resamples=10))
    for name, space in alone.spaces.items():
        assert space.models["noise 0.3"] == comparison.spaces[name].models["noise 0.3"]
        assert space.baseline == comparison.spaces[name].baseline


def test_a_set_of_one_image_many_times_has_no_mmd_and_stops_no_other(sets):
    space = UntrainedFeatures()
    same = sets_of({"a": [summary_of(bodies(1, 4)[0], str(i), [space]) for i in range(30)]})["a"]
    result = compare(sets["real"], {"a": same, "b": sets["noise 0.15"]}, [space], ComparisonSettings(resamples=0))
    numbers = result.spaces[space.name].models
    assert "mmd" not in numbers["a"]
    assert numbers["a"]["fid"].value > 0
    assert "mmd" in numbers["b"]
    assert any("most of these have the same features (a)" in warning for warning in result.warnings)


def test_scores_are_those_of_the_functions(sets, comparison):
    space = "untrained-resnet10-seed0"
    real, model = sets["real"].features(space), sets["noise 0.15"].features(space)
    scores = comparison.spaces[space].models["noise 0.15"]
    numbers = {name: score.value for name, score in scores.items()}
    assert scores["mmd"].bandwidth == pytest.approx(median_distance(np.concatenate([real, model])))
    expected = {
        "fid": frechet_distance(real, model),
        "mmd": maximum_mean_discrepancy(real, model),
        "kid": kernel_distance(real, model),
        **precision_recall(real, model)._asdict(),
        **density_coverage(real, model)._asdict(),
    }
    assert {name: numbers[name] for name in expected} == pytest.approx(expected)
    first = sets["real"].in_first(space)
    own = frechet_distance(real[first], real[~first])
    assert comparison.spaces[space].baseline["fid"] == pytest.approx(own)
    fid = scores["fid"]
    assert fid.ratio_of("fid") == pytest.approx(fid.value / own)
    assert fid.low < fid.high


def test_fid_of_a_layer_is_that_of_its_slices(sets, comparison):
    space = "untrained-slices-resnet10-seed0"
    layer = comparison.layers["noise 0.3"][Metric("fid", space)]
    rows = [i for i in range(24) if int((i + 0.5) / 24 * 10) == 3]
    real, model = (sets[name].features(space).reshape(-1, 24, 1024)[:, rows] for name in ("real", "noise 0.3"))
    expected = frechet_distance(real.reshape(-1, 1024), model.reshape(-1, 1024))
    assert layer.scores[3] == pytest.approx(expected)
    assert len(layer.ratios) == 10


def test_few_samples_are_warned_of(comparison):
    assert any("1024" in warning and "noise 0.15" in warning for warning in comparison.warnings)


def test_one_image_and_two_sizes_are_refused(sets):
    one = sets_of({"a": [summary_of(bodies(1, 2)[0], "x")]})["a"]
    with pytest.raises(ValueError, match=r"the a set has 1 image\(s\)"):
        compare(sets["real"], {"a": one})
    small = sets_of({"a": [summary_of(v, str(i)) for i, v in enumerate(bodies(2, 2, side=16))]})["a"]
    with pytest.raises(ValueError, match="real 24 x 24, a 16 x 16"):
        compare(sets["real"], {"a": small})


def test_constant_images_and_other_units_are_warned_of(sets):
    blank = [np.zeros((24, 24, 24)), *bodies(2, 3)]
    made = sets_of({"a": [summary_of(v, str(i)) for i, v in enumerate(blank)]})["a"]
    (warning,) = compare(sets["real"], {"a": made}).warnings
    assert "1 of 3 images of a have one value throughout (0)" in warning
    other = sets_of({"a": [summary_of(v / 2 + 0.5, str(i)) for i, v in enumerate(bodies(2, 3))]})["a"]
    assert any("are both in one unit?" in warning for warning in compare(sets["real"], {"a": other}).warnings)


class Page(HTMLParser):
    """Collects the tags and addresses of a page, and whether all tags are closed."""

    VOID = ("meta", "img", "br", "link", "use", "path", "line")

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.addresses = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [value for name, value in attributes if name in ("src", "href", "xlink:href", "data")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [value for name, value in attributes if name in ("src", "href", "xlink:href", "data")]

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag


def part_of(comparison, names):
    return dataclasses.replace(comparison, layers={k: v for k, v in comparison.layers.items() if k in names})


def test_the_report_is_one_page_with_all_numbers(sets, comparison, tmp_path):
    shown = {name: sets[name] for name in ("real", "noise 0.05", "noise 0.45")}
    part = part_of(comparison, shown)
    diversity = {"real": Diversity(0.5, 0.1, 3, 2)}
    settings = {"seed": 0, "data": "<b>"}
    write_report(tmp_path, Report(part, shown, settings, {"network": {"mae_body": 61.25}}, diversity, ["one more"]))
    text = (tmp_path / "report.html").read_text()
    page = Page(text)
    assert not page.open
    assert page.tags.count("svg") == len(part.layers["noise 0.05"]) + 1
    assert page.tags.count("img") == 3 * 3 * 7 + 3
    assert all(address.startswith(("data:", "#")) for address in page.addresses)
    assert not re.search(r"url\((?!#)|@import|<script|<link", text)
    assert "61.25" in text
    assert "<b>" not in text
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["warnings"] == [*comparison.warnings, "one more"]
    with (tmp_path / "report.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    (space,) = (s for s in report["spaces"] if s.startswith("radio"))
    key = ("noise 0.45", "kid", space)
    (row,) = (r for r in rows if (r["images"], r["metric"], r["feature_space"]) == key)
    assert float(row["value"]) == report["spaces"][space]["models"]["noise 0.45"]["kid"]["value"]
    assert f"{report['layers']['noise 0.45']['kl_256']['average']:.4g}" in text


def test_the_same_report_is_written_twice(sets, comparison, tmp_path):
    shown = {name: sets[name] for name in ("real", "noise 0.05")}
    pages = []
    for name in "ab":
        write_report(tmp_path / name, Report(part_of(comparison, shown), shown))
        pages.append(re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "", (tmp_path / name / "report.html").read_text()))
    assert pages[0] == pages[1]


class Moments(FeatureSpace):
    """A feature space of volumes: three numbers."""

    name, dims, note = "moments", 3, "three numbers"

    def __call__(self, volumes):
        flat = volumes.flatten(1).double()
        return torch.stack([flat.mean(1), flat.square().mean(1), flat.abs().amax(1)], 1).float()


class SliceMoments(FeatureSpace):
    """A feature space of slices: two numbers."""

    name, dims, rows = "slice moments", 2, "slice"

    def __call__(self, volumes):
        flat = volumes.flatten(3)[:, 0].double()
        return torch.stack([flat.mean(2), flat.square().mean(2)], 2).flatten(0, 1).float()

    def positions(self, shape):
        return (np.arange(shape[0]) + 0.5) / shape[0]


def known_sets(spaces):
    """Six real volumes and five of each of two models, of whole numbers over 128."""

    def volume(seed, spread):
        rng = np.random.default_rng(seed)
        return (rng.integers(-100, 101, (6, 5, 5)) * spread + np.linspace(-20, 20, 6)[:, None, None]).clip(
            -128, 128
        ) / 128

    given = {"real": (0, 6, 1.0), "near": (20, 5, 0.9), "far": (40, 5, 0.5)}
    return sets_of(
        {
            name: [summary_of(volume(first + i, spread), f"case{i}", spaces, layers=3) for i in range(count)]
            for name, (first, count, spread) in given.items()
        }
    )


def test_a_report_says_what_it_has_said_since_it_was_first_written(tmp_path):
    """Readers of `report.json` and `report.csv` find each number at its place, under its name."""
    spaces = [Moments(), SliceMoments()]
    sets = known_sets(spaces)
    models = {name: of for name, of in sets.items() if name != "real"}
    comparison = compare(sets["real"], models, spaces, ComparisonSettings(resamples=3))
    truth, diversity = {"near": {"mae_everywhere": 0.5}}, {"near": Diversity(0.25, 0.125, 4, 1)}
    write_report(tmp_path, Report(comparison, sets, {"layers": 3}, truth, diversity))
    known = Path(__file__).with_name("known_report.json")
    now, then = (json.loads(path.read_text()) for path in (tmp_path / "report.json", known))
    assert list(now) == list(then)
    for report in (now, then):
        del report["date"], report["versions"]
    assert_same(now, then)
    tables = []
    for path in (tmp_path / "report.csv", known.with_suffix(".csv")):
        with path.open() as file:
            tables.append([[as_number(cell) for cell in row] for row in csv.reader(file)])
    assert_same(*tables)


def as_number(cell):
    try:
        return float(cell)
    except ValueError:
        return cell


def assert_same(now, then, where=""):
    """Equal keys in equal order, equal words, and numbers but for rounding."""
    if isinstance(then, dict):
        assert list(now) == list(then), where
        for key in then:
            assert_same(now[key], then[key], f"{where}/{key}")
    elif isinstance(then, list):
        assert len(now) == len(then), where
        for number, pair in enumerate(zip(now, then, strict=True)):
            assert_same(*pair, f"{where}/{number}")
    elif isinstance(then, float):
        assert now == pytest.approx(then, rel=1e-6, abs=1e-9), where
    else:
        assert now == then, where
