"""Classes and weights of slices by what they show, counted by hand in volumes whose labels are known."""

import nibabel as nib
import numpy as np
import pytest
import torch

from tools.data.balance import BalancedSampler
from tools.data.sample_store import SampleStore
from tools.data.slice_classes import (
    ClassedSlices,
    SomeSlices,
    modalities,
    read_images,
    shown,
    slice_classes,
    slice_weights,
)
from tools.datasets.brats import BRATS
from tools.transforms.channels import Channels
from tools.transforms.samples import sample_slices

CHANNELS = Channels({"t1": 99.5}, {"core": 1, "oedema": 2})
FINDINGS = ("epidural", "subdural")
SIZE, SLICES = 8, 5
# two volumes of five slices: what the label of each has
LABELS = [[(), ("oedema",), ("core", "oedema"), (), ()], [(), (), ("core",), ("oedema",), ()]]
TABLE = [[(0, 1), (1, 0), (0, 0), (0, 0), (1, 1)], [(0, 0)] * 5]
FLAT = [names for volume in LABELS for names in volume]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder, items = tmp_path_factory.mktemp("set"), []
    for case, volume in enumerate(LABELS):
        voxels = np.random.default_rng(case).uniform(50, 100, (SIZE, SIZE, SLICES)).astype(np.float32)
        label = np.zeros(voxels.shape, np.uint8)
        for z, names in enumerate(volume):
            for name in names:
                value = CHANNELS.labels[name][0]
                label[2 * value, 1:4, z] = value
        for kind, array in (("t1", voxels), ("seg", label)):
            nib.save(nib.Nifti1Image(array, np.diag([2, 2, 3, 1])), folder / f"{case}_{kind}.nii.gz")
        items.append(
            {
                "id": f"case{case}",
                "image": {"t1": str(folder / f"{case}_t1.nii.gz")},
                "label": str(folder / f"{case}_seg.nii.gz"),
                "class": TABLE[case],
            }
        )
    return SampleStore(items, sample_slices(CHANNELS, SIZE), CHANNELS, None)


def test_what_slices_show(store):
    assert shown(store, ["core"]).tolist() == ["core" in names for names in FLAT]
    assert shown(store, ["core", "oedema"]).tolist() == [bool(names) for names in FLAT]
    of_table = [row for volume in TABLE for row in volume]
    assert shown(store, ["subdural"], FINDINGS).tolist() == [row[1] == 1 for row in of_table]
    either = [row[0] == 1 or "core" in names for row, names in zip(of_table, FLAT, strict=True)]
    assert shown(store, ["epidural", "core"], FINDINGS).tolist() == either
    with pytest.raises(ValueError, match=r"there is no 'oedma', .*Did you mean oedema"):
        shown(store, ["oedma"])


def test_a_slice_is_of_the_last_class_that_it_shows(store):
    classes = {"none": [], "oedema": ["oedema"], "core": ["core"]}
    expected = [2 if "core" in names else 1 if "oedema" in names else 0 for names in FLAT]
    assert slice_classes(store, classes).tolist() == expected
    samples = ClassedSlices(store, classes)
    assert [samples[i]["class"] for i in range(len(samples))] == expected
    assert "class" not in ClassedSlices(store)[0]  # of the table, which is none of the generator's
    for bad in ({"none": []}, {"a": ["core"], "b": []}, {"none": [], "some": []}):
        with pytest.raises(ValueError, match="expected two or more, the first with an empty list"):
            slice_classes(store, bad)


def test_a_class_without_a_slice_is_refused_in_a_training_alone(store):
    classes = {"none": [], "core": ["core"], "all": ["core"]}
    with pytest.raises(ValueError, match="none of 10 slices is of class core"):
        ClassedSlices(store, classes)
    assert len(ClassedSlices(store, classes, complete=False)) == 10


def test_balance_gives_its_shares_and_none_gives_all_slices_once(store):
    weights = slice_weights(store, {"core": 0.5, "oedema": 0.3})
    expected = [0.25 if "core" in names else 0.15 if "oedema" in names else 0.2 / 6 for names in FLAT]
    assert weights.tolist() == pytest.approx(expected)
    assert slice_weights(store, {}) is None
    drawn = BalancedSampler(store, None, num_replicas=1, rank=0, seed=3)
    assert sorted(drawn) == list(range(10))
    order = list(drawn)
    drawn.set_epoch(1)
    assert list(drawn) != order


def test_some_slices_are_spread_evenly_or_by_weight(store):
    slices = ClassedSlices(store, {"none": [], "core": ["core"]})
    assert SomeSlices(slices, 5).indices.tolist() == [0, 2, 4, 6, 8]
    assert SomeSlices(slices, 100).indices.tolist() == list(range(10))
    only = SomeSlices(slices, 4, slice_weights(store, {"core": 1.0}))
    assert [FLAT[i] for i in only.indices] == [("core", "oedema"), ("core",)]
    picked = SomeSlices(slices, 5, transform=lambda sample: sample | {"seen": True})
    assert [(item["seed"], item["id"]) for item in picked][:3] == [
        (0, "case0_slice000"),
        (1, "case0_slice002"),
        (2, "case0_slice004"),
    ]
    assert torch.equal(picked[1]["image"], store[2]["image"])
    assert picked[1]["seen"]
    seeds = picked.seeds(7, 10, "made")
    assert [(item["seed"], item["label"]) for item in seeds] == [
        (10 + n, label) for n, label in enumerate([0, 1, 0, 0, 0, 0, 1])
    ]
    with pytest.raises(ValueError, match="number is 0"):
        SomeSlices(slices, 0)


def test_the_space_that_slices_cover(store):
    assert store.fields_of_view() == [[3.0, SIZE * 2.0, SIZE * 2.0]] * 2
    assert [item["id"] for item in ClassedSlices(store).data] == ["case0", "case1"]


def test_classes_of_images_read_these_with_one_scale():
    classes = {"T1": ["t1"], "FLAIR": ["flair"]}
    assert modalities(classes, BRATS.images) == ("t1", "flair")
    assert modalities({"no tumour": [], "tumour": ["oedema"]}, BRATS.images) == modalities({}, BRATS.images) == ()
    assert read_images({"mr": 99.5}, classes, BRATS) == {"t1": 99.5, "flair": 99.5}
    assert read_images({"t1": 99.5, "flair": 98}, {}, BRATS) == {"t1": 99.5, "flair": 98}
    with pytest.raises(
        ValueError, match=r"one at a time, t1, flair, and samples have 2: t1, t2\. Give one with the scale"
    ):
        read_images({"t1": 99.5, "t2": 99.5}, classes, BRATS)
    for wrong in ({"T1": ["t1"], "rest": []}, {"a": ["t1", "t2"]}, {"a": ["t1"], "b": ["t1"]}):
        with pytest.raises(
            ValueError, match="where one is of an image each has to be, of another of t1, t1ce, t2, flair"
        ):
            modalities(wrong, BRATS.images)
