"""Options and errors of ``python -m monai.bundle run``."""

import json
import os
import sys

import pytest

from tests.tiny import EVERY, REPOSITORY, config_file
from tools import bundle_command
from tools.bundle_command import options_of, show, unknown_option, watch
from tools.errors import mendable_message


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)


def checked(line, bundle="crf_gan_luna16", files=("train",)):
    names = config_file(bundle, *files)
    config = names if isinstance(names, str) else str(names).replace(" ", "")
    return unknown_option(options_of(["--config_file", config, *line.split()]))


@pytest.mark.parametrize(
    "line",
    [
        "--batch_size 2 --max_epochs=3 --device cpu",
        "--learning_rates#generator 1e-4",
        "--learning_rates::generator 1e-4",
        "--train#updates#0#optimizer#lr 1",
        "--train#trainer#_disabled_ True",
        "--objective#identity_weight 1 --traceback True",
        "--network_def#image_size 32",
        "--phantoms#shape [48,48,48]",  # an argument of what writes phantoms, of which the config gives others
        "--train#updates#0#optimizer#weight_decay 0.1",  # an argument of Adam that the config does not give
        "--meta_file x --logging_file y --run_id run",
        "--tracking mlflow --experiment_name mine",
        "--_meta_#version 3",
    ],
)
def test_what_exists_is_taken(line):
    bundle = "cyclegan_mri2ct_t2" if "identity" in line else "crf_gan_luna16"
    assert checked(line, bundle) is None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--batchsize 2", "Did you mean --batch_size?"),
        ("--seed 1 --learning_rate 1", "Did you mean --learning_rates?"),
        ("--learning_rates#generater 1", "'generater' in learning_rates. Did you mean --learning_rates#generator?"),
        ("--scales#paper#image_sice 1", "Did you mean --scales#paper#image_size?"),
        ("--network_def#image_sice 1", "Did you mean --network_def#image_size?"),
        ("--train#updates#9#name x", "nothing is called '9' in train#updates. There are 0, 1, 2, 3."),
        ("--experiment_name mine", "there is no option --experiment_name"),
    ],
)
def test_what_does_not_is_refused_with_the_nearest(line, said):
    assert said in checked(line)


def test_overlays_add_their_options():
    assert "num_synthetic" in checked("--num_synthetc 3", files=("train", "evaluate"))
    assert checked("--num_synthetic 3", files=("train", "evaluate")) is None
    assert checked("--num_synthetic 3") is not None


def test_options_in_a_file_are_checked_too(tmp_path):
    arguments = tmp_path / "arguments.json"
    arguments.write_text(json.dumps({"config_file": config_file("ha_gan_gsp", "train"), "batch_sise": 2}))
    assert "--batch_size?" in unknown_option(options_of(["--args_file", str(arguments)]))


@pytest.mark.parametrize("bundle", EVERY)
def test_every_config_imports_it_first(bundle):
    for path in (REPOSITORY / "bundles" / bundle / "configs").glob("*.json"):
        imports = json.loads(path.read_text()).get("imports")
        assert imports is None or imports[0] == "$import tools.bundle_command"


def test_the_command_line_ends_before_anything_is_read(capsys, monkeypatch):
    looked_after = []
    monkeypatch.setattr(bundle_command, "end_with_parent", lambda: looked_after.append("with its parent"))
    with pytest.raises(SystemExit) as stopped:
        watch(["run", "--config_file", config_file("crf_gan_gsp", "train"), "--epochs", "3"])
    assert stopped.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert sys.excepthook is show
    watch(["ckpt_export", "--anything", "1"])
    assert looked_after == ["with its parent"] * 2


def test_home_folders_are_written_out_and_an_error_that_a_user_can_mend_is_the_last_line(tmp_path):
    """What begins anew is a fork of this process, which has imported MONAI; what it becomes is a process of its own."""
    home = tmp_path / "home"
    home.mkdir()
    line = ["run", "--config_file", config_file("crf_gan_luna16", "train"), "--dataset_dir=~/none"]
    line += ["--output_dir=~/out", "--bundle_root", "~/root"]
    child = os.fork()
    if child == 0:
        try:
            screen = os.open(tmp_path / "screen", os.O_WRONLY | os.O_CREAT)
            os.dup2(screen, 1)
            os.dup2(screen, 2)
            os.environ["HOME"] = str(home)
            sys.orig_argv = [sys.executable, "-m", "monai.bundle", *line]
            watch(line)
        finally:
            os._exit(3)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    screen = (tmp_path / "screen").read_text()
    assert screen.splitlines()[-1].startswith(f"FileNotFoundError: there is no folder {home / 'none'}")
    assert "Traceback" not in screen
    assert not (REPOSITORY / "~").exists()
    made = {path.name for path in home.iterdir() if not path.name.startswith(".")}  # matplotlib has folders there
    assert made <= {"out", "root"}


def test_the_projects_own_words_are_found_behind_those_of_others():
    from tools.data.volumes import section_datalist

    with pytest.raises(FileNotFoundError) as caught:
        section_datalist("luna16", "/nowhere", "training")
    with pytest.raises(RuntimeError) as wrapped:
        raise RuntimeError("Failed to evaluate config item") from caught.value
    assert mendable_message(wrapped.value).startswith("FileNotFoundError: there is no folder /nowhere")


def test_a_fault_of_the_program_is_none_that_a_user_can_mend(capsys):
    with pytest.raises(IndexError) as caught:
        [].pop()
    assert mendable_message(caught.value) is None
    show(IndexError, caught.value, caught.tb)
    assert "Traceback (most recent call last)" in capsys.readouterr().err
