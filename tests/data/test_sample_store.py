import copy
import json
import os
import pickle
import shutil

import nibabel as nib
import numpy as np
import pytest
import torch

from tools.data.balance import BalancedSampler, balanced_weights
from tools.data.sample_store import SampleStore, SliceChoice
from tools.data.stored_samples import SampleMaker
from tools.data.stored_volume import StoredVolume
from tools.io.readers import VolumeError
from tools.transforms.augmentation import RandomSamples
from tools.transforms.channels import Channels
from tools.transforms.samples import sample_slices

CHANNELS = Channels({"t1": 99.5, "t2": 99.5}, {"core": 1, "oedema": 2})
SIZE = 16


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Three volumes of 6, 7 and 8 slices, the last of each blank; oedema in slices 1 and 2, core in 2 alone."""
    folder, items = tmp_path_factory.mktemp("set"), []
    for case in range(3):
        rng = np.random.default_rng(case)
        shape = (SIZE, SIZE, 6 + case)
        label = np.zeros(shape, np.uint8)
        label[4:8, 4:8, 1:3], label[5:7, 5:7, 2] = 2, 1
        paths = {}
        for name in ("t1", "t2"):
            voxels = np.zeros(shape, np.float32)
            voxels[2:-2, 2:-2, :-1] = rng.uniform(50, 100, (SIZE - 4, SIZE - 4, shape[2] - 1))
            paths[name] = str(folder / f"{case}_{name}.nii.gz")
            nib.save(nib.Nifti1Image(voxels, np.diag([1, 1, 3, 1])), paths[name])
        nib.save(nib.Nifti1Image(label, np.diag([1, 1, 3, 1])), folder / f"{case}_seg.nii.gz")
        items.append({"id": f"case{case}", "subject": f"s{case}", "image": paths})
        items[-1]["label"] = str(folder / f"{case}_seg.nii.gz")
    return items


def store(data, folder, **options):
    return SampleStore(data, sample_slices(CHANNELS, SIZE), CHANNELS, folder, **options)


@pytest.mark.parametrize(("bits", "step"), [(16, 1 / 2048), (8, 1 / 255)])
def test_samples_are_the_slices_of_the_chain(data, tmp_path, bits, step):
    kept, direct = store(data, tmp_path, bits=bits), sample_slices(CHANNELS, SIZE)
    assert len(kept) == 5 + 6 + 7
    made = [direct(item) for item in data]
    for index in (0, 4, 5, 10, 11, 17):
        sample = kept[index]
        of, row = made[sample["volume"]], sample["slice"]
        assert (sample["image"] - of["image"].as_tensor()[:, row]).abs().max() <= step
        assert torch.equal(sample["label"], of["label"][:, row])
        assert sample["known"].tolist() == [True, True]
        place = of["image"].affine.numpy()
        for y, x in ((0, 0), (3, 7)):  # a pixel's place in mm
            assert kept.affine(index) @ [0, y, x, 1] == pytest.approx(place @ [row, y, x, 1])
    assert [kept.subjects[v] for v in kept.volume_of[[0, 5, 17]]] == ["s0", "s1", "s2"]
    white = np.percentile((v := nib.load(data[1]["image"]["t2"]).get_fdata())[v > v.mean()], 99.5)
    assert kept.scale(6)[1] == pytest.approx([0, white], rel=1e-6)
    assert kept.scale(6).shape == (2, 2)


def test_slices_are_chosen_by_content_without_being_made_anew(data, tmp_path, monkeypatch):
    store(data, tmp_path)
    monkeypatch.setattr(SampleMaker, "_computed", lambda *_: pytest.fail("made anew"))
    core = store(data, tmp_path, choice=SliceChoice(labels=["core"]))
    assert core.slice_of.tolist() == [2, 2, 2]
    large = store(data, tmp_path, choice=SliceChoice(labels=["core", "oedema"], min_pixels=16))
    assert large.slice_of.tolist() == [1, 2] * 3
    filled = (SIZE - 4) ** 2 / SIZE**2  # of every slice but the last is brighter than the mean
    assert len(store(data, tmp_path, choice=SliceChoice("t1", filled - 0.01))) == 18
    with pytest.raises(ValueError, match="none of 21 slices in 3 volumes"):
        store(data, tmp_path, choice=SliceChoice("t1", filled + 0.01))
    with pytest.raises(ValueError, match="chosen by tumour, but the sample has t1, t2, core, oedema"):
        store(data, tmp_path, choice=SliceChoice(labels=["tumour"]))


def test_an_interrupted_store_goes_on_and_changed_files_are_made_anew(data, tmp_path, monkeypatch):
    mine = copy.deepcopy(data)
    made = []

    computed = SampleMaker._computed
    monkeypatch.setattr(SampleMaker, "_computed", lambda self, item: made.append(item["id"]) or computed(self, item))
    store(mine[:1], tmp_path)
    store(mine, tmp_path)
    assert made == ["case0", "case1", "case2"]
    mine[1]["image"] = mine[1]["image"] | {"t2": data[1]["image"]["t1"]}
    store(mine, tmp_path)
    assert made[3:] == ["case1"]


def test_what_changed_takes_the_place_of_what_was_there(data, tmp_path, monkeypatch):
    """New arrays first, then the description that names them, then the old ones go: what is named is always whole."""
    kept, mine = tmp_path / "kept", [{"id": "one", "image": {}}]

    def put(item):  # the files of an item under names that stay
        for name in ("t1", "t2"):
            mine[0]["image"][name] = shutil.copy(item["image"][name], tmp_path / f"{name}.nii.gz")
        mine[0]["label"] = shutil.copy(item["label"], tmp_path / "seg.nii.gz")

    def named():
        return set(json.loads(next(kept.glob("*.json")).read_text())["files"].values())

    put(data[0])
    store(mine, kept)
    before = named()
    assert {path.name for path in kept.glob("*.npy")} == before
    put(data[1])
    with monkeypatch.context() as patch:
        patch.setattr(StoredVolume, "as_json", lambda _: pytest.fail("killed"))
        with pytest.raises(pytest.fail.Exception):
            store(mine, kept)
    assert named() == before
    assert {np.load(kept / name).shape[0] for name in before} == {6}
    after = store(mine, kept)
    assert {path.name for path in kept.glob("*.npy")} == named()
    assert not named() & before
    new = store(data[1:2], None)
    assert all(torch.equal(a["image"], b["image"]) for a, b in zip(after, new, strict=True))


def test_arrays_that_no_description_names_are_removed_in_time(data, tmp_path):
    store(data[:1], tmp_path)
    (array,) = tmp_path.glob("*.image.npy")
    lost = array.with_name(array.name.replace(".image.npy", "0.image.npy"))
    foreign, half = tmp_path / "other-1-2-16-3.image.npy", tmp_path / ".0.partial.image.npy"
    for path in (lost, foreign, half):
        shutil.copy(array, path)
    store(data[:1], tmp_path)
    assert all(path.is_file() for path in (lost, foreign, half))  # another process may be writing them
    for path in (lost, foreign, half):
        os.utime(path, (0, 0))
    store(data[:1], tmp_path)
    assert [path.is_file() for path in (array, lost, foreign, half)] == [True, False, True, False]


def test_damage_is_found_and_mended(data, tmp_path):
    before = [sample["image"] for sample in store(data, tmp_path)]
    image, half = sorted(tmp_path.glob("*.image.npy"))[:2]
    content = bytearray(image.read_bytes())
    content[-100] ^= 0x10
    image.write_bytes(content)
    half.write_bytes(half.read_bytes()[:-1000])
    with pytest.warns(UserWarning, match="are damaged"):
        store(data, tmp_path)  # the size alone
    with pytest.warns(UserWarning, match="another checksum"):
        after = [sample["image"] for sample in store(data, tmp_path, verify=True)]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_what_cannot_be_used_is_left_out_by_name(data, tmp_path):
    bad = {"id": "bad", "image": {"t1": data[0]["image"]["t1"]}, "label": data[0]["label"]}
    with pytest.warns(UserWarning, match=r"bad: .*it has no t2"):
        assert len(store([bad, *data], tmp_path)) == 18
    with pytest.raises(VolumeError, match="none of 1 volumes can be used"):
        store([bad], tmp_path)


def test_classes_follow_slices(data, tmp_path):
    per_slice = [item | {"class": list(range(6 + n)) if n < 2 else 9} for n, item in enumerate(data)]
    kept = store(per_slice, tmp_path, choice=SliceChoice(labels=["oedema"]))
    assert kept.classes().tolist() == [1, 2, 1, 2, 9, 9]
    assert kept[3]["class"] == 2
    with pytest.raises(VolumeError, match="6 slices, and 2 classes"):
        store([data[0] | {"class": [1, 2]}], tmp_path)


def test_memory_workers_and_augmentation(data, tmp_path):
    plain = store(data, None)
    assert torch.equal(plain[3]["image"], store(data, tmp_path, num_workers=2)[3]["image"])
    moved = store(data, None, augment=RandomSamples((SIZE, SIZE), prob=1).set_random_state(0))
    assert not torch.equal(moved[3]["image"], plain[3]["image"])
    assert not list(tmp_path.glob(".*"))  # nothing half-written
    parcel = pickle.dumps(store(data, tmp_path))  # as workers that are spawned get it
    assert len(parcel) < 20_000 < plain[3]["image"].nbytes * len(plain)
    again = pickle.loads(parcel)
    assert torch.equal(again[3]["image"], plain[3]["image"])
    assert json.loads(next(tmp_path.glob("case0*.json")).read_text())["id"] == "case0"


def test_groups_are_drawn_by_their_shares(data, tmp_path):
    kept = store(data, tmp_path)
    core, oedema = kept.pixels(["core"]) > 0, kept.pixels(["oedema"]) > 0
    assert (core.sum(), oedema.sum()) == (3, 6)
    weights = balanced_weights([core, oedema], [0.5, 0.3])
    assert [weights[core].sum(), weights[oedema & ~core].sum()] == pytest.approx([0.5, 0.3])
    assert weights.sum() == pytest.approx(1)
    sampler = BalancedSampler([0] * 18, weights, num_replicas=1, rank=0, seed=4)
    drawn = []
    for epoch in range(100):
        sampler.set_epoch(epoch)
        drawn += list(sampler)
    assert np.mean(core[drawn]) == pytest.approx(0.5, abs=0.04)  # 3.4 standard deviations
    assert np.mean((oedema & ~core)[drawn]) == pytest.approx(0.3, abs=0.04)
    parts = [BalancedSampler([0] * 18, weights, num_replicas=2, rank=r, seed=4) for r in (0, 1)]
    whole = BalancedSampler([0] * 18, weights, num_replicas=1, rank=0, seed=4)
    assert [i for pair in zip(*parts, strict=True) for i in pair] == list(whole)
    with pytest.raises(ValueError, match="group 0 has no slice"):
        balanced_weights([np.zeros(18, bool)], [0.5])
    with pytest.raises(ValueError, match="at most 1 together"):
        balanced_weights([core, oedema], [0.7, 0.7])
