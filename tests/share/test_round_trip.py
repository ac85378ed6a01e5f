"""Every bundle, trained, packed, downloaded, and run where nothing of this repository is: its archive is enough.

MONAI's commands run in processes that have the packages of the archive's `requirements.txt` and no others.
"""

import json
import zipfile
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from tests.share.helpers import LISTED, LISTED_WITH_LABELS, as_options, packed, served
from tests.tiny import (
    REPOSITORY,
    asked,
    few_steps,
    labels,
    one_of_each_family,
    tiny,
    tiny_phantoms,
    train_config,
    translates,
)
from tools import collection
from tools.share.archive import check_archive
from tools.share.zoo import scripts
from tools.transforms.window import Window

MOVED = (".u", ".magnitude", ".running_mean", ".running_var", ".num_batches_tracked", ".average", ".state")
"""Ends of the names of what a step without a rate moves too: averages, iterations of spectral normalisation, levels."""

GENERATES = ("hierarchical_gan", "slabwise")
NETWORKS = {
    "": GENERATES,
    "control": ("control", "denoisers", "patches", "preconditioning", *GENERATES),
    "cyclegan": ("cyclegan",),
    "denoisers": ("denoisers", "patches", "preconditioning", *GENERATES),
    "fastgan": ("fastgan", *GENERATES),
    "hierarchical_gan": GENERATES,
    "nodule_gan": ("nodule_gan",),
    "latent_diffusion": ("latent_diffusion", "partwise", "patches", *GENERATES),
    "slice_gan": ("slice_gan",),
    "pggan": ("pggan", "resolutions", "style_mapping", "stylegan", *GENERATES),
    "stylegan2": ("freezing", "resolutions", "style_mapping", "stylegan2", *GENERATES),
    "stylegan3d": ("style_mapping", "stylegan3d", *GENERATES),
    "volume_gan": ("volume_gan", *GENERATES),
    "stylegan3": ("freezing", "resolutions", "style_mapping", "stylegan2", "stylegan3", *GENERATES),
}
"""Module of a bundle's network -> all modules of networks that its archive has; none where it is MONAI's."""


@pytest.fixture(scope="session")
def archive(bundle, trained, machine, tmp_path_factory):
    return packed(machine, bundle, output_dir=tmp_path_factory.mktemp("release"), trained=trained)


@pytest.fixture(scope="session")
def downloaded(bundle, archive, machine, tmp_path_factory):
    """The folder of the bundle after `python -m monai.bundle download` from a local server."""
    folder = tmp_path_factory.mktemp("downloads")
    with served(archive.parent) as url:
        options = ["--name", bundle, "--url", f"{url}/{archive.name}", "--bundle_dir", folder]
        machine.bundle("download", *options, folder=folder)
    return folder / bundle


def volumes(folder):
    """Those that inference writes: into the folder, or as one with labels."""
    found = [*Path(folder).glob("*.nii.gz"), *Path(folder).glob("*Tr/*.nii.gz")]
    return {path.name: np.asarray(nibabel.load(path).dataobj) for path in sorted(found)}


def infer(bundle, folder, machine, *options, config="configs/inference.json"):
    """Run inference in a folder; it takes the code from the bundle's own."""
    options = [*as_options(asked(bundle, num_volumes=1, seed=4)), *options]
    return machine.bundle("run", "--config_file", config, *options, folder=folder)


@pytest.fixture(scope="session")
def made(bundle, downloaded, machine):
    """What inference makes in the bundle's own folder."""
    used = infer(bundle, downloaded, machine)
    assert Path(used).parent == downloaded / "tools"
    return volumes(downloaded / "eval")


def test_inference_from_its_folder(bundle, downloaded, made):
    """The same volumes as `tools.collection` makes."""
    assert made
    if not translates(bundle):
        (sample,) = collection.generate(bundle, n=1, seed=4, folder=downloaded.parent, **asked(bundle))
        image = sample["image"][0].numpy()
        if labels(bundle):  # written in the unit of its window, MR from 0 to 1000
            (scale,) = {str(scale): scale for scale in train_config(bundle)["images"].values()}.values()
            image = Window.of(scale if isinstance(scale, list) else (0, 1000)).unscale(image.clip(-1, 1))
        assert np.abs(image - next(iter(made.values()))).max() <= 1


