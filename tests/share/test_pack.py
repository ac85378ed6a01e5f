"""Packing: the same bytes every time, and a refusal, with all reasons, for what would not run elsewhere."""

import hashlib
import io
import json
import os
import runpy
import shutil
import socket
import sys
import zipfile

import pytest
import torch
from monai.bundle import ConfigParser, verify_metadata

from tests.share.helpers import SCHEMA, packed
from tests.tiny import REPOSITORY, TINY
from tools.__main__ import main
from tools.catalogue.write import bundles
from tools.share import pack as packing
from tools.share import zoo
from tools.share.archive import check_archive, checksums, unpack
from tools.share.card import model_card, training_facts
from tools.share.configs import config_files, load_config
from tools.share.content import config_entries
from tools.share.dependencies import follow
from tools.share.metadata import packed_metadata
from tools.share.pack import pack_bundle
from tools.share.torchscript import normalised

NAME = "crf_gan_luna16"
FAMILY, ENTRY = bundles()[NAME]
VERSION = FAMILY.metadata(ENTRY)["version"]
SETTINGS = {
    **{"bundle": NAME, "image_size": 32, "latent_dim": 16, "base_channels": 16, "num_classes": 0, "epoch": 3},
    **{"window": [-1024, 600], "seed": 0, "batch_size": 2, "precision": "fp32", "fid": 12.3456},
    "data": {"kind": "phantom", "volumes": 6, "field_of_view_mm": [300.0, 300.0, 300.0], "phantom": {"count": 8}},
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """What a training leaves behind, with weights that were not trained."""
    folder = tmp_path_factory.mktemp("trained")
    parser = ConfigParser(ConfigParser.load_config_file(REPOSITORY / "bundles" / NAME / "configs" / "train.json"))
    parser.update({key: TINY[key] for key in ("image_size", "latent_dim", "base_channels")})
    (folder / "models").mkdir()
    torch.save(parser.get_parsed_content("network_def").state_dict(), folder / "models" / "model.pt")
    (folder / "models" / "model.json").write_text(json.dumps(SETTINGS))
    return folder


@pytest.fixture(scope="module")
def archive(trained, machine, tmp_path_factory):
    return packed(machine, NAME, output_dir=tmp_path_factory.mktemp("one"), trained=trained)


@pytest.fixture
def copied(tmp_path):
    """A copy of the bundle that a test may spoil: (folder of bundles, the bundle's folder)."""
    shutil.copytree(REPOSITORY / "bundles" / NAME, tmp_path / "bundles" / NAME)
    return tmp_path / "bundles", tmp_path / "bundles" / NAME


@pytest.fixture(scope="module")
def needed():
    """Modules that the bundle needs, looked for once."""
    content = {path.name: load_config(path) for path in config_files(REPOSITORY / "bundles" / NAME)}
    return follow(REPOSITORY, config_entries(content))


@pytest.fixture
def unchecked(monkeypatch, needed):
    """Without the search for modules and the checks in a process of its own, for tests of what is around them."""
    monkeypatch.setattr(packing, "follow", lambda root, entries: needed)
    monkeypatch.setattr(packing, "checked", lambda name, files, schema=None: b"TorchScript")


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_two_packs_are_the_same(archive, trained, tmp_path, capsys):
    (tmp_path / "copy" / "models").mkdir(parents=True)
    for name in ("model.json", "model.pt"):
        shutil.copy(trained / "models" / name, tmp_path / "copy" / "models" / name)
    # as if saved under another name, which torch writes into the file
    state = torch.load(trained / "models" / "model.pt", weights_only=True)
    torch.save(state, tmp_path / "copy" / "models" / "other.pt")
    (tmp_path / "copy" / "models" / "other.pt").replace(tmp_path / "copy" / "models" / "model.pt")
    options = ["--trained", str(tmp_path / "copy"), "--output_dir", str(tmp_path), "--filepath", str(SCHEMA)]
    main(["pack", NAME, *options])
    again = tmp_path / f"{NAME}_v{VERSION}.zip"
    assert again.read_bytes() == archive.read_bytes()
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert capsys.readouterr().out.endswith(f"{again}\nsha256 {digest}\n")


def test_an_unpacked_archive_passes_the_zoos_checks(archive, tmp_path):
    folder = unpack(archive, tmp_path)
    assert zoo.check_files(folder) == []
    assert zoo.check_keys(folder) == []
    assert zoo.check_metadata(folder) == []
    assert zoo.check_schema(folder, str(SCHEMA)) == []
    name = json.loads((folder / "configs" / "metadata.json").read_text())
    assert name["network_data_format"]["inputs"]["image"]["num_channels"] == 16
    assert name["network_data_format"]["outputs"]["pred"]["spatial_shape"] == [32, 32, 32]
    assert "matplotlib" in name["required_packages_version"]


def set_interval(config):
    (validation,) = [handler for handler in config["train"]["handlers"] if "interval" in handler]
    validation["interval"] = 2


def test_what_the_zoo_would_refuse(archive, tmp_path):
    folder = unpack(archive, tmp_path)
    edit(folder / "configs" / "inference.json", lambda c: c.pop("network_def"))
    edit(folder / "configs" / "train.json", lambda c: c.update(val_interval=1, validate={"evaluator": 1}))
    edit(folder / "configs" / "train.json", set_interval)
    assert zoo.check_keys(folder) == [
        "configs/inference.json has no network_def",
        "configs/train.json has no validate#handlers",
        "configs/train.json has no validate#dataset",
        "configs/train.json: the ValidationHandler's interval must be @val_interval",
    ]
    edit(folder / "configs" / "metadata.json", lambda c: c.update(version="9.0.0") or c.pop("authors"))
    assert zoo.check_metadata(folder) == ["version 9.0.0 is not in the changelog of configs/metadata.json"]
    (problem,) = zoo.check_schema(folder, str(SCHEMA))
    assert "'authors' is a required property" in problem
    assert "no such file" in zoo.check_schema(folder, str(tmp_path / "none.json"))[0]
    (folder / "LICENSE").unlink()
    (folder / "models" / "model.pt").unlink()
    assert zoo.check_bundle(folder) == ["LICENSE is missing", "models/model.pt is missing"]


def test_metadata_verify_without_a_network(archive, tmp_path, monkeypatch):
    def no_network(*_):
        raise OSError("no network")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    folder = unpack(archive, tmp_path)
    assert zoo.check_schema(folder) == []
    packed = folder / "tools" / "metadata_schema.json"
    verify_metadata(meta_file=str(folder / "configs" / "metadata.json"), filepath=str(packed))
    edit(folder / "configs" / "metadata.json", lambda c: c.pop("authors"))
    (problem,) = zoo.check_schema(folder)
    assert "'authors' is a required property" in problem


def test_a_schema_that_cannot_be_fetched(archive, tmp_path, monkeypatch):
    folder = unpack(archive, tmp_path)
    edit(folder / "configs" / "metadata.json", lambda c: c.update(schema="http://127.0.0.1:9/schema.json"))
    (problem,) = zoo.check_schema(folder)
    assert "could not be fetched" in problem
    assert "give a local copy with --filepath" in problem


def test_a_bundle_without_weights(tmp_path, copied):
    with pytest.raises(SystemExit) as stopped:
        main(["pack", NAME, "--bundles_dir", str(copied[0]), "--output_dir", str(tmp_path)])
    message = str(stopped.value)
    assert message.startswith(f"ValueError: {NAME} cannot be packed:")
    assert "no weights at" in message
    assert "Train the bundle first" in message
    with pytest.raises(FileNotFoundError, match=rf"no bundle at .*gone.*Known: .*{NAME}"):
        pack_bundle("gone")


def test_weights_of_the_last_epoch_on_request(tmp_path, trained, unchecked):
    (tmp_path / "models").mkdir()
    for ending in (".pt", ".json"):
        shutil.copy(trained / "models" / f"model{ending}", tmp_path / "models" / f"model_last{ending}")
    common = {"trained": tmp_path, "output_dir": tmp_path, "filepath": SCHEMA}
    with pytest.raises(ValueError, match=r"no weights at .*model\.pt: .*--last True packs those of the last epoch"):
        pack_bundle(NAME, **common)
    with zipfile.ZipFile(pack_bundle(NAME, last=True, **common)) as archive:
        packed = torch.load(io.BytesIO(archive.read(f"{NAME}/models/model.pt")), weights_only=True)
        assert json.loads(archive.read(f"{NAME}/models/model.json")) == SETTINGS
    expected = torch.load(trained / "models" / "model.pt", weights_only=True)
    assert all(torch.equal(packed[key], value) for key, value in expected.items())


def test_unmet_references_targets_and_imports(tmp_path, copied, trained):
    bundles, folder = copied

    def spoil(config):
        config["imports"] += ["$import tools.gone as gone", "$import tools.data as data"]
        config["network_def"]["_target_"] = "tools.networks.hierarchical_gan.Gone"
        config["datalist"] = "$data.gone()"

    edit(folder / "configs" / "inference.json", spoil)
    with pytest.raises(ValueError, match="cannot be packed") as error:
        pack_bundle(NAME, bundles_dir=bundles, trained=trained, output_dir=tmp_path, filepath=SCHEMA)
    for line in ("tools has no gone", "tools.networks.hierarchical_gan has no Gone", "tools.data has no gone"):
        assert line in str(error.value)


def test_a_reference_that_leads_nowhere(tmp_path, copied, trained):
    edit(copied[1] / "configs" / "evaluate.json", lambda c: c.update(trained="$@gone + @bundle_root"))
    with pytest.raises(ValueError, match=r"evaluate.json: trained refers to @gone"):
        pack_bundle(NAME, bundles_dir=copied[0], trained=trained, output_dir=tmp_path, filepath=SCHEMA)
    assert list(tmp_path.glob("*.zip")) == []


def test_metadata_that_does_not_verify(tmp_path, copied, trained):
    edit(copied[1] / "configs" / "metadata.json", lambda c: c.update(authors=7))
    with pytest.raises(ValueError, match=r"metadata.json does not verify: 7 is not of type 'string'"):
        pack_bundle(NAME, bundles_dir=copied[0], trained=trained, output_dir=tmp_path, filepath=SCHEMA)


def in_a_fork(arguments, folder):
    """Run the checks as a program, in a copy of this process that has imported torch already, but not `tools`."""
    child = os.fork()
    if child == 0:
        os.chdir(folder)
        for name in [name for name in sys.modules if name.split(".")[0] == "tools"]:
            del sys.modules[name]
        sys.argv = [zoo.__file__, *arguments]
        runpy.run_path(zoo.__file__, run_name="__main__")
        os._exit(0)
    return str(os.waitpid(child, 0))


def test_weights_that_do_not_fit_are_found_where_the_bundle_will_run(tmp_path, trained, monkeypatch):
    monkeypatch.setattr(packing, "run_checks", in_a_fork)
    (tmp_path / "models").mkdir()
    torch.save({"linear.weight": torch.zeros(2, 2)}, tmp_path / "models" / "model.pt")
    shutil.copy(trained / "models" / "model.json", tmp_path / "models")
    with pytest.raises(ValueError, match=r"models/model.pt does not export to TorchScript"):
        pack_bundle(NAME, trained=tmp_path, output_dir=tmp_path, filepath=SCHEMA)


def test_weights_that_are_no_tensors(tmp_path, trained):
    (tmp_path / "models").mkdir()
    torch.save({"linear.weight": "text"}, tmp_path / "models" / "model.pt")
    shutil.copy(trained / "models" / "model.json", tmp_path / "models")
    with pytest.raises(ValueError, match=r"does not load as weights alone .*linear.weight is no tensor"):
        pack_bundle(NAME, trained=tmp_path, output_dir=tmp_path, filepath=SCHEMA)


def test_versions(tmp_path, copied, trained, unchecked):
    bundles, folder = copied
    common = {"bundles_dir": bundles, "trained": trained, "output_dir": tmp_path}
    with pytest.raises(ValueError, match=r"version 9.1.0 is not in the changelog"):
        pack_bundle(NAME, version="9.1.0", **common)
    with pytest.raises(ValueError, match="must look like"):
        pack_bundle(NAME, version="two", **common)
    edit(folder / "configs" / "metadata.json", lambda c: c["changelog"].update({"9.1.0": "more"}))
    path = pack_bundle(NAME, version="9.1.0", **common)
    assert path.name == f"{NAME}_v9.1.0.zip"
    with zipfile.ZipFile(path) as file:
        assert json.loads(file.read(f"{NAME}/configs/metadata.json"))["version"] == "9.1.0"
        # which the files that it makes will name
        assert json.loads(file.read(f"{NAME}/configs/inference.json"))["origin"]["version"] == "9.1.0"
        assert "9.1.0: more" in file.read(f"{NAME}/docs/README.md").decode()
    release = tmp_path / "model_info.json"
    release.write_text(json.dumps({f"{NAME}_v{VERSION}": {}}))
    pack_bundle(NAME, version="9.1.0", model_info=release, **common)
    with pytest.raises(ValueError, match=rf"version {VERSION} of {NAME} is published already"):
        pack_bundle(NAME, model_info=release, **common)
    (bundles / "net_v").mkdir()
    shutil.copytree(folder / "configs", bundles / "net_v" / "configs")
    with pytest.raises(ValueError, match="must not contain '_v'"):
        pack_bundle("net_v", **common)


def test_large_weights_beside_the_archive(tmp_path, trained, unchecked):
    common = {"trained": trained, "output_dir": tmp_path, "filepath": SCHEMA, "large_file_mb": 1}
    with pytest.raises(ValueError, match="--large_file_mb needs --base_url"):
        pack_bundle(NAME, **common)
    path = pack_bundle(NAME, base_url="https://example.org/v1", **common)
    beside = tmp_path / f"{NAME}_v{VERSION}_model.pt"
    assert check_archive(path) == NAME
    folder = unpack(path, tmp_path / "out")
    assert not (folder / "models" / "model.pt").exists()
    (item,) = ConfigParser.load_config_file(str(folder / "large_files.yml"))["large_files"]
    assert item == {
        "path": "models/model.pt",
        "url": f"https://example.org/v1/{beside.name}",
        "hash_val": hashlib.sha256(beside.read_bytes()).hexdigest(),
        "hash_type": "sha256",
    }
    assert zoo.check_files(folder) == []
    assert "download_large_files" in (folder / "docs" / "README.md").read_text()
    assert "PyYAML" in (folder / "requirements.txt").read_text()


def test_checksums_are_in_the_form_of_sha256sum(archive, tmp_path):
    folder = unpack(archive, tmp_path)
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != "SHA256SUMS"]
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    assert (folder / "SHA256SUMS").read_text() == checksums(files)


