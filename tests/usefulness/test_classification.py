"""The table of usefulness for a classifier: where classes come from, and what a classifier makes of them."""

import csv
import json
import shutil

import nibabel as nib
import numpy as np
import pytest
import torch

from tools.__main__ import main
from tools.data.phantoms.luna16 import write_luna16_phantoms
from tools.io.labelled_folder import LabelledFolder
from tools.usefulness.classified import ClassReader, ClassSource
from tools.usefulness.design import chosen
from tools.usefulness.results import class_auc
from tools.usefulness.samples import LabelledSet
from tools.usefulness.tasks import CLASSIFICATION, classify, probabilities_of
from tools.usefulness.training import train

RECORD = {"bundle": "b", "version": "0", "weights_sha256": None, "seed": 0, "software": {}}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Chests with nodules in every other one, and what a generator that was trained by class wrote."""
    root = tmp_path_factory.mktemp("classification")
    for name, seed in {"real": 0, "test": 1}.items():
        write_luna16_phantoms(root / name, 4, seed, (24, 32, 32), "half", progress=False)
    generated(root / "made", 4)
    return root


def generated(folder, count, classes=2):
    folder.mkdir()
    for seed in range(count):
        voxels = np.random.default_rng(seed).normal(-500, 300, (8, 8, 8)).astype(np.int16)
        nib.save(nib.Nifti1Image(voxels, np.eye(4)), folder / f"gan_seed{seed:05d}_class{seed % classes}.nii.gz")
    return folder


def run(root, output_dir, *options):
    main(
        [
            "usefulness",
            f"--real={root / 'real'}",
            f"--test={root / 'test'}",
            f"--synthetic={root / 'made'}",
            f"--output_dir={output_dir}",
            "--image_size=8,16,16",
            "--steps=1",
            "--batch_size=2",
            "--seeds=1",
            "--amounts=all",
            "--task=classification",
            *options,
        ]
    )


def test_a_classifier_fills_the_table(folders, tmp_path, capsys):
    run(folders, tmp_path, "--ways=tstr,trts")
    assert "A classifier trained on 4 real patients reaches an AUC of" in capsys.readouterr().out
    record = json.loads((tmp_path / "report.json").read_text())
    assert [row["way"] for row in record["arms"]] == ["TRTR", "TSTR", "TRTS"]
    assert set(record["arms"][1]["classes"]) == {"0", "1"}
    with open(tmp_path / "probabilities.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["way"] == "TSTR" and row["class"] == "1"]
    with open(folders / "test" / "labels.csv", newline="") as file:
        assert {row["case"]: row["true"] for row in rows} == {row["id"]: row["label"] for row in csv.DictReader(file)}
    true, said = (np.array([float(row[key]) for row in rows]) for key in ("true", "probability"))
    won = [(a > b) + (a == b) / 2 for a in said[true == 1] for b in said[true == 0]]
    assert np.mean(won) == pytest.approx(record["arms"][1]["auc"]["value"])
    assert "f1" in record["arms"][1]
    assert "F1 of 1" in (tmp_path / "report.html").read_text()


def test_a_table_may_have_any_name_and_be_of_patients(folders, tmp_path):
    table = tmp_path / "people.csv"
    table.write_text("name;Sex\n" + "".join(f"phantom-0000-000{n};{'FM'[n > 1]}\n" for n in range(3)))
    reader = ClassReader.of(str(folders / "real"), (8, 16, 16), ClassSource(str(table), "Sex"))
    assert reader.classes == ("F", "M")
    with pytest.warns(UserWarning, match="phantom-0000-0003: has no class"):
        assert reader.read("real", str(folders / "real")).labels.tolist() == [0, 0, 1]
    with pytest.raises(ValueError, match="gan has the classes 0, 1, expected F, M as real has"):
        reader.read("gan", str(folders / "made"))


def without_table(root, name, rows=None):
    """Links to the images of a folder, with another table."""
    folder = root / f"{name}_{len(rows or '')}"
    shutil.copytree(root / name, folder, dirs_exist_ok=True, symlinks=True)
    (folder / "labels.csv").unlink()
    if rows is not None:
        (folder / "labels.csv").write_text("id,label\n" + rows)
    return folder


def test_what_cannot_be_is_refused(folders, tmp_path):
    cases = {
        f"--real={without_table(folders, 'real')}": "real: nothing says of which classes its images are",
        f"--real={without_table(folders, 'real', 'phantom-0000-0000,1')}": "all images of .* are of the class 1; ",
        f"--real={without_table(folders, 'real', 'elsewhere,1')}": "has no class for any of 4 images, for instance ph",
        f"--test={without_table(folders, 'test', 'phantom-0001-0000,1')}": "test has no image of the class 0",
        f"--synthetic=gan={generated(tmp_path / 'more', 3, 3)}": "gan has the classes 2, exp",
        "--amounts=1": "amounts has 1 patients, but there are 2 classes",
        "--task=counting": "task is 'counting', expected segmentation or classification",
        "--classes={'none': [], 'nodule': ['nodule']}": "say what a slice shows, but image_size asks for volumes",
    }
    (tmp_path / "mute").mkdir()
    shutil.copy(next((folders / "made").iterdir()), tmp_path / "mute" / "gan.nii.gz")
    cases[f"--synthetic={tmp_path / 'mute'}"] = "mute: nothing says of which classes its images are"
    for option, message in cases.items():
        with pytest.raises(SystemExit, match=message):
            run(folders, tmp_path / "out", option)


def test_slices_have_the_class_of_what_they_show(tmp_path):
    """By label maps in real ones; generated ones say the number of their class by their names."""
    cohort = LabelledFolder(tmp_path / "real", "case", ("mr",), {"background": 0, "core": 1}, "MR")
    label = np.zeros((8, 8, 3), np.uint8)
    label[2:4, 2:4, 1] = 1
    noise = np.random.default_rng(0).uniform(5, 15, label.shape)
    cohort.add("case_1", [label * 100 + noise], label, np.eye(4), RECORD)
    cohort.finish()
    source = ClassSource(rules={"nothing": [], "core": ["core"]})
    reader = ClassReader.of(str(tmp_path / "real"), (1, 8, 8), source)
    found = reader.read("real", str(tmp_path / "real"))
    assert found.ids == ("case_1_slice000", "case_1_slice001", "case_1_slice002")
    assert found.labels.tolist() == [0, 1, 0]
    assert set(found.subjects) == {"case_1"}
    assert found.images.shape == (3, 1, 8, 8)
    made = LabelledFolder(tmp_path / "made", "gan", ("image",), {"background": 0}, "MR")
    for seed in range(2):
        made.add(f"gan_seed{seed}_class{seed}", [noise[..., :1]], None, np.eye(4), RECORD)
    made.finish()
    assert reader.read("gan", str(tmp_path / "made")).labels.tolist() == [0, 1]


def test_a_classifier_learns_what_can_be_seen_and_nothing_else():
    """Squares of two sizes in noise; shuffled classes say nothing of others."""
    rng = np.random.default_rng(0)
    classes = np.arange(40) % 2
    images = rng.normal(0, 0.2, (40, 1, 16, 16))
    for image, label in zip(images, classes, strict=True):
        image[0, 4 : 8 + 4 * label, 4 : 8 + 4 * label] += 0.8
    names = tuple(map(str, range(40)))
    every = LabelledSet(names, names, torch.tensor(images, dtype=torch.float32), torch.tensor(classes))
    network = train(CLASSIFICATION, [every.part(range(20))], 2, 15, 8, seed=1, augmented=True)
    rest = every.part(range(20, 40))
    table = probabilities_of(classify(network, rest, 2), rest, 2)
    assert np.allclose(table[:, 1:].sum(1), 1)
    assert class_auc(table, np.ones((1, 20)), None) > 0.95


def test_few_patients_are_of_every_class():
    """Three of one class among 30: they are in the smallest share already, and in any by their share."""
    subjects = [f"p{n}" for n in range(30) for _ in range(2)]
    classes = [int(n < 3) for n in range(30) for _ in range(2)]
    few, more = (chosen(subjects, amount, 5, classes) for amount in (2, 10))
    assert {classes[i] for i in few} == {0, 1}
    assert set(few) <= set(more)
    assert sum(classes[i] for i in more) == 2