@pytest.mark.parametrize("bundle", one_of_each_family()[:1], indirect=True)
def test_inference_from_elsewhere(bundle, downloaded, made, machine, tmp_path):
    """The same volumes, by the archive's own code, although another `tools` lies in the working folder."""
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "__init__.py").write_text("raise ImportError('another program')\n")
    config = downloaded / "configs" / "inference.json"
    used = infer(bundle, tmp_path, machine, "--output_dir", tmp_path / "out", config=config)
    assert Path(used).parent == downloaded / "tools"
    there = volumes(tmp_path / "out")
    assert there.keys() == made.keys()
    for name, values in made.items():
        assert np.array_equal(values, there[name])


def test_fine_tuning_starts_from_the_packed_weights(bundle, downloaded, machine, trained):
    """With a learning rate of zero the weights stay as they were packed, and the packed files as they are."""
    folder = downloaded
    models = train_config(bundle)["models"]
    packed = {name: torch.load(folder / "models" / f"{name}.pt", weights_only=True) for name in models}
    settings = json.loads((trained / "models" / "model.json").read_text())
    small = {key: value for key, value in tiny(bundle, ".", max_epochs=1).items() if key not in settings}
    rates = train_config(bundle).get("learning_rates", {"": 0})
    still = {f"learning_rates#{name}" if name else "learning_rate": 0.0 for name in rates}
    files = "['configs/train.json','configs/fine_tune.json']"
    small["batch_size"] = 2 if not translates(bundle) else 8
    if "average_decay" in train_config(bundle)["network_def"]:  # the average of styles moves without a rate
        still["network_def#average_decay"] = 1.0
    used = machine.bundle("run", "--config_file", files, *as_options(small | still), folder=folder)
    assert Path(used).parent == folder / "tools"
    for name, state in packed.items():
        tuned = torch.load(folder / "fine_tuned" / f"{name}_last.pt", weights_only=True)
        assert tuned.keys() == state.keys()
        for key, value in state.items():
            if key.endswith(MOVED):
                continue
            assert torch.allclose(tuned[key], value, rtol=0, atol=1e-6), f"{name}: {key}"
    report = json.loads((folder / "fine_tuned" / "model_last.json").read_text())
    assert report["image_size"] == settings["image_size"]


def test_evaluation_from_its_folder(bundle, downloaded, machine):
    folder = downloaded
    files = "['configs/train.json','configs/evaluate.json']"
    options = as_options(tiny_phantoms(bundle) | {"resamples": 10} | few_steps(bundle))
    machine.bundle("run", "--config_file", files, *options, folder=folder)
    assert (folder / "eval" / "report.json").is_file()


def test_archive_has_what_the_bundle_needs_and_nothing_else(bundle, archive):
    assert check_archive(archive) == bundle
    with zipfile.ZipFile(archive) as file:
        names = [name.removeprefix(f"{bundle}/") for name in file.namelist()]
        texts = {name: file.read(f"{bundle}/{name}") for name in names if not name.endswith((".pt", ".ts", ".png"))}
    assert {line.split("==")[0] for line in texts["requirements.txt"].decode().split()} == set(
        set(LISTED_WITH_LABELS) - (set() if "scheduler" in train_config(bundle) else {"einops"})
        if labels(bundle)
        else LISTED
    )
    assert {"LICENSE", "SHA256SUMS", "requirements.txt", "docs/README.md", "models/model.pt"} <= set(names)
    assert ("models/model.ts" in names) == scripts(REPOSITORY / "bundles" / bundle)
    commands = ("study", "benchmark", "evaluation/command", "share", "__main__")
    for folder in ("tests", *(f"tools/{command}" for command in commands)):
        assert not [name for name in names if name.startswith(folder)]
    networks = {Path(name).stem for name in names if name.startswith("tools/networks/")}
    family = train_config(bundle)["network_def"]["_target_"].split(".")[-2:-1]
    assert networks == {"__init__", "self_described", *NETWORKS["".join(family)]}
    for name, text in texts.items():
        assert str(REPOSITORY).encode() not in text, name
    card = texts["docs/README.md"].decode()
    assert "Trained on phantoms, which are computed anatomy, not patients" in card
    assert "Iterations until then: " in card
    assert "not recorded" not in card
