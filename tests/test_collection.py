"""The collection: which bundles there are, and volumes from them."""

import pickle
import shutil

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import DataLoader
from monai.transforms import Compose, ScaleIntensityd

from tests.share.test_pack import SETTINGS
from tests.tiny import TINY
from tools import collection
from tools.collection import BUNDLES
from tools.engines.weights import save_model

NAME = "crf_gan_luna16"


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


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("chest CT", ["crf_gan_luna16", "ha_gan_luna16"]),
        ("brain MRI HA-GAN", ["ha_gan_gsp"]),
        ("CRF-GAN", ["crf_gan_gsp", "crf_gan_luna16"]),
        ("synthesis lung hierarchical", ["ha_gan_luna16"]),
        ("unicorn", []),
    ],
)
def test_bundles_are_found_by_words(words, expected):
    assert [bundle.name for bundle in collection.find(words)] == expected


def test_bundles_have_their_metadata():
    listed = collection.bundles()
    assert {bundle.name for bundle in listed} == {path.name for path in BUNDLES.iterdir() if path.is_dir()}
    assert collection.get(NAME).metadata["name"] == "CRF-GAN chest CT"
    assert collection.get(NAME).generates
    assert not collection.get("cyclegan_mri2ct_t2").generates


def test_volumes_with_affine_follow_from_their_seeds(trained):
    first, second = collection.generate(NAME, n=2, seed=3, trained=trained, class_label=1)
    assert first.shape == (1, 32, 32, 32)
    low, high = SETTINGS["window"]
    assert low <= first.min() < first.max() <= high
    spacing = np.diag([300 / 32] * 3)
    assert np.allclose(np.asarray(first.affine)[:3, :3], spacing)
    assert not torch.equal(first, second)
    (again,) = collection.generate(NAME, n=1, seed=4, trained=trained, class_label=1)
    assert torch.equal(again, second)
    (other,) = collection.generate(NAME, n=1, seed=4, trained=trained, class_label=0)
    assert not torch.equal(other, second)
    (by_itself,) = collection.generate(NAME, n=1, seed=4, trained=trained)  # the class follows from the seed too
    assert torch.equal(by_itself, other)
    assert torch.equal(collection.as_dataset(NAME, n=4, seed=1, trained=trained)[3]["image"], other)


def test_a_dataset_for_training_another_network(trained):
    transform = Compose([ScaleIntensityd("image")])
    dataset = collection.as_dataset(NAME, n=4, seed=1, trained=trained, transform=transform)
    assert len(dataset) == 4
    copy = pickle.loads(pickle.dumps(dataset))
    batches = list(DataLoader(copy, batch_size=2, num_workers=0, shuffle=False))
    assert [batch["seed"].tolist() for batch in batches] == [[1, 2], [3, 4]]
    assert [batch["label"].tolist() for batch in batches] == [[1, 0], [1, 0]]
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
    (there,) = collection.generate("mine", seed=2, folder=tmp_path)
    (here,) = collection.generate(NAME, seed=2, trained=trained)
    assert torch.equal(here, there)
    assert [path.name for path in (tmp_path / "mine").iterdir() if path.name == "eval"] == []


def test_weights_of_the_last_epoch_on_request(trained, tmp_path):
    (tmp_path / "models").mkdir()
    for ending in (".pt", ".json"):
        shutil.copy(trained / "models" / f"model{ending}", tmp_path / "models" / f"model_last{ending}")
    last = str(tmp_path / "models" / "model_last.pt")
    with pytest.raises(FileNotFoundError, match=rf"no validation has chosen the best yet\. ckpt_path='{last}'"):
        collection.generate(NAME, trained=tmp_path)
    (volume,) = collection.generate(NAME, seed=3, trained=tmp_path, ckpt_path=last)
    (expected,) = collection.generate(NAME, seed=3, trained=trained)
    assert torch.equal(volume, expected)


def test_what_cannot_be_done_is_said(tmp_path):
    with pytest.raises(ValueError, match=r"no bundle 'gone' in this collection; it has: crf_gan_gsp"):
        collection.generate("gone")
    with pytest.raises(ValueError, match="makes volumes from other volumes"):
        collection.generate("cyclegan_mri2ct_t2")
    with pytest.raises(ValueError, match="n is 0"):
        collection.generate(NAME, n=0)
    with pytest.raises(FileNotFoundError, match=r"no weights at .* Train crf_gan_luna16 first"):
        collection.generate(NAME, trained=tmp_path)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        collection.bundles(tmp_path / "none")
