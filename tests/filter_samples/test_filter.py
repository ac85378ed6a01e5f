"""Planted bad samples are rejected for what is wrong with them, real ones at the stated rate."""

import csv
import json
import shutil

import numpy as np
import pytest
from scipy import stats

from tools.__main__ import main
from tools.filter_samples.ranges import learnt
from tools.io.labelled_folder import LabelledFolder
from tools.metrics.labels import measures_of

CLASSES = {"background": 0, "organ": 1, "lesion": 2}
RECORD = {"bundle": "b", "version": "0", "weights_sha256": None, "seed": 0, "software": {}}
SPACING = (1.0, 2.0, 1.5)


def body(seed, bad=""):
    """CT of an organ of 60 HU with a lesion of 20 HU in a body of -50 HU, in air; and what can be wrong with it."""
    rng = np.random.default_rng(seed)
    x, y, z = np.indices((24, 20, 16))
    radius = rng.uniform(3.6, 4.4)
    label = np.where((x - 9) ** 2 + (y - 10) ** 2 + (z - 8) ** 2 < radius**2, 1, 0)
    label[8:10, 9:11, 7:9] = 2
    inside = (x > 2) & (x < 21) & (y > 2) & (y < 17)
    image = np.where(inside, -50, -1000)
    image = np.where(label == 1, 60 if bad != "wrong intensity" else 160, np.where(label == 2, 20, image))
    if bad == "moved outside":
        label = np.roll(label, (-8, -8), (0, 1))
    if bad == "doubled part":
        label[17:19, 12:14, 7:9] = 2
        image[label == 2] = 20
    if bad == "large":
        label[6:14, 7:14, 5:12] = 1
        image[label == 1] = 60
    return image + rng.normal(0, 4, image.shape).round(), label


def write(folder, cases):
    cohort = LabelledFolder(folder, "made", ("ct",), CLASSES, "CT")
    for name, (image, label) in cases.items():
        cohort.add(name, [image], label, np.diag([*SPACING, 1.0]), RECORD)
    cohort.finish()
    return folder


BAD = ("moved outside", "doubled part", "wrong intensity", "large")


@pytest.fixture(scope="module")
def filtered(tmp_path_factory):
    root = tmp_path_factory.mktemp("filter")
    write(root / "real", {f"real_{seed}": body(seed) for seed in range(40)})
    good = {f"good_{seed}": body(100 + seed) for seed in range(4)}
    write(root / "elsewhere", good | {f"bad_{number}": body(7, bad) for number, bad in enumerate(BAD)})
    (root / "made").mkdir()
    for name in ("imagesTr", "labelsTr"):
        (root / "made" / name).mkdir()
        for path in (root / "elsewhere" / name).iterdir():
            (root / "made" / name / path.name).symlink_to(path)
    shutil.copy(root / "elsewhere" / "dataset.json", root / "made")
    table = "sample,member\n" + "".join(f"{name},1\n" for name in ("good_0", "bad_1"))
    (root / "made" / "samples.csv").write_text(table)
    (root / "made" / "cohort.json").write_text("{}")
    main(["filter_samples", str(root / "made"), f"--real_dir={root / 'real'}", f"--output_dir={root / 'out'}"])
    with open(root / "out" / "filter.csv", newline="") as file:
        return root / "out", {row["sample"]: row for row in csv.DictReader(file)}


def test_planted_samples_are_rejected_for_what_is_wrong_with_them(filtered):
    _, rows = filtered
    reasons = {bad: rows[f"bad_{number}"]["reasons"] for number, bad in enumerate(BAD)}
    assert "ct: median in organ" in reasons["moved outside"]
    assert "lesion: parts 2, not 1 to 1" in reasons["doubled part"]
    assert "ct: median in organ 16" in reasons["wrong intensity"]
    assert "organ: ml" in reasons["large"]
    assert "parts" not in reasons["wrong intensity"]


def test_what_is_kept_is_a_cohort_of_the_same_layout(filtered):
    out, rows = filtered
    kept = sorted(name for name, row in rows.items() if row["kept"] == "True")
    assert len(kept) >= 3
    assert all(name.startswith("good") for name in kept)
    listed = json.loads((out / "accepted" / "dataset.json").read_text())["training"]
    assert [one["label"] for one in listed] == [f"./labelsTr/{name}.nii.gz" for name in kept]
    for folder, ending in (("imagesTr", "_0000.nii.gz"), ("labelsTr", ".nii.gz")):
        assert sorted(path.name for path in (out / "accepted" / folder).iterdir()) == [f"{n}{ending}" for n in kept]
    assert (out / "accepted" / "samples.csv").read_text() == "sample,member\ngood_0,1\n"
    assert not (out / "accepted" / "cohort.json").exists()


