"""TorchScript and ONNX compute what each bundle's network computes, for any number of inputs at once."""

import hashlib
import io
import json
import zipfile

import numpy as np
import onnxruntime
import pytest
import torch
from monai.bundle import ConfigParser, ckpt_export, onnx_export

from tests.share.helpers import untrained
from tests.tiny import REPOSITORY, TINY, config_file, denoises, tiny, train_config
from tools.__main__ import main
from tools.catalogue.write import bundles
from tools.share.torchscript import normalised
from tools.share.zoo import scripts

BATCHES = (1, 2, 5)
SIZES = (
    "image_size",
    "latent_dim",
    "style_dim",
    "base_channels",
    "channels",
    "channel_base",
    "channel_max",
    "network_width",
)

COMMANDED = ("ha_gan_gsp", "cyclegan_mri2ct_inout")
"""Bundles that are exported by the project's own command."""


def small(bundle):
    """Sizes of a small network, of those that the bundle's networks have."""
    return {key: value for key, value in tiny(bundle, ".").items() if key in SIZES}


def made(bundle, **overrides):
    parser = ConfigParser(train_config(bundle))
    parser.update(small(bundle) | overrides)
    return parser.get_parsed_content("network_def").eval()


def inputs(bundle, batch):
    metadata = json.loads((REPOSITORY / config_file(bundle, "metadata")).read_text())
    given = metadata["network_data_format"]["inputs"]["image"]
    sides = [32 if side == "32*n" else side for side in given["spatial_shape"]]
    return torch.randn([batch, given["num_channels"], *sides] if sides else [batch, TINY["latent_dim"]])


@pytest.fixture
def export(bundle, tmp_path):
    """(network, options of MONAI's export commands)."""
    network = made(bundle)
    torch.save(network.state_dict(), tmp_path / "model.pt")
    files = {"meta_file": config_file(bundle, "metadata"), "config_file": config_file(bundle, "train")}
    return network, {"net_id": "network_def", "ckpt_file": str(tmp_path / "model.pt")} | files | small(bundle)


def test_torchscript(bundle, export, tmp_path):
    """As it is packed: without what differs from machine to machine."""
    if denoises(bundle) or not scripts(REPOSITORY / "bundles" / bundle):
        pytest.skip("TorchScript cannot compile this network, which the bundle's package knows too")
    network, options = export
    ckpt_export(filepath=str(tmp_path / "model.ts"), **options)
    packed = normalised((tmp_path / "model.ts").read_bytes())
    assert b"site-packages" not in packed
    assert str(REPOSITORY).encode() not in packed
    script = torch.jit.load(io.BytesIO(packed))
    for batch in BATCHES:
        given = inputs(bundle, batch)
        with torch.no_grad():
            torch.testing.assert_close(script(given), network(given), rtol=0, atol=1e-5)
    extra = {"metadata.json": "", "train.json": ""}
    torch.jit.load(io.BytesIO(packed), _extra_files=extra)
    assert json.loads(extra["metadata.json"])["name"]


def test_onnx(bundle, export, tmp_path):
    if denoises(bundle):
        pytest.skip("a denoiser has two inputs, and MONAI exports networks of one")
    if bundle in COMMANDED:
        pytest.skip("test_onnx_says_what_it_is exports it by the command, which does so as MONAI does")
    if "growth" in train_config(bundle):
        pytest.skip("an exported graph cannot choose layers by the level that the weights have reached")
    network, options = export
    axes = {"image": {0: "batch"}, "pred": {0: "batch"}}
    names = {"input_names": ["image"], "output_names": ["pred"], "dynamic_axes": axes}
    shape = list(inputs(bundle, 2).shape)
    path = str(tmp_path / "model.onnx")
    onnx_export(filepath=path, input_shape=shape, use_trace=True, converter_kwargs=names, **options)
    computes(onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]), bundle, network)


def computes(session, bundle, network):
    """Assert that onnxruntime computes what the network computes, for any number of inputs at once."""
    for batch in BATCHES:
        given = inputs(bundle, batch)
        (output,) = session.run(None, {"image": given.numpy()})
        with torch.no_grad():
            np.testing.assert_allclose(output, network(given).numpy(), rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", COMMANDED)
def test_onnx_says_what_it_is(name, tmp_path):
    """By the command, to onnxruntime; it computes what the network computes."""
    family, entry = bundles()[name]
    version = family.metadata(entry)["version"]
    trained = untrained(name, tmp_path / "run")
    main(["onnx", name, "--filepath", str(tmp_path / "model.onnx"), "--trained", str(trained)])
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    meta = session.get_modelmeta()
    record = json.loads(meta.custom_metadata_map["provenance"])
    assert (record["bundle"], record["version"], record["synthetic"]) == (name, version, True)
    weights = (trained / "models" / "model.pt").read_bytes()
    assert record["weights_sha256"] == hashlib.sha256(weights).hexdigest()
    assert json.loads(meta.custom_metadata_map["metadata.json"])["version"] == version
    assert meta.description.startswith(f"synthetic {name} {version} sha256 ")
    network = made(name)
    network.load_state_dict(torch.load(trained / "models" / "model.pt", weights_only=True))
    computes(session, name, network)


def test_onnx_of_a_network_with_two_inputs_is_refused(tmp_path):
    trained = untrained("crf_gan_gsp", tmp_path, num_classes=2)
    with pytest.raises(SystemExit, match="generates by class, from two inputs"):
        main(["onnx", "crf_gan_gsp", "--filepath", str(tmp_path / "model.onnx"), "--trained", str(trained)])
    assert not (tmp_path / "model.onnx").exists()


def test_torchscript_by_class(bundle):
    if "num_classes" not in train_config(bundle):
        pytest.skip("this bundle does not generate by class")
    network = made(bundle, num_classes=2)
    script = torch.jit.script(network)
    for batch in BATCHES:
        given, label = inputs(bundle, batch), torch.arange(batch) % 2
        with torch.no_grad():
            torch.testing.assert_close(script(given, label), network(given, label), rtol=0, atol=1e-5)


def test_only_torchscript_is_normalised(tmp_path):
    with pytest.raises(ValueError, match="not a TorchScript archive"):
        normalised(b"text")
    torch.save({}, tmp_path / "model.pt")
    with pytest.raises(ValueError, match="it has no code"):
        normalised((tmp_path / "model.pt").read_bytes())


def test_records_stay_aligned():
    """torch maps records into memory, at multiples of 64 bytes."""
    stream = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.Linear(3, 5)), stream)
    packed = normalised(stream.getvalue())
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        for entry in archive.infolist():
            start = entry.header_offset
            name, extra = (int.from_bytes(packed[start + at : start + at + 2], "little") for at in (26, 28))
            assert (start + 30 + name + extra) % 64 == 0