def test_packed_torchscript_is_normalised(archive, tmp_path):
    content = (unpack(archive, tmp_path) / "models" / "model.ts").read_bytes()
    assert normalised(content) == content


def test_packed_code_is_left_alone_by_the_zoos_black_isort_and_flake8(archive):
    with zipfile.ZipFile(archive) as file:
        code = {name: file.read(name).decode() for name in file.namelist() if name.endswith(".py")}
    assert f"{NAME}/own_tools.py" in code
    for name, text in code.items():
        comments = [line for line in text.split("\n")[:4] if line.startswith("#")]
        assert {"# flake8: noqa", "# isort: skip_file", "# fmt: off"} <= set(comments), name
        assert text == text.rstrip("\n") + "\n", name  # black looks at the end of a file in any case
        compile(text, name, "exec")


def test_packed_torchscript_says_what_it_is(archive, tmp_path):
    folder = unpack(archive, tmp_path)
    extra = {"metadata.json": "", "inference.json": "", "provenance.json": ""}
    torch.jit.load(folder / "models" / "model.ts", _extra_files=extra)
    assert json.loads(extra["metadata.json"])["version"] == VERSION
    # alone, the network has no `model.json` beside it
    assert json.loads(extra["inference.json"])["defaults"]["image_size"] == 32
    record = json.loads(extra["provenance.json"])
    assert (record["bundle"], record["version"], record["synthetic"]) == (NAME, VERSION, True)
    assert record["weights_sha256"] == hashlib.sha256((folder / "models" / "model.pt").read_bytes()).hexdigest()