def test_the_page_has_the_rejected_ones(filtered):
    out, _ = filtered
    page = (out / "filter.html").read_text()
    assert page.count("<figcaption>") >= len(BAD)
    assert "<svg" in page
    assert "lesion: parts 2, not 1 to 1" in page


def test_volumes_parts_and_values_are_those_of_counted_voxels():
    image, label = body(0)
    label[20, 2, 2] = 2  # touches nothing
    label[10, 11, 9] = 2  # touches the lesion by a corner
    found = measures_of(image[None], label, SPACING, ["ct"], ["organ", "lesion"])
    voxels = {name: [image[p] for p in np.ndindex(label.shape) if label[p] == n] for name, n in CLASSES.items()}
    assert found["lesion: ml"] == pytest.approx(10 * 3 / 1000)
    assert found["organ: ml"] == pytest.approx(len(voxels["organ"]) * 3 / 1000)
    assert (found["organ: parts"], found["lesion: parts"]) == (1, 2)
    assert found["ct: median in lesion"] == np.median(voxels["lesion"])
    assert np.isnan(measures_of(image[None], label * 0, SPACING, ["ct"], ["organ"])["ct: median in organ"])
    assert (
        measures_of(image[None, :1], label[:1], SPACING, ["ct"], ["organ"])["organ: mm2"] == 3 * (label[:1] == 1).sum()
    )


@pytest.mark.parametrize(("count", "rate"), [(99, 0.08), (399, 0.05)])
def test_real_samples_are_rejected_at_the_stated_rate_at_the_most(count, rate):
    """Of measures that are independent, so that nothing is to spare."""
    rng, rejected, tried = np.random.default_rng(0), 0, 0
    for _ in range(20):
        rows = [dict(zip("abcd", row, strict=True)) for row in rng.normal(size=(count + 200, 4))]
        ranges = learnt(rows[:count], rate) if count < 150 else learnt(rows[:count:2], rate)
        rejected += sum(bool(ranges.reasons(row)) for row in rows[count:])
        tried += 200
    low, high = stats.binomtest(rejected, tried).proportion_ci(0.999)
    assert low <= ranges.rate
    assert high > ranges.rate / 2


def test_the_rate_that_few_samples_keep_is_said():
    ranges = learnt([{"a": float(k), "b": 1.0} for k in range(19)], 0.05)
    assert ranges.ends == {"a": (0, 18), "b": (1, 1)}
    assert ranges.rate == pytest.approx(2 * 2 / 20)
    assert ranges.outside == pytest.approx(2 / 19)
    assert ranges.reasons({"a": 19.0, "b": np.nan}) == ["a 19, not 0 to 18"]


@pytest.mark.parametrize(("samples", "rate", "message"), [(1, 0.05, "got 1 real samples"), (5, 1, "rate is 1")])
def test_what_teaches_nothing_is_refused(samples, rate, message):
    with pytest.raises(ValueError, match=message):
        learnt([{"a": 1.0}] * samples, rate)


def test_samples_keep_the_grey_values_that_their_folder_says(tmp_path):
    """Scans of MR are scaled by themselves, what a network made is scaled already: a dark one is seen to be dark."""
    rng = np.random.default_rng(0)
    for name, brightest in (("scans", 3000), ("made", 1000)):
        grey = {"mr": (0, 1000)} if name == "made" else None
        cohort = LabelledFolder(tmp_path / name, name, ("mr",), {"background": 0, "core": 1}, "MR", grey_values=grey)
        for number in range(20):
            image = rng.uniform(0, brightest, (8, 8, 8))
            label = (np.indices(image.shape) < 4).all(0).astype(int)
            cohort.add(f"{name}_{number:02d}", [image / 2 if number == 3 else image], label, np.eye(4), RECORD)
        cohort.finish()
    options = [f"--real_dir={tmp_path / 'scans'}", f"--output_dir={tmp_path / 'out'}", "--rate=0.3"]
    main(["filter_samples", str(tmp_path / "made"), *options])
    with open(tmp_path / "out" / "filter.csv", newline="") as file:
        rows = {row["sample"]: row for row in csv.DictReader(file)}
    column = next(name for name in rows["made_03"] if "median" in name)
    assert float(rows["made_03"][column]) == pytest.approx(-0.5, abs=0.1)
    assert float(rows["made_04"][column]) == pytest.approx(0, abs=0.1)
    assert "mr" in rows["made_03"]["reasons"]
