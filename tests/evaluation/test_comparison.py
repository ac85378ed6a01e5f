"""All scores of a comparison are those of the plain functions on the sets' features; five noise levels are ranked."""

import csv
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from tools.evaluation.comparison import compare
from tools.evaluation.profile import profile_of, sets_of
from tools.evaluation.report import COLUMNS, write_report
from tools.features.radiomics import RadiomicFeatures
from tools.features.untrained import UntrainedFeatures, UntrainedSliceFeatures
from tools.metrics.distances import frechet_distance, kernel_distance, maximum_mean_discrepancy, median_distance
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
            name: [profile_of(volume, f"{name} {i}", spaces) for i, volume in enumerate(given)]
            for name, given in volumes.items()
        }
    )


@pytest.fixture(scope="module")
def comparison(sets, spaces):
    return compare(sets["real"], {k: v for k, v in sets.items() if k != "real"}, spaces, resamples=10)


def test_five_noise_levels_are_ranked_by_every_distance(comparison):
    models = [f"noise {n}" for n in NOISE]
    for name, space in comparison["spaces"].items():
        # in radiomic features, which reach over magnitudes, MMD with its own bandwidth says only that a set is far away
        far = name.startswith("radiomics")
        assert any("the median distance" in w and name in w for w in comparison["warnings"]) >= far
        for metric in ("fid", "kid") if far else ("fid", "mmd", "kid"):
            values = [space["models"][model][metric]["value"] for model in models]
            assert values == sorted(values), (space, metric, values)
    layers = comparison["layers"]
    for score in layers[models[0]]:
        values = [layers[model][score]["average"] for model in models]
        better = values if score.startswith(("kl", "fid")) else values[::-1]
        assert better == sorted(better), (score, values)


def test_one_bandwidth_for_all_ranks_the_far_ones_too(sets):
    models = {name: profile for name, profile in sets.items() if name != "real"}
    space = RadiomicFeatures()
    normalise = space.normalise_by(sets["real"].features(space.name))
    width = median_distance(np.concatenate([normalise(profile.features(space.name)) for profile in sets.values()]))
    numbers = compare(sets["real"], models, [space], bandwidth=width)["spaces"][space.name]["models"]
    values = [numbers[f"noise {n}"]["mmd"]["value"] for n in NOISE]
    assert values == sorted(values)
    assert all(numbers[name]["mmd"]["bandwidth"] == width for name in models)


def test_a_model_scores_the_same_whoever_stands_beside_it(sets, comparison, spaces):
    alone = compare(sets["real"], {"noise 0.3": sets["noise 0.3"]}, spaces, resamples=10)
    for name, space in alone["spaces"].items():
        assert space["models"]["noise 0.3"] == comparison["spaces"][name]["models"]["noise 0.3"]
        assert space["baseline"] == comparison["spaces"][name]["baseline"]


def test_a_set_of_one_image_many_times_has_no_mmd_and_stops_no_other(sets):
    space = UntrainedFeatures()
    same = sets_of({"a": [profile_of(bodies(1, 4)[0], str(i), [space]) for i in range(30)]})["a"]
    result = compare(sets["real"], {"a": same, "b": sets["noise 0.15"]}, [space])
    numbers = result["spaces"][space.name]["models"]
    assert "mmd" not in numbers["a"]
    assert numbers["a"]["fid"]["value"] > 0
    assert "mmd" in numbers["b"]
    assert any("most of these have the same features (a)" in warning for warning in result["warnings"])


