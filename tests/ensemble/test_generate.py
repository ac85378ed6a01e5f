"""One folder of several members: whose sample is whose, that nothing is made twice, and what is no cohort."""

import csv
import hashlib
import json
import shutil

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser, run

from tests.tiny import config_file
from tools.__main__ import main
from tools.collection import BUNDLES
from tools.data.provenance import subject_digest
from tools.engines.weights import save_model
from tools.ensemble import generation
from tools.ensemble.members import ENSEMBLE, STRIDE, is_generator, members_of, name_of, shares

NAME = "rflow_hippocampus"
SMALL = {"image_size": 16, "network_channels": [8, 16], "patch": 1, "preconditioned": False}


def weights(folder, seed, subjects=("a", "b"), **settings):
    """Weights of the bundle that were not trained."""
    parser = ConfigParser(ConfigParser.load_config_file(BUNDLES / NAME / "configs" / "train.json"))
    parser.update(SMALL)
    torch.manual_seed(seed)
    own = {key: parser.get_parsed_content(key) for key in (*SMALL, "volume_size", "num_res_blocks", "prediction")}
    own |= {key: parser[key] for key in ("images", "labels")} | {"bundle": NAME}
    data = {"field_of_view_mm": [12.0, 16.0, 12.0]}
    data |= {} if subjects is None else {"subjects": sorted(map(subject_digest, subjects))}
    (folder / "models").mkdir(parents=True)
    save_model(folder / "models/model.pt", parser.get_parsed_content("network_def"), own | {"data": data} | settings)
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    root = tmp_path_factory.mktemp("members")
    for seed in (1, 2, 3):
        weights(root / f"m{seed}", seed)
    return root


def generate(trained, output_dir, *options, bundles="m1,m2,m3"):
    sources = ",".join(str(trained / name) for name in bundles.split(","))
    main(["generate", "--bundles", sources, "--output_dir", str(output_dir), "--steps=1", *options])


def rows(folder):
    with open(folder / "samples.csv", newline="") as file:
        return list(csv.DictReader(file))


def image(folder, sample):
    return nib.load(folder / "imagesTr" / f"{sample}_0000.nii.gz")


