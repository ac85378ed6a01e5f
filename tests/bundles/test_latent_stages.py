"""Latent diffusion is trained in two stages by one command, which goes on in whichever it was stopped."""

import pytest
import torch
from monai.bundle import run

from tests.tiny import REPOSITORY, config_file, copy_phantoms, tiny, train_config

BUNDLE = "ldm_hippocampus"


def train(folder, **overrides):
    small = tiny(BUNDLE, folder, device="cpu", max_epochs=1, autoencoder_epochs=2, adversarial_start=1)
    run(config_file=config_file(BUNDLE, "train"), **small | {"phantoms#count": 4} | overrides)


def weights(folder):
    return torch.load(folder / "models" / "model_last.pt", weights_only=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(REPOSITORY)
        train(folder)
    return folder


def test_a_run_that_was_stopped_in_the_first_stage_goes_on_there(whole, tmp_path, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    copy_phantoms(whole, tmp_path)
    commands = train_config(BUNDLE)["run"]
    train(tmp_path, autoencoder_epochs=1, run=commands[: commands.index("$@compress#trainer.run()") + 1])
    assert not (tmp_path / "models" / "model_last.pt").exists()
    train(tmp_path, resume="auto")
    found, expected = weights(tmp_path), weights(whole)
    assert [name for name in expected if not torch.equal(found[name], expected[name])] == []
    assert expected["autoencoder.scale"] > 0


def test_a_checkpoint_of_the_second_stage_brings_its_autoencoder(whole):
    """With the scale, to the last bit, whatever the first stage's checkpoints are."""
    checkpoint = torch.load(whole / "models" / "checkpoint_epoch=1.pt", weights_only=True)
    assert checkpoint["networks"].keys() == {"denoiser"}
    expected = weights(whole)
    for name, value in checkpoint["also"]["autoencoder"].items():
        assert torch.equal(value, expected[f"autoencoder.{name}"]), name
    first = torch.load(whole / "models" / "autoencoder" / "checkpoint_epoch=2.pt", weights_only=True)
    assert first["networks"].keys() == {"autoencoder", "discriminator"}
    # the discriminator began in the second epoch
    steps = {name: {int(one["step"]) for one in state["state"].values()} for name, state in first["optimizers"].items()}
    assert steps == {"autoencoder": {first["iteration"]}, "discriminator": {first["iteration"] // 2}}
