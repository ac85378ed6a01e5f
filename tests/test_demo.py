"""`make demo`: the commands that README shows, with options that the bundle has."""

import shlex
import subprocess

from monai.bundle import ConfigParser

from tests.tiny import REPOSITORY, config_file


def commands():
    """The bundle commands of `make demo`, word by word, without running them."""
    shown = subprocess.run(
        ["make", "--dry-run", "--always-make", "demo"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    lines = [line for line in shown.stdout.splitlines() if line.startswith(".venv/bin/python -m monai.bundle run")]
    return [shlex.split(line)[1:] for line in lines]


def test_the_demo_is_two_commands_with_options_that_the_bundle_has():
    train, inference = commands()
    assert inference[-1] == "bundles/cyclegan_mri2ct_inphase/configs/inference.json"
    options = dict(zip(train[3::2], train[4::2], strict=True))
    parser = ConfigParser(ConfigParser.load_config_file(config_file("cyclegan_mri2ct_inphase", "train")))
    assert all(option.removeprefix("--") in parser for option in options if option != "--config_file")
    assert options["--resume"] == "auto"


def test_readme_shows_the_same_commands():
    text = (REPOSITORY / "README.md").read_text().replace("\\\n", " ")
    text = text.replace("$C/", "bundles/cyclegan_mri2ct_inphase/configs/")
    shown = [shlex.split(line)[1:] for line in text.splitlines() if line.startswith("python -m monai.bundle run")]
    assert all(command in shown for command in commands())
