"""What a bundle of labelled slices does besides what every bundle does: classes, guidance, other samples, layouts."""

import json

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser, run
from PIL import Image

from tests.tiny import config_file, few_steps, makes_slices, tiny, train_config


@pytest.fixture
def of_slices(bundle):
    if not makes_slices(bundle):
        pytest.skip("this bundle makes volumes")
    return bundle


@pytest.mark.parametrize("scale", [1, 0, 3])
def test_guidance_is_its_formula(of_slices, trained, scale):
    """Ho and Salimans: the answer without a class and ``scale`` times the difference that it makes, by DDIM."""
    if "guidance" not in train_config(of_slices):
        pytest.skip("this bundle has no guidance")
    parser = ConfigParser(ConfigParser.load_config_file(config_file(of_slices, "inference")))
    parser.update({"bundle_root": str(trained), "guidance": scale, "num_volumes": 1, **few_steps(of_slices)})
    network = parser.get_parsed_content("network").eval()
    torch.manual_seed(0)
    for parameter in network.parameters():  # MONAI's last layers begin with zeros
        torch.nn.init.normal_(parameter, std=0.3)
    noise = parser.get_parsed_content("dataset")[0]["latent"][None]
    abar = (1 - torch.linspace(1e-4, 0.02, 4)).cumprod(0).tolist()
    x = noise
    with torch.no_grad():
        for t in (3, 2, 1, 0):
            answer, without = (network(x, torch.tensor([t]), class_labels=torch.tensor([c])) for c in (1, 2))
            assert (answer - without).abs().max() > 1e-2
            n = {0: without, 1: answer}.get(scale, without + scale * (answer - without))
            before = abar[t - 1] if t else 1.0
            x0 = ((x - (1 - abar[t]) ** 0.5 * n) / abar[t] ** 0.5).clamp(-1, 1)
            x = before**0.5 * x0 + (1 - before) ** 0.5 * n
    made = parser.get_parsed_content("inferer")(noise, network, label=torch.tensor([1]))
    torch.testing.assert_close(made, x, rtol=1e-4, atol=1e-4)


def test_the_papers_slices_without_classes(of_slices, trained, tmp_path):
    """One label channel of the values in the files times 40 in another order of contrasts; pictures come out."""
    if "t1ce" not in train_config(of_slices)["images"]:
        pytest.skip("this bundle's slices are not those of the paper")
    (tmp_path / "phantoms").symlink_to(trained / "phantoms")
    images = {"t1ce": 100, "t1": 100, "flair": 100, "t2": 100}
    sample = {"images": images, "encoding": 40, "classes": {}, "balance": {"oedema": 0.5}}
    own = {"prediction": "v"} if "prediction" in train_config(of_slices) else {}
    run(config_file=config_file(of_slices, "train"), **tiny(of_slices, tmp_path, max_epochs=1, **sample, **own))
    settings = json.loads((tmp_path / "models" / "model.json").read_text())
    assert {key: settings[key] for key in ("images", "encoding", "classes")} == {
        key: sample[key] for key in ("images", "encoding", "classes")
    }
    assert settings["data"]["field_of_view_mm"] == pytest.approx([155 / 26, 256, 256], rel=0.03)
    out = {"output_dir": str(tmp_path / "out"), "num_volumes": 1, "layout": "png", **few_steps(of_slices)}
    run(config_file=config_file(of_slices, "inference"), bundle_root=str(tmp_path), **out)
    said = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert [*said["channel_names"].values()] == [*images]
    (case,) = said["training"]
    pixels = np.stack([np.asarray(Image.open(tmp_path / "out" / path)) for path in case["image"]])
    assert (pixels.shape, pixels.dtype) == ((4, 32, 32), np.uint16)
    assert pixels.max() <= 1000


def test_a_size_that_the_network_cannot_halve(of_slices, tmp_path):
    if "network_channels" not in train_config(of_slices):
        pytest.skip("this bundle's network does not halve slices by its widths")
    parser = ConfigParser(train_config(of_slices) | {"bundle_root": str(tmp_path), "image_size": 33})
    with pytest.raises(RuntimeError) as error:
        parser.get_parsed_content("train#preprocessing")
    assert "--image_size 33 is not divisible by 4" in str(error.value.__cause__)
