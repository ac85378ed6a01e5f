"""Published files become the networks that they are of, or are refused by the first tensor that does not fit."""

import copy
import json

import pytest
import torch

from tests.published.files import NARROW, SCALES, former, networks, write_files
from tools.published import command
from tools.published.layouts import fitted, read_published
from tools.torch_files import read_state_dict


def fetch(name, folder, out, **options):
    command.fetch_weights(name, weights=str(folder), output_dir=str(out), sizes=NARROW[name], **options)
    return read_state_dict(out / "model.pt")


def assert_equal_states(first, second):
    assert first.keys() == second.keys()
    for key in first:
        assert torch.equal(first[key], second[key]), key


@pytest.mark.parametrize(
    ("bundle", "form", "layout"),
    [
        ("maisi_ct", "rflow", dict),
        ("maisi_ct", "ddpm", dict),
        ("monai_brats_ldm", "ddpm", former),
        ("monai_brain_ldm", "ddpm", former),
        ("monai_brain_ldm", "ddpm", dict),
    ],
)
def test_every_tensor_comes_where_it_belongs(bundle, form, layout, tmp_path, capsys):
    whole = write_files(tmp_path / "files", bundle, form, layout)
    state = fetch(bundle, tmp_path / "files", tmp_path, form=form, accept_license=True)
    assert_equal_states(state, whole.state_dict())
    settings = json.loads((tmp_path / "model.json").read_text())
    assert settings["bundle"] == bundle
    assert set(settings["networks"]) == {name for name, _ in whole.named_children()}
    assert all(licence in capsys.readouterr().out for licence in settings["licences"][:1])
    if bundle == "maisi_ct":
        assert settings["form"] == form
        assert state["scale_factor"] == SCALES["denoiser"]


@pytest.mark.parametrize("bundle", ["monai_brats_ldm", "monai_brain_ldm"])
def test_former_names_are_read_as_monai_reads_them(bundle, tmp_path, capsys):
    whole = write_files(tmp_path, bundle, layout=former)
    blank = networks(bundle)
    for name, network in blank.named_children():
        state = former(getattr(whole, name).state_dict())
        ours = fitted(state, network, tmp_path)
        if any("conv" in key and key not in network.state_dict() for key in state):
            assert any(key not in network.state_dict() for key in state)
        network.load_old_state_dict(copy.copy(state))
        assert_equal_states(ours, network.state_dict())


def test_nothing_is_read_before_the_licence_is_accepted(tmp_path, capsys):
    with pytest.raises(ValueError, match="not accepted: read it, and give --accept_license True"):
        command.fetch_weights("maisi_ct", weights=str(tmp_path / "none"), form="ddpm")
    shown = capsys.readouterr().out
    assert "NVIDIA NCLS v1: research and other non-commercial use alone" in shown
    assert "Open Model" not in shown
    with pytest.raises(ValueError, match="not accepted"):
        command.fetch_weights("maisi_ct", weights=str(tmp_path / "none"), accept_license="yes")
    assert "Open Model" in capsys.readouterr().out


def test_a_file_of_another_network_is_named_by_its_first_tensor(tmp_path):
    write_files(tmp_path / "files", "maisi_ct", "ddpm")
    source = tmp_path / "files" / "input_unet3d_data-all_steps1000size512ddpm_random_current_inputx_v1.pt"
    with pytest.raises(ValueError, match=r"no 'class_embedding.weight' \[128, 128\]") as error:
        fetch("maisi_ct", f"autoencoder={tmp_path}/files/autoencoder_epoch273.pt,denoiser={source}", tmp_path,
              accept_license=True)  # fmt: skip
    assert str(source) in str(error.value)
    assert "DiffusionModelUNetMaisi" in str(error.value)
    assert not (tmp_path / "model.pt").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.pop("encoder.blocks.1.conv1.conv.weight"), "it has no 'encoder.blocks.1.conv1.conv.weight'"),
        (lambda s: s.update({"encoder.blocks.0.conv.bias": torch.zeros(7)}), r"bias' has the shape \[7\], expected"),
        (lambda s: s.update({"more": torch.zeros(7)}), r"1 tensors more, first 'more' \[7\]"),
    ],
)
def test_what_is_missing_of_another_shape_or_too_much(change, said, tmp_path):
    network = networks("monai_brats_ldm").autoencoder
    state = former(network.state_dict())
    names = {key for key in state if key.startswith("encoder.blocks.1.conv1")}
    assert "encoder.blocks.1.conv1.conv.weight" in names
    change(state)
    with pytest.raises(ValueError, match=said):
        fitted(state, network, tmp_path / "autoencoder.pt")


