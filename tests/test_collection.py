"""The collection: which bundles there are, and volumes from them."""

import json
import pickle
import re
import shutil

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser, run
from monai.data import DataLoader
from monai.transforms import Compose, ScaleIntensityd

from tests.share.test_pack import SETTINGS
from tests.tiny import TINY
from tools import collection
from tools.collection import BUNDLES
from tools.engines.weights import save_model

NAME = "crf_gan_luna16"
FOUR = ("crf_gan_gsp", "crf_gan_luna16", "ha_gan_gsp", "ha_gan_luna16")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Weights, with classes, that were not trained."""
    folder = tmp_path_factory.mktemp("trained")
    parser = ConfigParser(ConfigParser.load_config_file(BUNDLES / NAME / "configs" / "train.json"))
    parser.update({key: TINY[key] for key in ("image_size", "latent_dim", "base_channels")} | {"num_classes": 2})
    settings = SETTINGS | {"num_classes": 2}
    (folder / "models").mkdir()
    save_model(folder / "models" / "model.pt", parser.get_parsed_content("network_def"), settings)
    return folder


def images(name=NAME, **options):
    return [item["image"] for item in collection.generate(name, **options)]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("chest CT", ["crf_gan_luna16", "ha_gan_luna16"]),
        ("brain MRI HA-GAN", ["ha_gan_gsp"]),
        ("CRF-GAN", ["crf_gan_gsp", "crf_gan_luna16"]),
        ("synthesis lung hierarchical", ["ha_gan_luna16"]),
    ],
)
def test_bundles_are_found_by_words(words, expected):
    """Among these and CycleGANs, in the order of their names; the collection may have others that are of the words."""
    found = [bundle.name for bundle in collection.find(words)]
    assert [name for name in found if name in FOUR or name.startswith("cyclegan")] == expected
    assert found == sorted(found)


def test_words_that_no_bundle_has_find_none():
    assert collection.find("unicorn") == []


def test_bundles_have_their_metadata():
    listed = collection.bundles()
    assert {bundle.name for bundle in listed} == {path.name for path in BUNDLES.iterdir() if path.is_dir()}
    assert collection.get(NAME).metadata["name"] == "CRF-GAN chest CT"
    assert (collection.get(NAME).kind, collection.get(NAME).generates) == ("generate", True)
    other = collection.get("cyclegan_mri2ct_t2")
    assert (other.kind, other.generates) == ("translate", False)


def test_volumes_with_affine_follow_from_their_seeds(trained):
    first, second = images(n=2, seed=3, trained=trained, class_label=1)
    assert first.shape == (1, 32, 32, 32)
    low, high = SETTINGS["window"]
    assert low <= first.min() < first.max() <= high
    spacing = np.diag([300 / 32] * 3)
    assert np.allclose(np.asarray(first.affine)[:3, :3], spacing)
    assert not torch.equal(first, second)
    (again,) = images(n=1, seed=4, trained=trained, class_label=1)
    assert torch.equal(again, second)
    (other,) = images(n=1, seed=4, trained=trained, class_label=0)
    assert not torch.equal(other, second)
    (by_itself,) = images(n=1, seed=4, trained=trained)  # the class follows from the seed too
    assert torch.equal(by_itself, other)
    assert torch.equal(collection.as_dataset(NAME, n=4, seed=1, trained=trained)[3]["image"], other)


def test_a_dataset_for_training_another_network(trained):
    transform = Compose([ScaleIntensityd("image")])
    dataset = collection.as_dataset(NAME, n=4, seed=1, trained=trained, transform=transform)
    assert len(dataset) == 4
    copy = pickle.loads(pickle.dumps(dataset))
    batches = list(DataLoader(copy, batch_size=2, num_workers=0, shuffle=False))
    assert [batch["seed"].tolist() for batch in batches] == [[1, 2], [3, 4]]
    assert [batch["class_label"].tolist() for batch in batches] == [[1, 0], [1, 0]]
    assert batches[0]["image"].shape == (2, 1, 32, 32, 32)
    assert batches[0]["image"].min() == 0
    assert torch.equal(dataset[1]["image"], batches[0]["image"][1])
    assert torch.equal(dataset[-1]["image"], dataset[3]["image"])
    with pytest.raises(IndexError, match="volume 4 of 4"):
        dataset[4]


def test_bundles_in_another_folder(trained, tmp_path):
    for part in ("configs", "docs"):
        shutil.copytree(BUNDLES / NAME / part, tmp_path / "mine" / part)
    shutil.copytree(trained / "models", tmp_path / "mine" / "models", dirs_exist_ok=True)
    assert [bundle.name for bundle in collection.find("chest", folder=tmp_path)] == ["mine"]
    assert collection.get("mine", folder=tmp_path).is_trained
    (there,) = images("mine", seed=2, folder=tmp_path)
    (here,) = images(seed=2, trained=trained)
    assert torch.equal(here, there)
    assert not (tmp_path / "mine" / "eval").exists()


def test_inference_writes_what_is_generated(trained, tmp_path):
    """Voxel by voxel, with the same affine: the generating part is shared, the writers are another."""
    (item,) = collection.generate(NAME, seed=3, trained=trained, class_label=1)
    assert item.keys() == {"image", "seed", "class_label"}
    assert (item["seed"], item["class_label"], item["image"].meta["unit"]) == (3, 1, "HU")
    options = {"num_volumes": 1, "seed": 3, "class_label": 1, "output_dir": str(tmp_path)}
    run(config_file=str(BUNDLES / NAME / "configs" / "inference.json"), bundle_root=str(trained), **options)
    (path,) = tmp_path.glob("*.nii.gz")
    written = nib.load(path)
    assert np.array_equal(np.asarray(written.dataobj), item["image"][0].numpy())
    assert np.allclose(written.affine, np.asarray(item["image"].affine), atol=1e-4)  # which a header keeps in float32


@pytest.mark.parametrize("name", [path.name for path in BUNDLES.iterdir() if path.is_dir()])
def test_generation_writes_nothing(name):
    """No config's generating part asks for a folder to write to, or for a transform that its writers have."""
    config = collection.get(name).config
    needed, seen = ["generation", "load_weights", "dataset"], set()
    while needed:
        part = needed.pop()
        seen.add(part)
        needed += set(re.findall(r"@(\w+)", json.dumps(config[part]))) - seen
    assert seen.isdisjoint({"writers", "handlers", "evaluator", "output_dir"})
    assert {"network", "dataset", "inferer", "postprocessing"} <= seen
    assert config["evaluator"] == config["generation"] | {"val_handlers": "@handlers"}


