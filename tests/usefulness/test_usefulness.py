"""The table of usefulness on blobs: what must come out of copies, of shuffled labels, and of a generator that saw the
test.
"""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from tools.__main__ import main
from tools.data.provenance import subject_digest
from tools.engines.weights import save_model
from tools.io.labelled_folder import LabelledFolder
from tools.usefulness import command, design
from tools.usefulness.design import Arm, amounts_of, arms_of, chosen
from tools.usefulness.samples import LabelledSet, Reader
from tools.usefulness.tasks import SEGMENTATION, dice_of, segment
from tools.usefulness.training import train

CLASSES = {"background": 0, "core": 1, "rim": 2}
RECORD = {"bundle": "b", "version": "0", "weights_sha256": None, "seed": 0, "software": {}}


def blob(seed, shape=(16, 16, 16)):
    """A bright core with a rim in noise, and its class indices."""
    rng = np.random.default_rng(seed)
    centre = [rng.uniform(0.4, 0.6) * n for n in shape]
    distance = np.sqrt(sum((x - c) ** 2 for x, c in zip(np.indices(shape), centre, strict=True)))
    label = np.where(distance < 3, 1, np.where(distance < 5.5, 2, 0))
    return np.choose(label, (100, 900, 500)) + rng.normal(0, 40, shape), label


def write(folder, seeds, name, values=None):
    classes = values or CLASSES
    cohort = LabelledFolder(folder, name, ("mr",), classes, "MR")
    order = np.array([classes[c] for c in CLASSES])
    for seed in seeds:
        image, label = blob(seed)
        cohort.add(f"{name}_{seed:03d}", [image.clip(0)], order[label], np.eye(4), RECORD)
    cohort.finish()
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("usefulness")
    write(root / "real", range(4), "case")
    write(root / "test", range(10, 13), "case")
    # other values in the files mean the same by their names
    write(root / "made", range(20, 25), "made", {"background": 0, "rim": 1, "core": 2})
    return root


def run(root, output_dir, *options):
    main(
        [
            "usefulness",
            f"--real={root / 'real'}",
            f"--test={root / 'test'}",
            f"--synthetic=gan={root / 'made'}",
            f"--output_dir={output_dir}",
            "--image_size=16,16,16",
            "--steps=2",
            "--batch_size=2",
            *options,
        ]
    )