def test_monai_says_nothing_of_a_tensor_that_an_old_file_lacks():
    """Why its `load_old_state_dict` is not called: what is missing stays as it began."""
    network = networks("monai_brats_ldm").denoiser
    state = former(network.state_dict())
    del state["conv_in.conv.weight"]
    network.load_old_state_dict(copy.copy(state))
    with pytest.raises(ValueError, match=r"it has no 'conv_in.conv.weight' \[64, 8, 3, 3, 3\]"):
        fitted(state, network, "model.pt")


def test_files_of_something_else(tmp_path):
    torch.save({"epoch": 3, "state": {}}, tmp_path / "a.pt")
    with pytest.raises(ValueError, match=r"a dictionary with 'epoch', 'state', expected a state dict under 'unet_st"):
        read_published(tmp_path / "a.pt", "unet_state_dict")
    with pytest.raises(ValueError, match="expected a state dict: names with a tensor each"):
        read_published(tmp_path / "a.pt", None)


def test_a_scale_factor_that_is_missing_is_missed(tmp_path):
    whole = write_files(tmp_path / "files", "maisi_ct", "rflow", every=False)
    torch.save({"unet_state_dict": whole.denoiser.state_dict()}, tmp_path / "files" / "diff_unet_3d_rflow-ct.pt")
    with pytest.raises(ValueError, match="has no 'scale_factor'"):
        fetch("maisi_ct", tmp_path / "files", tmp_path, accept_license=True)


def test_files_are_found_or_named_with_their_places(tmp_path):
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "model_autoencoder.pt").touch()
    sources = command.SOURCES["monai_brats_ldm"]["ddpm"]
    with pytest.raises(FileNotFoundError, match=r"no file of the denoiser: looked for model.pt or .*denoiser=FILE"):
        command.found_files(sources, str(tmp_path))
    (tmp_path / "model.pt").touch()
    assert command.found_files(sources, str(tmp_path)) == {
        "autoencoder": tmp_path / "below" / "model_autoencoder.pt",
        "denoiser": tmp_path / "model.pt",
    }
    for given, said in (("encoder=a", "names encoder, expected"), (f"denoiser={tmp_path}/no", "is no file")):
        with pytest.raises((ValueError, FileNotFoundError), match=said):
            command.found_files(sources, given)


def test_label_maps_need_all_of_their_networks(tmp_path):
    for name in ("autoencoder_v1.pt", "diff_unet_3d_rflow-ct.pt", "mask_generation_autoencoder.pt"):
        (tmp_path / name).touch()
    with pytest.raises(ValueError, match="make label maps, and none of the controlnet, mask_denoiser"):
        command.found_files(command.SOURCES["maisi_ct"]["rflow"], str(tmp_path))


def test_without_a_connection_it_is_said_where_to_fetch(tmp_path, monkeypatch):
    def no_connection(url, **options):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(command, "download_url", no_connection)
    with pytest.raises(OSError, match=r"could not be fetched from https://huggingface.co/nvidia.*give its folder with"):
        command.fetch_weights("maisi_ct", accept_license=True, download_dir=str(tmp_path))


def test_downloads_are_held_against_their_checksums(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(command, "download_url", lambda url, **options: asked.append((url, options)))
    sources = command.SOURCES["monai_brats_ldm"]["ddpm"]
    assert command.downloaded(sources, tmp_path)["denoiser"] == tmp_path / "model.pt"
    assert asked[1][1] == {
        "filepath": tmp_path / "model.pt",
        "hash_val": "35258b1112f701f3d485676d33141a55",
        "hash_type": "md5",
    }
    assert all(url.startswith("https://") for url, _ in asked)
