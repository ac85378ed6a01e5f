"""Every dataset of labelled slices through the configs that all its generators share, on few of its phantoms."""

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser

from tools.catalogue.names import with_imports
from tools.catalogue.slices import data as slices
from tools.catalogue.slices.training import slice_options, training_data, validation
from tools.data.phantoms.msd import write_msd_phantoms

EVERY = {name: value for name, value in vars(slices).items() if isinstance(value, slices.SliceData)}


def parsed(data, folder, **options):
    """The sections that a family's `train.json` has of these."""
    latents = {"_target_": "tools.transforms.latent.LatentFromSeedd", "latent_dim": 4}
    prepare = {"_target_": "tools.engines.generation.PrepareLatents", "class_key": "class"}
    config = {
        "bundle_root": str(folder),
        "dataset_dir": None,
        "device": "cpu",
        "rank": 0,
        **{"seed": 0, "image_size": 24, "batch_size": 4, "num_workers": 0, "val_slices": 4},
        **slice_options(data),
        "train": {**training_data(data), "inferer": None},
        "validate": validation(data, latents, "@network", prepare),
        "network": None,
    }
    config = with_imports({"train": config})["train"]
    parser = ConfigParser(config)
    parser.update(
        {"phantoms#count": 4, "phantoms#shape": [26, 48, 48], **options},
    )
    return parser


@pytest.mark.parametrize("name", EVERY)
def test_batches_and_validation_are_what_the_description_says(name, tmp_path):
    data = EVERY[name]
    parser = parsed(data, tmp_path)
    parser.get_parsed_content("imports")
    batch = next(iter(parser.get_parsed_content("train#dataloader")))
    number = len(data.images or data.channels)  # labels alone are shown in the place of images
    assert batch["image"].shape == (4, number, 24, 24)
    assert -1 <= batch["image"].min() < batch["image"].max() <= 1
    assert ("class" in batch) == bool(data.classes)
    channels = parser.get_parsed_content("sample_channels")
    assert channels.names == data.channels
    assert ("label" in batch) == bool(channels.labels)
    drawn = [i for _ in range(4) for i in parser.get_parsed_content("train#sampler")]
    store = parser.get_parsed_content("train#store")
    for shown, share in data.balance.items():
        if shown in channels.labels:
            assert (store.pixels([shown])[drawn] > 0).mean() == pytest.approx(share, abs=0.2)
    item = next(iter(parser.get_parsed_content("validate#dataloader")))
    assert item["image"].shape == (1, number, 24, 24)
    assert item["latent"].shape == (1, 4)
    said = parser.get_parsed_content("data_dir")
    assert str(tmp_path) in said
    if len(data.images) > 1:
        one_contrast_at_a_time(data, tmp_path, store, len(parser.get_parsed_content("validate#dataset")))


def one_contrast_at_a_time(data, folder, store, shown):
    """Every image of a slice is a sample, whose class says which, in training and validation."""
    names = ["flair", "t1"]
    classes = {"images": {"mr": 99.5}, "classes": {name: [name] for name in names}, "choice#foreground": "t1"}
    parser = parsed(data, folder, **classes, balance={"oedema": 0.5})
    parser.get_parsed_content("imports")
    dataset = parser.get_parsed_content("train#dataset")
    assert len(dataset) == 2 * len(store)
    for index, sample in ((0, dataset[0]), (7, dataset[7])):
        of = [*data.images].index(names[index % 2])
        assert torch.equal(sample["image"], store[index // 2]["image"][of : of + 1])
        assert torch.equal(sample["label"], store[index // 2]["label"])
        assert (sample["class"], sample["modality"]) == (index % 2, names[index % 2])
    drawn = np.array([i for _ in range(4) for i in parser.get_parsed_content("train#sampler")])
    assert (store.pixels(["oedema"])[drawn // 2] > 0).mean() == pytest.approx(0.5, abs=0.2)
    assert 0.3 < (drawn % 2).mean() < 0.7
    assert parser.get_parsed_content("sample_channels").names == ("mr", *data.labels)
    items = parser.get_parsed_content("validate#dataset")
    assert {item["class"] for item in items} == {0, 1}
    assert items[0]["id"].endswith(("_flair", "_t1"))
    assert len(items) == shown


def test_the_liver_by_option(tmp_path):
    """Another task of the Decathlon, with its own classes, as the README says."""
    folder = write_msd_phantoms(tmp_path / "liver", "liver", 4, shape=(26, 48, 48), progress=False)
    options = {
        "dataset_dir": str(folder),
        "labels": {"liver": 1, "liver tumour": 2},
        "choice#labels": ["liver", "liver tumour"],
        "classes": {"no tumour": [], "tumour": ["liver tumour"]},
        "balance": {"liver tumour": 0.5},
    }
    parser = parsed(slices.PANCREAS_TUMOUR, tmp_path, **options)
    parser.get_parsed_content("imports")
    batch = next(iter(parser.get_parsed_content("train#dataloader")))
    assert set(batch["label"].unique().tolist()) <= {0, 1, 2}
    assert (batch["label"] > 0).flatten(1).any(1).all()
    assert torch.equal(batch["class"] == 1, (batch["label"] == 2).flatten(1).any(1))