def test_the_command_fills_the_table_and_goes_on_where_it_was(folders, tmp_path, capsys, monkeypatch):
    root = folders
    run(folders, tmp_path, "--amounts=2,all", "--seeds=2")
    assert "A segmenter trained on 4 real patients reaches a Dice of" in capsys.readouterr().out
    record = json.loads((tmp_path / "report.json").read_text())
    ways = [(row["way"], row["model"], row["patients"]) for row in record["arms"]]
    assert ways == [
        ("TRTR", "", 2),
        ("TRTR", "", 4),
        ("TRTR augmented", "", 2),
        ("TRTR augmented", "", 4),
        ("TSTR", "gan", 0),
        ("real + synthetic", "gan", 2),
        ("real + synthetic", "gan", 4),
        ("TRTS", "gan", 4),
    ]
    assert record["cases"]["gan"] == {"cases": 5, "patients": 5}
    assert record["provenance"] == ["gan: whom it was trained on is not known"]
    with open(tmp_path / "dice.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 2 * (7 * 3 + 5)  # seeds, classes, cases of the test seven times and of the model once
    of = [float(row["dice"]) for row in rows if row["way"] == "TSTR"]
    assert np.mean(of) == pytest.approx(record["arms"][4]["dice"]["value"], abs=1e-5)
    assert "<svg" in (tmp_path / "report.html").read_text()

    trained = []
    monkeypatch.setattr(command, "train", lambda *a: trained.append(a) or train(*a))
    run(folders, tmp_path, "--amounts=2,all", "--seeds=2")
    assert trained == []
    assert json.loads((tmp_path / "report.json").read_text())["arms"] == record["arms"]
    # a further model needs its own trainings alone: TSTR, two with real images, and none for TRTS but that on real ones
    run(folders, tmp_path, "--amounts=2,all", "--seeds=1", f"--synthetic=gan={root / 'made'},other={root / 'test'}")
    assert len(trained) == 4


def test_of_some_ways_the_report_says_what_it_can(folders, tmp_path, capsys):
    run(folders, tmp_path, "--amounts=all", "--seeds=1", "--ways=tstr", "--precision=bf16")
    said = capsys.readouterr().out
    assert "On the images of gan alone it reaches" in said
    assert "beside" not in said
    record = json.loads((tmp_path / "report.json").read_text())
    assert [row["way"] for row in record["arms"]] == ["TRTR", "TSTR"]


def test_synthetic_images_beside_augmented_real_ones(folders, tmp_path, monkeypatch, capsys):
    """Where it is asked for: both sets are moved, and compared with the real ones moved."""
    seen = []

    def noting(task, sets, classes, steps, batch_size, seed, augmented, *rest):
        seen.append((len(sets), augmented))
        return train(task, sets, classes, steps, batch_size, seed, augmented, *rest)

    monkeypatch.setattr(command, "train", noting)
    run(folders, tmp_path, "--amounts=2", "--seeds=1", "--ways=augmented,both_augmented")
    record = json.loads((tmp_path / "report.json").read_text())
    assert [row["way"] for row in record["arms"]] == ["TRTR", "TRTR augmented", "real + synthetic augmented"]
    assert seen == [(1, False), (1, True), (2, True)]
    gain = record["arms"][2]["dice"]["value"] - record["arms"][1]["dice"]["value"]
    said = capsys.readouterr().out
    assert f"beside 2 real patients, all with ordinary augmentation, they change it by {gain:+.3f}" in said
    assert "real and gan, augmented" in (tmp_path / "report.html").read_text()


def test_a_model_stands_with_several_numbers_of_its_samples(folders, tmp_path, monkeypatch):
    """The first in the order of their names, each number by itself; more than there are is all of them."""
    seen = []

    def counting(task, sets, *rest):
        seen.append([of.ids for of in sets])
        return train(task, sets, *rest)

    monkeypatch.setattr(command, "train", counting)
    run(folders, tmp_path, "--amounts=all", "--seeds=1", "--ways=tstr,trts", "--synthetic_amounts=2,4,99")
    record = json.loads((tmp_path / "report.json").read_text())
    assert [(row["way"], row["model"]) for row in record["arms"]] == [
        ("TRTR", ""),
        *(("TSTR", f"{n} of gan") for n in (2, 4, 5)),
        *(("TRTS", f"{n} of gan") for n in (2, 4, 5)),
    ]
    assert [record["cases"][f"{n} of gan"]["cases"] for n in (2, 4, 5)] == [2, 4, 5]
    made = tuple(f"made_{seed:03d}" for seed in range(20, 25))
    assert seen[1:4] == [[made[:2]], [made[:4]], [made]]
    assert (tmp_path / "runs" / "TSTR-2_of_gan-seed0.json").is_file()


def test_the_command_writes_the_picture_and_keeps_it_for_a_run_that_goes_on(folders, tmp_path, monkeypatch):
    run(folders, tmp_path, "--amounts=2,all", "--seeds=2", "--ways=tstr,trts")
    picture = tmp_path / "segmentations.png"
    first = picture.read_bytes()
    assert np.asarray(Image.open(picture)).shape[2] == 3
    assert sorted(path.name for path in (tmp_path / "runs").glob("*.npz")) == [
        "TRTR-2-seed0.npz",
        "TRTR-4-seed0.npz",
        "TSTR-gan-seed0.npz",
    ]
    page = (tmp_path / "report.html").read_text()
    assert "<h2>Segmentations</h2>" in page
    assert "</span> core, <span" in " ".join(page.split())
    picture.unlink()
    monkeypatch.setattr(command, "train", lambda *_: pytest.fail("nothing is left to train"))
    run(folders, tmp_path, "--amounts=2,all", "--seeds=2", "--ways=tstr,trts")
    assert picture.read_bytes() == first
    # of trainings that kept none there is no picture, and all else
    for path in (tmp_path / "runs").glob("*.npz"):
        path.unlink()
    picture.unlink()
    run(folders, tmp_path, "--amounts=2,all", "--seeds=2", "--ways=tstr,trts")
    assert not picture.exists()
    assert "<h2>Segmentations</h2>" not in (tmp_path / "report.html").read_text()
    assert json.loads((tmp_path / "report.json").read_text())["cases"]["test"] == {"cases": 3, "patients": 3}


def test_classes_are_known_by_their_names(folders):
    reader = Reader.of(str(folders / "real"), (16, 16, 16))
    assert reader.classes == ("core", "rim")
    made = reader.read("gan", str(folders / "made"))
    _, label = blob(20)
    assert np.bincount(made.labels[0].flatten()).tolist() == np.bincount(label.flatten()).tolist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--image_size=16,16,12"], "each divisible by 8"),
        (["--amounts=5,many"], "amounts has 'many'"),
        (["--synthetic_amounts=0,all"], "synthetic_amounts has '0', expected whole numbers from 1, or all"),
        (["--ways=tstr,rtrt"], "ways has rtrt, expected some of trtr, augmented, tstr, both, both_augmented, trts"),
        (["--precision=fp8"], "precision is 'fp8', expected fp32 or bf16"),
        (["--seeds=0"], "seeds is 0, expected a whole number from 1"),
        (["--weights=other=x.pt"], "weights has other, expected some of gan"),
        (["--weights=gan=/nowhere/model.pt"], "there are no weights at"),
    ],
)
def test_what_cannot_be_is_refused(folders, tmp_path, options, message):
    with pytest.raises(SystemExit, match=message):
        run(folders, tmp_path, *options)