def test_another_image_of_a_bundle_keeps_its_key(trained, tmp_path):
    """A bundle that makes two images, as it would with a label: both are given, with their affine and unit."""
    folder = tmp_path / "two"
    shutil.copytree(BUNDLES / NAME / "configs", folder / "configs")
    shutil.copytree(trained / "models", folder / "models")
    path = folder / "configs" / "inference.json"
    config = json.loads(path.read_text())
    unit = {"_target_": "tools.transforms.volume.StateUnitd", "keys": "body", "unit": "label"}
    threshold = {"_target_": "Lambdad", "keys": "body", "func": "$lambda hu: hu > -300"}
    copy = {"_target_": "CopyItemsd", "keys": "pred", "names": "body"}
    config["postprocessing"]["transforms"] += [copy, threshold, unit]
    path.write_text(json.dumps(config))
    (item,) = collection.generate("two", seed=3, folder=tmp_path)
    assert item.keys() == {"image", "body", "seed", "class_label"}
    assert torch.equal(item["body"].as_tensor(), item["image"].as_tensor() > -300)
    assert torch.equal(item["body"].affine, item["image"].affine)
    assert (item["image"].meta["unit"], item["body"].meta["unit"]) == ("HU", "label")


def test_weights_of_the_last_epoch_on_request(trained, tmp_path):
    (tmp_path / "models").mkdir()
    for ending in (".pt", ".json"):
        shutil.copy(trained / "models" / f"model{ending}", tmp_path / "models" / f"model_last{ending}")
    last = str(tmp_path / "models" / "model_last.pt")
    with pytest.raises(FileNotFoundError, match=rf"no validation has chosen the best yet\. ckpt_path='{last}'"):
        collection.generate(NAME, trained=tmp_path)
    (volume,) = images(seed=3, trained=tmp_path, ckpt_path=last)
    (expected,) = images(seed=3, trained=trained)
    assert torch.equal(volume, expected)


def test_what_cannot_be_done_is_said(trained, tmp_path):
    with pytest.raises(ValueError, match=r"no bundle 'gone' in this collection; it has: .*crf_gan_gsp, "):
        collection.generate("gone")
    with pytest.raises(ValueError, match="makes volumes from other volumes"):
        collection.generate("cyclegan_mri2ct_t2")
    with pytest.raises(ValueError, match="n is 0"):
        collection.generate(NAME, n=0)
    with pytest.raises(FileNotFoundError, match=r"no weights at .* Train crf_gan_luna16 first"):
        collection.generate(NAME, trained=tmp_path)
    shutil.copytree(BUNDLES / NAME / "configs", tmp_path / "old" / "configs")
    shutil.copytree(trained / "models", tmp_path / "old" / "models")
    for file, key in (("inference", "generation"), ("metadata", "kind")):
        path = tmp_path / "old" / "configs" / f"{file}.json"
        path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != key}))
        with pytest.raises(ValueError, match=f'has no "?{key}'):
            collection.generate("old", folder=tmp_path)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        collection.bundles(tmp_path / "none")
