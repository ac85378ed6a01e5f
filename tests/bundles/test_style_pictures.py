"""The pictures of styles of a bundle, with weights of the first step of a training, and real slices as styles."""

import json
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser, run
from PIL import Image

from tests.tiny import BUNDLES, REPOSITORY, config_file, makes_slices, tiny, train_config
from tools.engines.weights import save_model

STYLED = [name for name in BUNDLES if makes_slices(name) and Path(config_file(name, "mixing")).is_file()]
OF_EACH = {train_config(name)["objective"]["_target_"]: name for name in STYLED}
"""One bundle of each objective."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Of each bundle, made once, as its training saves them; where it can be chosen, of another architecture."""
    made = {}

    def written(bundle):
        if bundle not in made:
            folder = tmp_path_factory.mktemp(bundle)
            parser = ConfigParser(train_config(bundle))
            other = {"generator_architecture": "resnet"} if "generator_architecture" in parser else {}
            parser.update(tiny(bundle, folder, **other))
            settings = {
                "bundle": bundle,
                **{id: parser.get_parsed_content(id) for id in parser["settings"] if id in parser},
            }
            save_model(folder / "models" / "model.pt", parser.get_parsed_content("network_def"), settings, "model")
            made[bundle] = folder
        return made[bundle]

    return written


@pytest.mark.parametrize("bundle", OF_EACH.values())
def test_a_grid_and_a_way(bundle, weights, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(REPOSITORY)
    given = {"bundle_root": str(weights(bundle)), "output_dir": str(tmp_path), "device": "cpu", "truncation": 0.7}
    run(config_file=config_file(bundle, "mixing"), rows=1, columns=2, coarse_layers=2, **given)
    run(config_file=config_file(bundle, "interpolation"), stops=2, steps=2, frames=2, **given)
    said = capsys.readouterr().out
    for file in ("mixing.png", "interpolation.png", "interpolation.gif"):
        assert (tmp_path / file).is_file()
        assert str(tmp_path / file) in said
    assert json.loads(Image.open(tmp_path / "mixing.png").text["provenance"])["bundle"] == bundle
    assert bundle.encode() in Image.open(tmp_path / "interpolation.gif").info["comment"]


def test_real_slices_are_projected(weights, tmp_path, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    bundle = "stylegan2_brats"
    options = tiny(bundle, tmp_path, num_real=1, projection_steps=2)
    files = [config_file(bundle, config) for config in ("train", "projection")]
    run(config_file=files, ckpt_path=str(weights(bundle) / "models" / "model.pt"), **options)
    folder = tmp_path / "eval" / "projections"
    (name,) = json.loads((folder / "projections.json").read_text())
    assert Image.open(folder / f"{name}.png").size[0] == 194 * 5
    assert torch.load(folder / f"{name}.pt", weights_only=True)["w"].shape == (options["style_dim"],)