@pytest.fixture(scope="module")
def cohort(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    generate(trained, folder, "--count=4")
    return folder


def test_shares_are_equal_and_the_first_make_one_more():
    assert shares(10, 3) == [4, 3, 3]
    assert shares(6, 3) == [2, 2, 2]
    with pytest.raises(ValueError, match="at least one sample of each of 3 members"):
        shares(2, 3)


def test_the_table_says_whose_a_sample_is(trained, cohort):
    """Beside the file's own header, which names weights and seed."""
    found = rows(cohort)
    assert [(row["member"], row["seed"]) for row in found] == [
        ("1", "0"),
        ("1", "1"),
        ("2", str(STRIDE)),
        ("3", str(2 * STRIDE)),
    ]
    for row in found:
        file = trained / f"m{row['member']}" / "models" / "model.pt"
        assert row["weights_sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
        (extension,) = image(cohort, row["sample"]).header.extensions
        said = json.loads(extension.get_content())
        assert (said["weights_sha256"], said["seed"]) == (row["weights_sha256"], int(row["seed"]))
    listed = json.loads((cohort / "dataset.json").read_text())
    assert listed["numTraining"] == len(list((cohort / "labelsTr").iterdir())) == 4


def test_a_sample_is_what_the_bundle_makes_of_its_seed(trained, cohort, tmp_path, monkeypatch):
    monkeypatch.chdir(BUNDLES.parent)
    options = {"ckpt_path": str(trained / "m2/models/model.pt"), "steps": 1, "num_volumes": 1, "seed": STRIDE}
    run(config_file=config_file(NAME, "inference"), output_dir=str(tmp_path), **options)
    (alone,) = (tmp_path / "imagesTr").iterdir()
    assert np.array_equal(nib.load(alone).dataobj, image(cohort, rows(cohort)[2]["sample"]).dataobj)


def test_an_interrupted_cohort_goes_on_and_grows(trained, cohort, tmp_path, monkeypatch):
    for part in (2, 1):
        generate(trained, tmp_path, "--count=4", f"--part={part}", "--of=2")
    assert [row["sample"] for row in rows(tmp_path)] == [row["sample"] for row in rows(cohort)]
    for row in rows(cohort):
        assert np.array_equal(image(tmp_path, row["sample"]).dataobj, image(cohort, row["sample"]).dataobj)
    made, make = [], generation._Plan.make
    monkeypatch.setattr(generation._Plan, "make", lambda plan, names: made.extend(names) or make(plan, names))
    (tmp_path / "labelsTr" / f"{rows(cohort)[3]['sample']}.nii.gz").unlink()
    generate(trained, tmp_path, "--count=5")
    assert made == [f"{NAME}_seed{STRIDE + 1}", rows(cohort)[3]["sample"]]


@pytest.mark.parametrize(
    ("bundles", "options", "message"),
    [
        ("m1,m2", ["--count=4"], "samples of other members, options or seeds"),
        ("m1,m2,m3", ["--count=4", "--seed=1"], "samples of other members, options or seeds"),
        ("m1,m2,m3", ["--count=3"], "holds 4 samples, more than count 3"),
        ("m1,m2,m3", ["--count=4", "--stps=3"], "no option --stps in its inference.json. Did you mean --steps?"),
        ("m1,m2,m3", ["--count=0"], "count is 0, expected a whole number"),
        ("m1,m2,m3", ["--count=4", "--part=3", "--of=2"], "part is 3 of 2"),
        ("m1,m1", ["--count=4"], "hold the same weights"),
        ("nothing", ["--count=4"], "there is no bundle, weights or folder"),
    ],
)
def test_what_is_no_cohort_is_refused(trained, cohort, bundles, options, message):
    before = (cohort / "cohort.json").read_text()
    with pytest.raises(SystemExit, match=message):
        generate(trained, cohort, *options, bundles=bundles)
    assert (cohort / "cohort.json").read_text() == before


def test_members_of_other_classes_are_refused(trained, tmp_path):
    odd = weights(tmp_path / "odd", 4, labels={"head": 1, "tail": 2})
    with pytest.raises(SystemExit, match="make other images or classes"):
        main(
            [
                "generate",
                f"--bundles={trained / 'm1'},{odd}",
                "--count=2",
                "--steps=1",
                f"--output_dir={tmp_path / 'o'}",
            ]
        )
    assert not (tmp_path / "o").exists()


def test_sources_are_known_by_what_they_hold(trained, tmp_path):
    folder = tmp_path / "ensemble"
    weights(folder / "member_1", 5)
    content = {"bundle": str(BUNDLES / NAME), "members": ["member_1", "member_2"]}
    (folder / ENSEMBLE).write_text(json.dumps(content))
    with pytest.raises(FileNotFoundError, match="member_2 of 2 members have no"):
        members_of([folder])
    weights(folder / "member_2", 6)
    joined = f"{trained / 'm1'}+{folder}"
    assert [member.bundle.name for member in members_of([joined])] == [NAME] * 3
    assert all(map(is_generator, (joined, NAME, str(folder), str(trained / "m1/models/model.pt"))))
    assert not is_generator(str(tmp_path))
    assert not is_generator("/nowhere")
    assert [name_of(source) for source in (joined, str(trained / "m1/models/model.pt"), NAME)] == [
        "ensemble",
        "m1",
        NAME,
    ]


def test_a_bundle_that_translates_is_no_generator(trained, tmp_path):
    folder = tmp_path / "cyclegan_triple"
    shutil.copytree(BUNDLES / "cyclegan_triple" / "configs", folder / "configs")
    with pytest.raises(ValueError, match="cyclegan_triple makes images from other images"):
        members_of([folder])


def test_evaluation_takes_members_as_one_generator(trained, cohort, tmp_path):
    ens = "+".join(str(trained / name) for name in ("m1", "m2"))
    options = [
        "--pairs=0",
        "--features=untrained",
        "--resamples=0",
        "--window=0,1000",
        "--image_size=16",
        "--options={'steps': 1}",
        "--count=2",
    ]
    main(["evaluate", f"--real={cohort}", f"--synthetic=ens={ens}", f"--output_dir={tmp_path}", *options])
    record = json.loads((tmp_path / "report.json").read_text())
    assert {name: facts["images"] for name, facts in record["sets"].items()} == {"real": 4, "ens": 2}
    assert [row["member"] for row in rows(tmp_path / "generated/ens")] == ["1", "2"]
