"""What one, two and three members cover, against the metrics on sets put together by hand."""

from itertools import combinations

import nibabel as nib
import numpy as np
import pytest

from tools.ensemble.generation import Sample
from tools.evaluation import coverage as command
from tools.evaluation.coverage import _rows, _sample_of, _table, coverage, put_on_grid
from tools.io.labelled_folder import LabelledFolder
from tools.metrics.neighbours import density_coverage, precision_recall
from tools.usefulness.samples import Reader


class Space:
    name = "plain"

    def normaliser(self, features):
        return lambda x: x


class Set:
    def __init__(self, rows):
        self.rows = rows

    def features(self, space):
        return self.rows

    def groups(self, space):
        return np.arange(len(self.rows))


def test_more_members_cover_more_modes_with_as_many_images():
    """Three modes, and three members of which each makes one."""
    rng = np.random.default_rng(0)
    centres = np.eye(3) * 20
    real = np.concatenate([rng.normal(c, 1, (20, 3)) for c in centres])
    made = [rng.normal(c, 1, (12, 3)) for c in centres]
    made_by = [Sample(f"b_{k}_{i}", k + 1, "b", "", 1000 * k + i) for k in range(3) for i in range(12)]
    rows = _rows(Space(), {"real": Set(real), "synthetic": Set(np.concatenate(made))}, made_by, 3, 12)
    for size in (1, 2, 3):
        parts = [np.concatenate([made[k][: 12 // size] for k in chosen]) for chosen in combinations(range(3), size)]
        for score, by in (("coverage", density_coverage), ("recall", precision_recall)):
            expected = [getattr(by(real, part, 5 if score == "coverage" else 3), score) for part in parts]
            (row,) = [row for row in rows if (row["members"], row["score"]) == (size, score)]
            assert (row["mean"], row["lowest"], row["highest"], row["choices"]) == pytest.approx(
                (np.mean(expected), min(expected), max(expected), len(parts))
            )
    by_size = [row["mean"] for row in rows if row["score"] == "coverage"]
    assert by_size[0] < 0.4
    assert by_size == sorted(by_size)
    assert _table(rows).splitlines()[1].split() == ["members", "precision", "recall", "density", "coverage"]


def test_an_image_is_of_its_sample_whatever_its_channel():
    samples = [Sample("b_seed1", 1, "b", "", 1), Sample("b_seed10", 2, "b", "", 10)]
    assert [_sample_of(name, samples).seed for name in ("imagesTr/b_seed10_0000", "b_seed1", "b_seed1_0001")] == [
        10,
        1,
        1,
    ]


def labelled(folder, shapes, name):
    """Images of noise with a label in each corner of a box."""
    cohort = LabelledFolder(folder, name, ("mr",), {"background": 0, "core": 1}, "MR")
    record = {"bundle": "b", "version": "0", "weights_sha256": None, "seed": 0, "software": {}}
    for number, shape in enumerate(shapes):
        label = np.zeros(shape, np.uint8)
        label[2:5, 2:5, 2:5] = 1
        image = np.random.default_rng(number).uniform(0, 900, shape)
        cohort.add(f"{name}_seed{number:05d}", [image], label, np.eye(4), record)
    cohort.finish()
    return folder


def test_images_of_all_sizes_are_put_on_one_grid_as_a_segmenter_sees_them(tmp_path):
    folder = labelled(tmp_path / "real", [(16, 16, 16), (12, 20, 18)], "case")
    made = put_on_grid("real", folder, (16, 24, 16), tmp_path / "grid")
    seen = Reader.of(str(folder), (16, 24, 16)).read("real", str(folder)).images
    files = [tmp_path / "grid" / f"case_seed{n:05d}_0000.nii.gz" for n in range(2)]
    assert made == str(tmp_path / "grid")
    for file, image in zip(files, seen, strict=True):
        voxels = np.asarray(nib.load(file).dataobj)
        np.testing.assert_allclose(voxels.transpose(2, 1, 0), image[0], atol=1e-6)
    with pytest.raises(ValueError, match=r"grid is \(16, 24\), expected slices, rows and columns"):
        put_on_grid("real", folder, (16, 24), tmp_path / "grid")


def test_scans_of_other_sizes_than_the_samples_are_covered_on_a_grid(tmp_path, monkeypatch, capsys):
    real = labelled(tmp_path / "real", [(16, 16, 16), (12, 20, 18)] * 3, "case")

    def cohort(members, count, folder, options):
        labelled(folder, [(8, 8, 8)] * count, "b")
        return [Sample(f"b_seed{n:05d}", 1, "b", "", n) for n in range(count)]

    monkeypatch.setattr(command, "members_of", lambda given: ["b"])
    monkeypatch.setattr(command, "write_cohort", cohort)
    with pytest.raises(ValueError, match="resample them to one size"):
        coverage("b", str(real), str(tmp_path / "plain"), count=6, device="cpu")
    coverage("b", str(real), str(tmp_path / "out"), count=6, device="cpu", grid=(16, 16, 16))
    assert "6 images each time" in capsys.readouterr().out
    assert len(list((tmp_path / "out/on_grid/synthetic").glob("*.nii.gz"))) == 6