def test_scores_are_those_of_the_functions(sets, comparison):
    space = "untrained-resnet10-seed0"
    real, model = sets["real"].features(space), sets["noise 0.15"].features(space)
    numbers = {name: number["value"] for name, number in comparison["spaces"][space]["models"]["noise 0.15"].items()}
    mmd = comparison["spaces"][space]["models"]["noise 0.15"]["mmd"]
    assert mmd["bandwidth"] == pytest.approx(median_distance(np.concatenate([real, model])))
    expected = {
        "fid": frechet_distance(real, model),
        "mmd": maximum_mean_discrepancy(real, model),
        "kid": kernel_distance(real, model),
        **precision_recall(real, model)._asdict(),
        **density_coverage(real, model)._asdict(),
    }
    assert {name: numbers[name] for name in expected} == pytest.approx(expected)
    first = sets["real"].half(space)
    own = frechet_distance(real[first], real[~first])
    assert comparison["spaces"][space]["baseline"]["fid"] == pytest.approx(own)
    fid = comparison["spaces"][space]["models"]["noise 0.15"]["fid"]
    assert fid["ratio"] == pytest.approx(fid["value"] / own)
    assert fid["low"] < fid["high"]


def test_fid_of_a_layer_is_that_of_its_slices(sets, comparison):
    space = "untrained-slices-resnet10-seed0"
    layer = comparison["layers"]["noise 0.3"][f"fid [{space}]"]
    rows = [i for i in range(24) if int((i + 0.5) / 24 * 10) == 3]
    real, model = (sets[name].features(space).reshape(-1, 24, 1024)[:, rows] for name in ("real", "noise 0.3"))
    expected = frechet_distance(real.reshape(-1, 1024), model.reshape(-1, 1024))
    assert layer["scores"][3] == pytest.approx(expected)
    assert len(layer["ratios"]) == 10


def test_few_samples_are_warned_of(comparison):
    assert any("1024" in warning and "noise 0.15" in warning for warning in comparison["warnings"])


def test_one_image_and_two_sizes_are_refused(sets):
    one = sets_of({"a": [profile_of(bodies(1, 2)[0], "x")]})["a"]
    with pytest.raises(ValueError, match=r"the a set has 1 image\(s\)"):
        compare(sets["real"], {"a": one})
    small = sets_of({"a": [profile_of(v, str(i)) for i, v in enumerate(bodies(2, 2, side=16))]})["a"]
    with pytest.raises(ValueError, match="real 24 x 24, a 16 x 16"):
        compare(sets["real"], {"a": small})


def test_constant_images_and_other_units_are_warned_of(sets):
    blank = [np.zeros((24, 24, 24)), *bodies(2, 3)]
    made = sets_of({"a": [profile_of(v, str(i)) for i, v in enumerate(blank)]})["a"]
    (warning,) = compare(sets["real"], {"a": made})["warnings"]
    assert "1 of 3 images of a have one value throughout (0)" in warning
    other = sets_of({"a": [profile_of(v / 2 + 0.5, str(i)) for i, v in enumerate(bodies(2, 3))]})["a"]
    assert any("are both in one unit?" in warning for warning in compare(sets["real"], {"a": other})["warnings"])


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


def test_the_report_is_one_page_with_all_numbers(sets, comparison, tmp_path):
    shown = {name: sets[name] for name in ("real", "noise 0.05", "noise 0.45")}
    part = comparison | {"layers": {k: v for k, v in comparison["layers"].items() if k in shown}}
    diversity = {"real": {"ms_ssim": 0.5, "std": 0.1, "pairs": 3, "scales": 2}}
    write_report(tmp_path, part, shown, {"seed": 0, "data": "<b>"}, {"network": {"mae_body": 61.25}}, diversity)
    text = (tmp_path / "report.html").read_text()
    page = Page(text)
    assert not page.open
    assert page.tags.count("svg") == len(part["layers"]["noise 0.05"]) + 1
    assert page.tags.count("img") == 3 * 3 * 7 + 3
    assert all(address.startswith(("data:", "#")) for address in page.addresses)
    assert not re.search(r"url\((?!#)|@import|<script|<link", text)
    assert "61.25" in text
    assert "<b>" not in text
    report = json.loads((tmp_path / "report.json").read_text())
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
    part = comparison | {"layers": {"noise 0.05": comparison["layers"]["noise 0.05"]}}
    pages = []
    for name in "ab":
        write_report(tmp_path / name, part, shown, {})
        pages.append(re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "", (tmp_path / name / "report.html").read_text()))
    assert pages[0] == pages[1]
