"""Members in folders of their own: from other seeds, of other patients, each trained once."""

from contextlib import nullcontext
from unittest.mock import Mock

import pytest

from tests.tiny import TINY
from tools.__main__ import main
from tools.data.cases import case_datalist
from tools.data.patients import patients_of
from tools.data.provenance import subject_digest
from tools.datasets.decathlon import HIPPOCAMPUS
from tools.engines.weights import settings_in
from tools.ensemble import training
from tools.ensemble.members import members_of
from tools.torch_files import read_state_dict

NAME = "rflow_hippocampus"


def train(output_dir, *options):
    main(["train_ensemble", NAME, f"--output_dir={output_dir}", *options])


@pytest.fixture
def trained(monkeypatch):
    """Trainings that write what they were called with."""
    calls = []

    def written(files, options, number):
        calls.append((number, options))
        root = files[1].parent
        (root / "models").mkdir(parents=True)
        (root / "models" / "model.pt").write_bytes(b"%d" % number)

    monkeypatch.setattr(training, "_train", written)
    return calls


def test_members_differ_by_their_seed_and_are_trained_once(trained, tmp_path, capsys):
    train(tmp_path, "--members=3", "--seed=7", "--part=2", "--of=2", "--max_epochs=1")
    assert [(number, options["seed"]) for number, options in trained] == [(2, 8)]
    assert capsys.readouterr().out.startswith("1 of 3 members are trained")
    with pytest.raises(FileNotFoundError, match="member_1, member_3 of 3 members have no"):
        members_of([tmp_path])
    train(tmp_path, "--members=3", "--seed=7", "--max_epochs=1")
    assert [(number, options["seed"]) for number, options in trained] == [(2, 8), (1, 7), (3, 9)]
    assert {options["max_epochs"] for _, options in trained} == {1}
    assert [member.weights.read_bytes() for member in members_of([tmp_path])] == [b"1", b"2", b"3"]
    train(tmp_path, "--members=4", "--seed=7", "--max_epochs=1")
    assert [number for number, _ in trained] == [2, 1, 3, 4]
    with pytest.raises(SystemExit, match=r"trained with options \{'max_epochs': 1\}; choose a new folder"):
        train(tmp_path, "--members=4", "--seed=7", "--max_epochs=2")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--max_epoch=1"], "no option --max_epoch in its train.json. Did you mean --max_epochs?"),
        (["--resume=auto"], "--resume is each member's own"),
        (["--patients=half"], "patients is 'half', expected one of all, bootstrap, partition"),
        (["--members=0"], "members is 0, expected a whole number from 1"),
    ],
)
def test_what_cannot_be_is_refused(trained, tmp_path, options, message):
    with pytest.raises(SystemExit, match=message):
        train(tmp_path / "new", *options)
    assert not (tmp_path / "new").exists()


def test_a_training_that_fails_is_named(tmp_path, monkeypatch):
    commands, process = [], nullcontext(Mock(wait=lambda: 3))
    monkeypatch.setattr(training, "start", lambda command: commands.append(command) or process)
    with pytest.raises(SystemExit, match="the training of member 1 ended with exit code 3"):
        train(tmp_path, "--members=2", "--image_size=32")
    ((*_, seed, value, resume, auto),) = commands
    assert (seed, value, resume, auto) == ("--seed", "0", "--resume", "auto")
    assert not (tmp_path / "member_1" / "trained.json").exists()


def test_a_member_of_a_part_is_trained_on_it(tmp_path):
    """By its weights' own word; the other member has the rest."""
    options = {key: TINY[key] for key in ("val_interval", "phantoms#count", "phantoms#shape")} | {"batch_size": 1}
    options |= {"image_size": 32, "network_channels": [8, 16], "patch": 2, "max_epochs": 1, "steps": 1}
    given = [f"--{key}={value}".replace(" ", "") for key, value in options.items()]
    train(tmp_path, "--members=2", "--patients=partition", "--seed=4", "--part=2", "--of=2", *given)
    settings = settings_in(read_state_dict(tmp_path / "member_2" / "models" / "model.pt"))
    assert settings["seed"] == 5
    items = case_datalist(HIPPOCAMPUS, str(tmp_path / "member_2/phantoms"), "training", ["mr"], labelled=True)
    parts = [{subject_digest(item["subject"]) for item in patients_of(items, "partition", k, 2, 4)} for k in (1, 2)]
    assert set(settings["data"]["subjects"]) == parts[1]
    assert not parts[0] & parts[1]
