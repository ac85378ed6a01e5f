"""Slices from volumes: in their places, computed once, drawn in pairs that do not depend on the number of processes."""

import nibabel as nib
import numpy as np
import pytest
import torch
import torch.distributed as dist
from monai.transforms import Compose, MapTransform

from tests.processes import in_two_processes
from tools.data.slices import SliceStore, UnpairedSampler, UnpairedSlices, unpaired, with_enough_slices
from tools.io.readers import VolumeError


class Volume(MapTransform):
    """Slice i of modality m of study s has the value s / 10 + m / 100 + i / 1000; slice 0 is blank."""

    calls = 0

    def __init__(self, depth=5, modalities=2):
        super().__init__("image")
        self.depth = depth
        self.modalities = modalities

    def __call__(self, item):
        Volume.calls += 1
        m, i = torch.meshgrid(torch.arange(self.modalities), torch.arange(self.depth), indexing="ij")
        values = int(item["id"]) / 10 + m / 100 + i / 1000
        values[:, 0] = -1
        return item | {"image": values[..., None, None].expand(-1, -1, 4, 4)}


def items(count):
    return [{"id": str(s + 1), "image": ["nowhere"]} for s in range(count)]


def store(count=3, depth=5, modalities=2, **options):
    return SliceStore(items(count), Compose([Volume(depth, modalities)]), **options)


@pytest.mark.parametrize("cached", [False, True])
def test_slices_are_in_their_places(tmp_path, cached):
    slices = store(cache_dir=tmp_path if cached else None)
    assert len(slices) == 3 * 4  # without the blank ones
    assert len(store(keep_blank=True)) == 3 * 5
    image = slices[5]
    assert image.dtype == torch.float32
    assert image.shape == (2, 4, 4)
    assert image[:, 0, 0].tolist() == pytest.approx([0.202, 0.212], abs=1e-3)


def test_slabs_repeat_the_ends():
    slices = store(count=1, slices=3)
    assert slices[3].shape == (6, 4, 4)
    assert slices[1][:, 0, 0].tolist() == pytest.approx([0.101, 0.102, 0.103, 0.111, 0.112, 0.113], abs=1e-3)
    assert slices[3][:, 0, 0].tolist() == pytest.approx([0.103, 0.104, 0.104, 0.113, 0.114, 0.114], abs=1e-3)


def test_volumes_are_computed_once(tmp_path):
    Volume.calls = 0
    first = store(cache_dir=tmp_path)
    second = store(cache_dir=tmp_path)
    assert Volume.calls == 3
    assert all(torch.equal(first[i], second[i]) for i in range(len(first)))
    assert isinstance(second._arrays[0][0], np.memmap)
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".json"] * 3 + [".npy"] * 3
    store(depth=6, cache_dir=tmp_path)
    assert Volume.calls == 6  # another chain, other files


def pairs(dataset, epoch, replicas=1, rank=0):
    sampler = UnpairedSampler(dataset, num_replicas=replicas, rank=rank, seed=5)
    sampler.set_epoch(epoch)
    return list(sampler)


def test_every_slice_of_the_larger_set_once_and_the_smaller_evenly():
    dataset = UnpairedSlices(store(3), store(1, depth=6, modalities=1))
    drawn = pairs(dataset, 1)
    assert len(drawn) == len(dataset) == 12
    assert sorted(i for i, _ in drawn) == list(range(12))
    counts = np.bincount([j for _, j in drawn], minlength=5)
    assert counts.tolist().count(2) == 3
    assert set(counts) == {2, 3}
    item = dataset[drawn[0]]
    assert {key: tuple(image.shape) for key, image in item.items()} == {"mr": (2, 4, 4), "ct": (1, 4, 4)}


def test_order_follows_from_seed_and_epoch_and_processes_share_it():
    dataset = UnpairedSlices(store(3), store(2))
    assert pairs(dataset, 1) == pairs(dataset, 1) != pairs(dataset, 2)
    parts = [pairs(dataset, 1, 2, rank) for rank in range(2)]
    interleaved = [pair for both in zip(*parts, strict=True) for pair in both]
    assert interleaved == pairs(dataset, 1)


def test_unpaired_lists():
    mr, ct = ([{"id": f"{k}/{i}", "image": [f"{k}{i}"]} for i in range(n)] for k, n in (("MR", 3), ("CT", 2)))
    assert unpaired(mr, ct) == [
        {"id": f"MR/{i}", "image": [f"MR{i}"], "label": [f"CT{i}"], "label_id": f"CT/{i}"} for i in range(2)
    ]
    with pytest.raises(ValueError, match="got 3 and 0"):
        unpaired(mr, [])


class Damaged(Volume):
    """As `Volume`, but study 2 cannot be read."""

    def __call__(self, item):
        if item["id"] == "2":
            raise VolumeError.of("MR/2", "it is damaged")
        return super().__call__(item)


def test_damaged_studies_are_named_and_left_out():
    with pytest.warns(UserWarning, match=r"1 of 3 studies are left out:\n.*2: MR/2: it is damaged"):
        slices = SliceStore(items(3), Compose([Damaged()]))
    assert slices.ids == ["1", "3"]
    assert len(slices) == 2 * 4
    assert slices[7][0, 0, 0].item() == pytest.approx(0.304, abs=1e-3)
    with pytest.raises(VolumeError, match="none of 1 studies can be used"):
        SliceStore(items(2)[1:], Compose([Damaged()]))


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="slices must be odd"):
        store(slices=2)
    with pytest.raises(ValueError, match="none of 2 studies has a slice"):
        store(2, depth=1)


def test_a_batch_larger_than_the_data_is_refused_by_the_headers(tmp_path):
    """Slices lie along the body, whichever axis of the file that is."""
    axes = {"first": (6, 3, 4), "last": (3, 4, 5)}
    for name, shape in axes.items():
        affine = np.eye(4) if name == "last" else np.eye(4)[[1, 2, 0, 3]]
        image = nib.Nifti1Image(np.zeros(shape, np.int16), affine)
        nib.save(image, tmp_path / f"{name}.nii")
    first, last = ([{"image": [str(tmp_path / f"{name}.nii")], "id": name}] for name in axes)
    assert with_enough_slices(first, last, 6) is first
    assert with_enough_slices(last, first, 6) is last
    assert with_enough_slices(last + first, [], 11) == last + first
    with pytest.raises(ValueError, match=r"--batch_size 7 is more than the 6 slices .*--batch_size 6"):
        with_enough_slices(first, last, 7)


def share(rank, folder):
    dist.init_process_group("gloo", init_method=f"file://{folder}/init", rank=rank, world_size=2)
    try:
        slices = store(cache_dir=f"{folder}/cache")
        torch.save((Volume.calls, torch.stack(list(slices))), f"{folder}/rank{rank}.pth")
    finally:
        dist.destroy_process_group()


def test_processes_share_the_studies(tmp_path):
    """Each study has one owner; both see all."""
    in_two_processes(share, str(tmp_path))
    (first, slices), (second, same) = (torch.load(tmp_path / f"rank{rank}.pth") for rank in range(2))
    assert (first, second) == (2, 1)
    assert torch.equal(slices, same)
    assert torch.equal(slices, torch.stack(list(store())))
