"""Weights say what they are: the right network is built from them, or none."""

import json
import logging
import os
from collections import OrderedDict

import numpy as np
import pytest
import torch
from ignite.handlers import Checkpoint
from monai.bundle import ckpt_export, load
from monai.networks.utils import copy_model_state

from tests.tiny import REPOSITORY
from tools.engines.weights import ModelLoader, model_settings, save_model, settings_in, weights_beside
from tools.networks.cyclegan import TranslationGenerator
from tools.networks.hierarchical_gan import Generator, HierarchicalGenerator
from tools.torch_files import read_state_dict

NAME = "crf_gan_luna16"
SETTINGS = {
    **{"bundle": NAME, "image_size": 32, "latent_dim": 16, "base_channels": 8, "num_classes": 0, "epoch": 3},
    **{"window": [-1000, 500], "data": {"field_of_view_mm": [300.0, 310.0, 320.0]}},
}


def generator(size=32, **options):
    return Generator(size, **{"latent_dim": 16, "base_channels": 8} | options)


def old(network):
    """A state dict as it was before networks described themselves."""
    state = {key: value for key, value in network.state_dict().items() if not key.endswith("_extra_state")}
    assert len(state) < len(network.state_dict())
    return state


def equal(network, other):
    mine, others = dict(network.named_parameters()), dict(other.named_parameters())
    return mine.keys() == others.keys() and all(torch.equal(mine[key], others[key]) for key in mine)


def by_ignite(network, path):
    Checkpoint.load_objects(to_load={"": network}, checkpoint=str(path))


def by_monai(network, path):
    copy_model_state(network, torch.load(path, weights_only=True))


def by_torch(network, path):
    network.load_state_dict(torch.load(path, weights_only=True))


def by_loader(network, path):
    ModelLoader(path, network).load()


def by_client(network, path):
    """As a federated client: NumPy arrays of a mean over two sites, in double precision."""
    state = torch.load(path, weights_only=True)
    mean = {key: np.mean([value.numpy(), value.numpy()], axis=0, dtype=np.float64) for key, value in state.items()}
    copy_model_state(network, {key: torch.from_numpy(value) for key, value in mean.items()})


WAYS = [by_torch, by_loader, by_monai, by_ignite, by_client]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"size": 64}, r"with image_size 32, and this Generator has image_size 64.*--image_size 32"),
        ({"size": 256}, r"with image_size 32, and this Generator has image_size 256"),
        ({"base_channels": 16}, r"base_channels 8.*base_channels 16.*--base_channels 8"),
        ({"num_classes": 2}, r"num_classes 0.*num_classes 2"),
    ],
)
def test_weights_of_another_size_are_refused_by_every_way(tmp_path, way, other, message):
    save_model(tmp_path / "model.pt", generator(), SETTINGS)
    with pytest.raises(ValueError, match=message):
        way(generator(**other), tmp_path / "model.pt")
    same = generator()
    way(same, tmp_path / "model.pt")
    assert equal(same, generator_of(tmp_path / "model.pt"))


def generator_of(path):
    network = generator()
    network.load_state_dict(torch.load(path, weights_only=True))
    return network


@pytest.mark.parametrize("way", [by_loader, by_monai])
def test_translation_too(tmp_path, way):
    """MONAI copies what fits: of another width nothing but biases of one value."""
    save_model(tmp_path / "model.pt", TranslationGenerator(channels=4, blocks=1, branch_blocks=0), SETTINGS)
    with pytest.raises(ValueError, match="channels 4, and this TranslationGenerator has channels 8"):
        way(TranslationGenerator(channels=8, blocks=1, branch_blocks=0), tmp_path / "model.pt")


def test_initial_weights_and_names_are_as_before():
    """The description is beside parameters and buffers, and takes no random numbers."""
    torch.manual_seed(0)
    network = HierarchicalGenerator(32, 16, 16)
    drawn = torch.rand(())
    torch.manual_seed(0)
    again = HierarchicalGenerator(32, 16, 16)
    again.state_dict()
    assert torch.equal(drawn, torch.rand(()))
    assert equal(network, again)
    names = [name for name, _ in network.named_parameters()]
    assert list(network.state_dict()) == ["_extra_state", *names]
    assert all(isinstance(value, torch.Tensor) for value in network.state_dict().values())


@pytest.mark.parametrize("way", [by_torch, by_loader, by_ignite])
def test_older_files_load_with_a_word(tmp_path, way, caplog):
    network, other = generator(), generator(64)
    torch.save(old(network), tmp_path / "model.pt")
    with caplog.at_level(logging.WARNING):
        way(other, tmp_path / "model.pt")
    assert equal(network, other)
    assert (
        "do not say of which network they are: taken for a Generator with image_size 64, latent_dim 16" in caplog.text
    )


def test_shapes_that_do_not_fit_are_named_for_older_files(tmp_path):
    torch.save(old(generator()), tmp_path / "model.pt")
    with pytest.raises(ValueError, match=r"model\.pt do not fit the network.*is --image_size.*size mismatch for embed"):
        ModelLoader(tmp_path / "model.pt", generator(base_channels=16)).load()


def test_a_description_that_cannot_be_read_is_said(caplog):
    state = generator().state_dict()
    state["_extra_state"] = torch.randint(256, (256,), dtype=torch.uint8)
    with caplog.at_level(logging.WARNING):
        generator(64).load_state_dict(state)
    assert "cannot be read: taken for a Generator with image_size 64" in caplog.text