def test_a_generator_that_saw_the_test_stops_the_run(folders, tmp_path):
    """Before anything is trained; one that saw others is named as such."""
    network = nn.Linear(1, 1)
    for name, subjects in {"saw": ["case_011", "case_001"], "clean": ["case_000", "case_001"]}.items():
        data = {"subjects": sorted(map(subject_digest, subjects))}
        save_model(tmp_path / f"{name}.pt", network, {"data": data})
    save_model(tmp_path / "mute.pt", network, {})
    with pytest.raises(
        SystemExit, match="1 of 3 patients of the test were in the generator's training, such as case_011"
    ):
        run(folders, tmp_path / "out", f"--weights=gan={tmp_path / 'saw.pt'}")
    with pytest.raises(SystemExit, match="does not say which patients"):
        run(folders, tmp_path / "out", f"--weights=gan={tmp_path / 'mute.pt'}")
    assert not (tmp_path / "out").exists()
    run(folders, tmp_path / "out", f"--weights=gan={tmp_path / 'clean.pt'}", "--amounts=all", "--seeds=1")
    record = json.loads((tmp_path / "out/report.json").read_text())
    assert record["provenance"] == ["gan: none of the 3 patients of the test is among the 2 it was trained on"]


def test_patients_of_both_sides_are_refused(folders, tmp_path):
    with pytest.raises(SystemExit, match="4 patients are in real and in test, such as case_000"):
        main(
            [
                "usefulness",
                f"--real={folders / 'real'}",
                f"--test={folders / 'real'}",
                f"--synthetic={folders / 'made'}",
                f"--output_dir={tmp_path}",
                "--image_size=16,16,16",
            ]
        )


def flat(seeds):
    """Slices of blobs."""
    pairs = [blob(seed, (1, 24, 24)) for seed in seeds]
    images = torch.tensor(np.stack([image for image, _ in pairs]) / 500 - 1, dtype=torch.float32)
    labels = torch.tensor(np.stack([label for _, label in pairs]), dtype=torch.uint8)
    names = tuple(map(str, seeds))
    return LabelledSet(names, names, images, labels)


