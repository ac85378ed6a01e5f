"""What is a bundle's own: files, configs, metadata, network; where it says what no other does, an iteration too.

Every folder in ``bundles`` is put through it, in a second; a bundle of each family lives its whole life in
``test_bundles.py``.
"""

import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser, ConfigWorkflow, verify_metadata, verify_net_in_out
from PIL import Image

from tests.tiny import (
    BUNDLES,
    EVERY,
    PUBLISHED,
    REPOSITORY,
    asked,
    config_file,
    labels,
    makes_slices,
    network_arguments,
    takes_data,
    tiny,
    tiny_phantoms,
    train_config,
    translates,
)
from tools.catalogue.metadata import KINDS


@pytest.fixture(params=EVERY)
def any_bundle(request, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    return request.param


@pytest.fixture(params=BUNDLES)
def trained_here(request, monkeypatch):
    """Bundles whose networks are those of their `train.json`; others are in `tests/published`."""
    monkeypatch.chdir(REPOSITORY)
    return request.param


def test_necessary_files(any_bundle):
    root = REPOSITORY / "bundles" / any_bundle
    expected = ["LICENSE", "docs/README.md", "docs/data_license.txt"]
    names = ["metadata.json", "inference.json", "evaluate.json", "logging.conf"]
    names += [] if any_bundle in PUBLISHED else ["train.json", "multi_gpu_train.json"]
    expected += [f"configs/{name}" for name in names]
    assert [name for name in expected if not (root / name).is_file()] == []
    assert not list(root.rglob("*.py"))


def test_metadata(any_bundle):
    """``--filepath`` with a file that exists is MONAI's way to verify without a network."""
    meta_file = config_file(any_bundle, "metadata")
    verify_metadata(meta_file=meta_file, filepath=REPOSITORY / "tools" / "metadata_schema.json")
    metadata = json.loads(Path(meta_file).read_text())
    assert metadata["version"] == next(iter(metadata["changelog"]))
    assert metadata["kind"] in KINDS
    pinned = dict(
        line.split("==") for line in (REPOSITORY / "requirements.txt").read_text().splitlines() if "==" in line
    )
    assert metadata["monai_version"] == pinned["monai"]
    assert metadata["pytorch_version"] == pinned["torch"]
    assert {name: pinned[name] for name in metadata["required_packages_version"]} == metadata[
        "required_packages_version"
    ]


def test_network_is_what_the_metadata_says(trained_here):
    more = network_arguments(trained_here)
    files = {"meta_file": config_file(trained_here, "metadata"), "config_file": config_file(trained_here, "train")}
    metadata = json.loads(Path(config_file(trained_here, "metadata")).read_text())["network_data_format"]
    given, made = metadata["inputs"]["image"], metadata["outputs"]["pred"]
    # a network that knows the mean of its samples has one size, in training that of phantoms
    one_size = {"volume_size": given["spatial_shape"]} if "components" in train_config(trained_here) else {}
    verify_net_in_out("network_def", **files, extra_forward_args=more, **one_size)
    parser = ConfigParser({**train_config(trained_here), **one_size})
    network = parser.get_parsed_content("network_def").eval()
    # a network for images of any size says by what theirs must be divisible
    given_shape, made_shape = ([32 if side == "32*n" else side for side in d["spatial_shape"]] for d in (given, made))
    with torch.no_grad():
        output = network(torch.rand(1, given["num_channels"], *given_shape), **more)
    assert list(output.shape[1:]) == [made["num_channels"], *made_shape]
    low, high = made["value_range"] or (-torch.inf, torch.inf)
    assert low <= output.min() <= output.max() <= high


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory):
    """Phantoms that were written for one bundle serve the next with the same options: (bundle, folder) -> None."""
    written = {}

    def place(bundle, folder):
        config = train_config(bundle)
        key = json.dumps([config["data_dir"], config["phantoms"], tiny_phantoms(bundle)])
        if key in written:
            shutil.copytree(written[key], folder / written[key].name)
        return lambda: written.setdefault(key, next(folder.glob("phantoms*")))

    return place


def set_up(kind, files, **overrides):
    """A workflow that is ready to run, with all properties that MONAI asks for."""
    workflow = ConfigWorkflow(config_file=files, workflow_type=kind, **overrides)
    workflow.initialize()
    assert workflow.check_properties() == []
    return workflow


def written(bundle, settings):
    """Each config that infers -> the volumes that it writes, by their names, with the range of their values."""
    if labels(bundle):
        images = {
            f"imagesTr/*_{number:04}.nii.gz": scale if isinstance(scale, list) else [0, 1000]
            for number, scale in enumerate(settings["images"].values())
        }
        return {"inference": images}
    window = {"inference": {"*.nii.gz": settings["window"]}}
    both_ways = Path(config_file(bundle, "inference_ct2mr")).is_file()
    return window | ({"inference_ct2mr": {"*.nii.gz": [0, 1000]}} if both_ways else {})


def voxels(folder, names):
    found = [np.asarray(nibabel.load(path).dataobj) for path in sorted(folder.glob(names))]
    assert found
    return found


def test_one_iteration_and_one_inference(sibling, phantoms, tmp_path):
    """From its own data to a model, and from that to volumes that are in its window."""
    few = {"max_epochs": 1, "phantoms#count": 4}
    if translates(sibling):
        few["batch_size"] = 44  # of slices, of which some bundles have 45
    if train_config(sibling).get("choice", {}).get("labels"):  # which few slices show
        few["batch_size"] = 8
    if "epsilon" in train_config(sibling):
        few["epsilon"] = 50.0
    small = tiny(sibling, tmp_path, **few)
    keep = phantoms(sibling, tmp_path)
    training = set_up("train", config_file(sibling, "train"), **small)
    trainer = training.parser.get_parsed_content("train#trainer")
    training.run()
    training.finalize()
    keep()
    assert 1 <= trainer.state.iteration <= 4
    settings = json.loads((tmp_path / "models" / "model.json").read_text())
    assert settings["bundle"] == sibling
    assert settings["data"]["kind"] == "phantom"
    if "epsilon" in few:
        assert 0 < settings["privacy"]["epsilon"] <= 50
        assert settings["privacy"]["noise_multiplier"] > 0

    root = {"bundle_root": str(tmp_path)}
    same_phantoms = {key: value for key, value in small.items() if key.startswith("phantoms#")}
    few_volumes = same_phantoms | {"batch_size": small["batch_size"]}
    set_up("train", config_file(sibling, "train", "evaluate"), **root, **few_volumes)
    options = asked(sibling, num_volumes=1) | (same_phantoms if takes_data(sibling) else {})
    for name, volumes in written(sibling, settings).items():
        out = tmp_path / name
        inference = set_up("infer", config_file(sibling, name), output_dir=str(out), **root, **options)
        inference.run()
        inference.finalize()
        for names, (low, high) in volumes.items():
            for volume in voxels(out, names):
                assert low <= volume.min() < volume.max() <= high
        for label in voxels(out, "labelsTr/*.nii.gz") if settings.get("labels") else ():
            assert np.isin(label, range(len(settings["labels"]) + 1)).all()  # without gaps
        (picture,) = out.glob("*.png")
        columns = len(settings["images"]) + len(settings["labels"]) if makes_slices(sibling) else 3
        assert Image.open(picture).size[0] > min(columns, 3) * 192
