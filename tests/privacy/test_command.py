"""The command on folders: copies in a cohort of labelled volumes are named, shown and taken out."""

import csv
import json

import nibabel as nib
import numpy as np
import pytest

from tests.privacy.test_patterns import person
from tools.__main__ import main
from tools.data.removal import case_of, copy_without
from tools.privacy.images import patients_of

AFFINE = np.diag([2.0, 2.0, 3.0, 1.0])
SHAPE = (16, 16, 16)


def save(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(np.round(image.transpose(2, 1, 0) * 500).astype(np.int16), AFFINE), path)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("privacy")
    for number in range(30):
        save(root / "training" / f"{number:03d}.nii.gz", person(number, SHAPE, 1.0))
    for number in range(22):
        save(root / "held_out" / f"{number:03d}.nii.gz", person(100 + number, SHAPE, 1.0))
    cohort = root / "cohort"
    for number in range(8):
        image = np.roll(person(5, SHAPE, 1.0)[..., ::-1], 1, 1) if number == 3 else person(200 + number, SHAPE, 1.0)
        save(cohort / "imagesTr" / f"s_{number}_0000.nii.gz", image)
        save(cohort / "labelsTr" / f"s_{number}.nii.gz", image > 0)
    listed = [{"image": f"./imagesTr/s_{n}_0000.nii.gz", "label": f"./labelsTr/s_{n}.nii.gz"} for n in range(8)]
    (cohort / "dataset.json").write_text(json.dumps({"numTraining": 8, "training": listed}))
    return root


def run(root, *options):
    main(["privacy", f"--training={root / 'training'}", f"--synthetic={root / 'cohort'}", *options])


def test_a_changed_copy_is_named_shown_and_taken_out(folders, tmp_path, capsys):
    run(
        folders,
        f"--output_dir={tmp_path / 'out'}",
        f"--held_out={folders / 'held_out'}",
        f"--remove={tmp_path / 'clean'}",
        "--plant=1",
        "--pictures=2",
    )
    record = json.loads((tmp_path / "out/privacy.json").read_text())
    (suspect,) = record["suspects"]
    assert suspect["sample"] == "imagesTr/s_3_0000"
    assert suspect["training"] == "005"
    assert "mirrored (left-right)" in suspect["how"]
    assert record["images"] == {"training": 30, "synthetic": 8, "held-out": 22}
    assert record["planted"]["plain"] == {"found": 1, "of": 1}
    assert 0.4 < record["share_of_copies_at_most"] < 0.6  # of 8 samples, Clopper and Pearson: 0.527
    assert list(record["spaces"]) == ["pattern", "untrained-resnet10-seed0"]
    assert [one["attack"] for one in record["membership"]] == ["distance to the nearest sample"]  # too few for DOMIAS
    assert (record["membership"][0]["members"], record["membership"][0]["others"]) == (30, 22)
    assert record["spaces"]["pattern"]["close"]["count"] == 8
    with open(tmp_path / "out/suspects.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["suspect"] for row in rows] == ["True"] + ["False"] * 7
    page = (tmp_path / "out/privacy.html").read_text()
    assert "<td>distance to the nearest sample</td><td>untrained-resnet10-seed0</td>" in page
    assert "has samples, and the images that are asked about." in page
    assert page.count('<div class="pair') == 2
    assert page.count("data:image/png;base64,") == 2 * 2 * 3
    assert "1 of 8 samples are nearer to one of 30 training images" in capsys.readouterr().out
    kept = sorted(path.name for path in (tmp_path / "clean").rglob("*.nii.gz"))
    assert len(kept) == 14
    assert not any(name.startswith("s_3") for name in kept)
    listing = json.loads((tmp_path / "clean/dataset.json").read_text())
    assert listing["numTraining"] == 7
    assert all("s_3" not in one["label"] for one in listing["training"])


def test_a_mirrored_double_of_another_sample_is_named_and_shown(folders, tmp_path):
    """Of nobody in the training, so that it is no suspect."""
    root = tmp_path / "cohort"
    for number in range(9):
        image = person(207, SHAPE, 1.0)[..., ::-1] if number == 2 else person(200 + number, SHAPE, 1.0)
        save(root / f"s{number}.nii.gz", image)
    out = tmp_path / "out"
    options = (f"--synthetic={root}", f"--output_dir={out}", "--plant=0", "--pictures=2", "--rate=0.01")
    main(["privacy", f"--training={folders / 'training'}", *options])
    record = json.loads((out / "privacy.json").read_text())
    assert record["suspects"] == record["membership"] == []
    assert {(one["sample"], one["other"]) for one in record["doubles"]} == {("s2", "s7"), ("s7", "s2")}
    assert all(one["how"] == "mirrored (left-right)" for one in record["doubles"])
    page = (out / "privacy.html").read_text()
    assert page.count('<div class="pair') == 3  # the two nearest to the training, and the double once
    assert "<span>other sample</span>" in page
    assert "All of 2 samples that have a double" in page


def test_an_existing_folder_is_refused_before_anything_is_read(folders, tmp_path):
    with pytest.raises(SystemExit) as end:
        run(folders, f"--output_dir={tmp_path / 'out'}", f"--remove={tmp_path}")
    assert "is there already; choose a new folder" in str(end.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("rate", [0, 1, -1])
def test_a_rate_is_a_probability(folders, tmp_path, rate):
    with pytest.raises(SystemExit, match="expected a probability between 0 and 1"):
        run(folders, f"--output_dir={tmp_path / 'out'}", f"--rate={rate}")


def test_slices_of_a_case_go_with_it(tmp_path):
    for name in ("a/s1/0.png", "a/s1/1.png", "a/s10/0.png", "a/notes.txt", "a/.evaluation/x.npz"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    assert copy_without(tmp_path / "a", tmp_path / "b", {"s1"}) == 2
    assert sorted(p.relative_to(tmp_path / "b").as_posix() for p in (tmp_path / "b").rglob("*") if p.is_file()) == [
        "notes.txt",
        "s10/0.png",
    ]
    with pytest.raises(FileExistsError, match="choose a new folder"):
        copy_without(tmp_path / "a", tmp_path / "b", set())


def test_cases_and_patients():
    assert [case_of(name) for name in ("x/BRATS_001_0000", "BRATS_001", "s_0003")] == ["x/BRATS_001", "BRATS_001", "s"]
    assert patients_of(["hippocampus_001", "hippocampus_002"]).tolist() == [0, 1]