def test_copies_are_worth_what_originals_are_and_shuffled_labels_nothing():
    real, test = flat(range(12)), flat(range(100, 110))
    shuffled = replace(real, labels=real.labels.flip(2, 3).roll((9, 5), (2, 3)))
    trained = {}
    for name, sets in {"real": [real], "copies": [real.part(range(12))], "shuffled": [shuffled]}.items():
        network = train(SEGMENTATION, sets, 2, 80, 4, seed=1)
        trained[name] = dice_of(segment(network, test, 2), test, 2)
    assert np.array_equal(trained["real"], trained["copies"])
    assert trained["real"].mean() > 0.75
    assert trained["shuffled"].mean() < 0.4


def test_dice_is_that_of_counted_pixels():
    case = flat([5])

    class Says(nn.Module):
        def forward(self, x):
            index = torch.zeros(1, 24, 24, dtype=torch.long)
            index[:, 8:16, 8:16] = 1
            return nn.functional.one_hot(index, 3).movedim(-1, 1).float()

    inside = np.zeros((24, 24), bool)
    inside[8:16, 8:16] = True
    core = case.labels[0, 0].numpy() == 1
    found = dice_of(segment(Says(), case, 2), case, 2)[0]
    assert found[0] == pytest.approx(2 * (inside & core).sum() / (inside.sum() + core.sum()))
    assert found[1] == 0  # a rim that is there and not found


def test_amounts_and_patients():
    assert amounts_of("5,20,all", 12) == [5, 12]
    assert amounts_of(("all", 3), 12) == [3, 12]
    subjects = ["a", "a", "b", "c", "d", "e"]
    few, more = chosen(subjects, 2, 7), chosen(subjects, 4, 7)
    assert len({subjects[i] for i in few}) == 2
    assert set(few) <= set(more)
    assert few == [i for i in range(6) if subjects[i] in {subjects[k] for k in few}]
    assert len({design.seed_of(arm, 0) for arm in arms_of(["a", "b"], [5, 12])}) == len(arms_of(["a", "b"], [5, 12]))
    assert Arm(design.BOTH, "gan", 5).name == "real + synthetic gan 5 patients"


def test_a_bundle_is_as_good_as_its_images(folders, tmp_path, monkeypatch):
    """It is asked for as many as there are real cases, after the check of whom it was trained on."""
    asked = []

    def made(sources, count, work_dir, options):
        asked.append((sources, count, options))
        return {name: str(folders / "made") for name in sources}

    monkeypatch.setattr(command, "folders_of", made)
    for name, subject in {"saw": "case_011", "clean": "case_000"}.items():
        settings = {"data": {"subjects": [subject_digest(subject)]}, "bundle": "rflow_hippocampus"}
        (tmp_path / name / "models").mkdir(parents=True)
        save_model(tmp_path / name / "models" / "model.pt", nn.Linear(1, 1 + len(name)), settings)
    common = ["--amounts=all", "--seeds=1", "--options={'steps': 2}"]
    with pytest.raises(SystemExit, match="1 of 3 patients of the test were in the generator's training"):
        run(folders, tmp_path / "out", f"--synthetic=ens={tmp_path / 'clean'}+{tmp_path / 'saw'}", *common)
    with pytest.raises(SystemExit, match="synthetic_amounts has 'some'"):
        run(folders, tmp_path / "out", f"--synthetic=flow={tmp_path / 'clean'}", "--synthetic_amounts=some", *common)
    assert asked == []
    run(folders, tmp_path / "out", f"--synthetic=flow={tmp_path / 'clean'}", *common)
    assert asked == [({"flow": str(tmp_path / "clean")}, 4, {"steps": 2})]
    record = json.loads((tmp_path / "out/report.json").read_text())
    assert record["provenance"] == ["flow: none of the 3 patients of the test is among the 1 it was trained on"]