def test_settings_are_in_the_file_itself(tmp_path, caplog):
    """Also of a network that does not describe itself; the file stays a plain state dict."""
    for network in (generator(), torch.nn.Linear(2, 2)):
        save_model(tmp_path / "model.pt", network, SETTINGS, "model")
        assert isinstance(torch.load(tmp_path / "model.pt", weights_only=True), OrderedDict)
        assert settings_in(read_state_dict(tmp_path / "model.pt")) == SETTINGS
        os.remove(tmp_path / "model.json")
        default = {"image_size": 256, "window": [0, 1], "x": 1}
        with caplog.at_level(logging.WARNING):
            assert model_settings(tmp_path / "model.pt", default) == SETTINGS | {"x": 1}
        assert "model.pt does not say how it was trained" in caplog.text
        assert "taken for x 1." in caplog.text
        caplog.clear()
        assert model_settings(tmp_path / "model.pt", {"image_size": 256}) == SETTINGS
        assert caplog.text == ""


def test_settings_come_back_as_json_has_them(tmp_path, caplog):
    """A tuple of the command line, and a number of NumPy, which torch refuses to read."""
    save_model(tmp_path / "model.pt", generator(), {"window": (0, 1000), "fid": np.float64(1.5)})
    with caplog.at_level(logging.WARNING):
        assert model_settings(tmp_path / "model.pt") == {"window": [0, 1000], "fid": 1.5}
    assert caplog.text == ""


def test_the_file_holds_where_the_one_beside_it_differs(tmp_path, caplog):
    save_model(tmp_path / "model.pt", generator(), SETTINGS)
    (tmp_path / "model.json").write_text(json.dumps(SETTINGS | {"image_size": 64, "note": "mine"}))
    with caplog.at_level(logging.WARNING):
        assert model_settings(tmp_path / "model.pt") == SETTINGS | {"note": "mine"}
    assert "model.json is not of the weights beside it, which were trained with image_size 32 (not 64)" in caplog.text


def test_a_bare_state_dict_says_the_size_and_a_warning_the_rest(tmp_path, caplog):
    torch.save(dict(generator().state_dict()), tmp_path / "mail.pt")
    default = {"image_size": 256, "latent_dim": 1024, "base_channels": 32, "num_classes": 0, "window": [-1024, 600]}
    with caplog.at_level(logging.WARNING):
        found = model_settings(tmp_path / "mail.pt", default)
    assert found == default | {"image_size": 32, "latent_dim": 16, "base_channels": 8}
    assert "no mail.json beside it that does: taken for window [-1024, 600]." in caplog.text
    torch.save(old(generator()), tmp_path / "mail.pt")
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert model_settings(tmp_path / "mail.pt", default) == default
    assert "taken for image_size 256, latent_dim 1024" in caplog.text


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        ({"bundle": "crf_gan_gsp"}, "weights of the bundle crf_gan_luna16, expected crf_gan_gsp"),
        ({"bundle": NAME, "network": "model_ct2mr"}, "weights of the network model, expected model_ct2mr"),
    ],
)
def test_weights_of_another_bundle_or_direction_are_refused(tmp_path, expected, message):
    save_model(tmp_path / "model.pt", generator(), SETTINGS, "model")
    with pytest.raises(ValueError, match=message):
        model_settings(tmp_path / "model.pt", **expected)
    assert model_settings(tmp_path / "model.pt", bundle=NAME, network="model") == SETTINGS


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A bundle's folder with weights of 32 voxels, as the working folder's `bundles` has it."""
    folder = tmp_path / "bundles" / NAME
    (folder / "models").mkdir(parents=True)
    (folder / "configs").symlink_to(REPOSITORY / "bundles" / NAME / "configs")
    save_model(folder / "models" / "model.pt", generator(), SETTINGS, "model")
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.mark.parametrize("sidecar", [True, False])
def test_monai_builds_the_trained_network_or_none(folder, sidecar):
    if not sidecar:
        os.remove(folder / "models" / "model.json")
    network = load(NAME, bundle_dir="bundles", workflow_type="inference")
    assert equal(network, generator_of(folder / "models" / "model.pt"))
    assert network(torch.zeros(1, 16)).shape == (1, 1, 32, 32, 32)
    with pytest.raises(ValueError, match=r"image_size 32.* has image_size 64"):
        load(NAME, bundle_dir="bundles", workflow_type="train")


def test_export_refuses_another_size(folder):
    configs, script = REPOSITORY / "bundles" / NAME / "configs", folder / "model.ts"
    options = {
        **{"net_id": "network_def", "filepath": str(script), "ckpt_file": str(folder / "models" / "model.pt")},
        **{"meta_file": str(configs / "metadata.json"), "latent_dim": 16, "base_channels": 8},
    }
    with pytest.raises(ValueError, match=r"image_size 32.* has image_size 64"):
        ckpt_export(config_file=str(configs / "train.json"), **options)
    ckpt_export(config_file=str(configs / "inference.json"), **options)
    assert torch.jit.load(script)(torch.zeros(1, 16)).shape == (1, 1, 32, 32, 32)


def test_weights_of_the_last_epoch_are_pointed_at(tmp_path):
    """Where no validation has chosen the best, and are not taken unasked."""
    network, other = torch.nn.Linear(2, 3), torch.nn.Linear(2, 3)
    save_model(tmp_path / "model_last.pt", network, {})
    loader = ModelLoader(tmp_path / "model.pt", other)
    with pytest.raises(
        FileNotFoundError, match=r"no weights at .*model\.pt: .*--ckpt_path .*model_last\.pt takes them"
    ):
        loader.load()
    ModelLoader(tmp_path / "model_last.pt", other).load()
    assert torch.equal(other.weight, network.weight)
    assert weights_beside(tmp_path / "model_last.pt", "encoders") == str(tmp_path / "encoders_last.pt")
    assert weights_beside(tmp_path / "model.pt", "encoders") == str(tmp_path / "encoders.pt")