def test_a_slab_of_slices_has_more_channels():
    tensor = {"num_channels": 2, "spatial_shape": ["32*n", "32*n"], "channel_def": {"0": "T1", "1": "T2"}}
    metadata = {"version": "0.1.0", "changelog": {"0.1.0": ""}, "network_data_format": {"inputs": {"image": tensor}}}
    packed = packed_metadata(metadata, {"slices": 3, "image_size": 64}, {"monai": "1.6.1", "scipy": "1.0"})
    image = packed["network_data_format"]["inputs"]["image"]
    assert image["num_channels"] == 6
    assert image["channel_def"]["3"] == "T2, slice 1 of 3"
    assert image["spatial_shape"] == ["32*n", "32*n"]
    assert packed["monai_version"] == "1.6.1"
    assert packed["required_packages_version"] == {"scipy": "1.0"}
    assert tensor["num_channels"] == 2


def test_a_card_tells_of_training_and_evaluation(tmp_path):
    checkpoint = {"settings": {"image_size": 32, "seed": 0}, "epoch_length": 7, "versions": {"torch": "2.13.0"}}
    torch.save(checkpoint | {"settings": {"image_size": 64}}, tmp_path / "checkpoint_epoch=2.pt")
    assert training_facts(tmp_path, SETTINGS) == {}
    torch.save(checkpoint, tmp_path / "checkpoint_epoch=3.pt")
    training = training_facts(tmp_path, SETTINGS)
    assert training == {"iterations": 21, "versions": {"torch": "2.13.0"}}
    metadata = {"version": "0.1.0", "changelog": {"0.1.0": "first"}, "data_source": "LUNA16"}
    report = {
        "spaces": {"medicalnet": {"models": {"crf_gan": {"fid": {"value": 0.047, "low": 0.04, "high": 0.05}}}}},
        "truth": {"network": {"mae": 117.0}},
    }
    card = model_card(metadata, SETTINGS, training, report)
    assert "computed anatomy, not patients" in card
    assert "- Iterations until then: 21" in card
    assert "FID 12.35 at validation while training, in the features of an untrained network" in card
    assert "| crf_gan | fid | medicalnet | 0.047 | 0.04 to 0.05 |" in card
    assert "| network | mae | known truth | 117 | |" in card
    chosen_by = {key: value for key, value in SETTINGS.items() if key != "fid"} | {"mind": 0.08712}
    translated = model_card(metadata, chosen_by, training, report)
    assert "MIND loss 0.08712 at validation while training, between the volumes and what they were" in translated
    assert "FID 12.35" not in translated
    real = model_card(metadata, SETTINGS | {"data": {"kind": "real", "volumes": 800}}, {}, None)
    assert "Trained on real data: LUNA16." in real
    assert "- Iterations until then: not recorded" in real
    assert "No evaluation report was packed" in real
