"""The store of preprocessed volumes that a training fills: the same as `preprocess` writes, shared, gone on with."""

import json
import os
import signal
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import nibabel as nib
import pytest
import SimpleITK as sitk
import torch
import torch.distributed as dist

from tests.data.scans import SIZE, prepare, write_ct
from tests.processes import in_another_process, in_two_processes
from tools.data.cubes import Cubes, cube_dataset
from tools.data.preprocessed import preprocessed_info
from tools.data.store import VolumeStore, _Task
from tools.data.volumes import section_datalist, volume_datalist
from tools.io.readers import VolumeError
from tools.io.volume_reader import VolumeReader
from tools.transforms import ct
from tools.transforms.latent import LatentFromSeedd


@pytest.fixture
def computed(monkeypatch):
    """Ids of the volumes that are computed, in order."""
    ids, result = [], _Task.result

    def counting(task):
        ids.append(task.identifier)
        return result(task)

    monkeypatch.setattr(_Task, "result", counting)
    return ids


def cubes(folder, cache_dir, size=SIZE, **more):
    return Cubes("ct", folder, size, cache_dir=cache_dir, **more)


def all_of(folder):
    return volume_datalist(folder)[:3]


def test_a_training_fills_what_preprocess_writes(dataset, tmp_path, computed):
    """The same bytes, entries and settings; the command goes on with a store that a training began."""
    prepare(dataset, tmp_path / "out")
    used = cubes(dataset, tmp_path / "cache")
    found = cube_dataset(section_datalist("luna16", dataset, "training"), used)
    (folder,) = (tmp_path / "cache").iterdir()
    info, written = preprocessed_info(folder), preprocessed_info(tmp_path / "out")
    assert info["volumes"] == {name: written["volumes"][name] for name in ("1.2.a", "1.2.b")}
    for entry in info["volumes"].values():
        assert (folder / entry["image"]).read_bytes() == (tmp_path / "out" / entry["image"]).read_bytes()
    assert [i["image"] for i in found.data] == [str(folder / info["volumes"][i["id"]]["image"]) for i in found.data]
    image = nib.load(found.data[0]["image"])
    assert (image.get_data_dtype().str, image.shape) == ("<i2", (SIZE,) * 3)
    without = cube_dataset(section_datalist("luna16", dataset, "training"), cubes(dataset, None))
    for a, b in zip(found, without, strict=True):
        assert torch.equal(a["image"], b["image"])
        assert type(a["image"]) is torch.Tensor
    computed.clear()
    prepare(dataset, folder)
    assert computed == ["1.2.c", "d"]
    finished = preprocessed_info(folder)
    assert finished == written
    assert sorted(path.name for path in folder.iterdir()) == [
        "more",
        "preprocessed.json",
        "subset0",
        "subset1",
        "subset9",
    ]


def test_sections_and_what_follows_share_a_store(dataset, tmp_path, computed):
    """Latents are made after it: another length of theirs computes no CT anew; another size or code does."""
    items = [item | {"seed": n} for n, item in enumerate(all_of(dataset))]
    one = cube_dataset(items, cubes(dataset, tmp_path), LatentFromSeedd(latent_dim=4))
    assert sorted(computed) == ["1.2.a", "1.2.b", "1.2.c"]
    two = cube_dataset(items[:2], cubes(dataset, tmp_path), LatentFromSeedd(latent_dim=8))
    assert len(computed) == 3
    assert [one[0]["latent"].shape, two[0]["latent"].shape] == [(4,), (8,)]
    assert torch.equal(one[0]["image"], two[0]["image"])
    assert two.data[0]["seed"] == 0
    cube_dataset(items[:1], cubes(dataset, tmp_path, window=(-1000, 500)))
    cube_dataset(items[:1], cubes(dataset, tmp_path, 8))
    assert len(computed) == 5
    assert len(list(tmp_path.glob("ct_*"))) == 3


def test_what_changed_is_computed_anew(dataset, tmp_path, computed, monkeypatch):
    items = all_of(dataset)
    found = cube_dataset(items, cubes(dataset, tmp_path / "cache"))
    write_ct(dataset / "subset0" / "1.2.a.mhd", seed=7)  # another volume
    damaged = Path(found.data[1]["image"])
    damaged.write_bytes(damaged.read_bytes()[:-1])
    computed.clear()
    cube_dataset(items, cubes(dataset, tmp_path / "cache"))
    assert computed == ["1.2.a", "1.2.b"]
    monkeypatch.setattr(ct, "VERSION", -1)
    cube_dataset(items, cubes(dataset, tmp_path / "cache"))
    assert len(computed) == 5


def test_what_only_voxels_show_is_left_out_before_training(dataset, tmp_path, monkeypatch, quick_workers):
    """A spoilt compressed file and a label map: their headers are good. With workers and without."""
    source = sitk.ReadImage(str(dataset / "more" / "d.nii.gz"))
    sitk.WriteImage(sitk.Cast(source > -500, sitk.sitkUInt8), str(dataset / "subset0" / "organs.nii.gz"))
    spoilt = dataset / "more" / "d.nii.gz"
    content = bytearray(spoilt.read_bytes())
    content[len(content) // 2] ^= 0xFF
    spoilt.write_bytes(content)
    items = [item for item in volume_datalist(dataset) if item["id"] != "1.2.c"]
    monkeypatch.setattr("tools.data.cubes.PER_PROCESS", 1)
    for name, workers in (("one", 0), ("two", 2)):
        with pytest.warns(UserWarning, match="2 of 4 volumes are left out") as caught:
            found = cube_dataset(items, cubes(dataset, tmp_path / name, num_workers=workers))
        message = str(next(w.message for w in caught if "left out" in str(w.message)))
        assert "organs.nii.gz: it is a label map" in message
        assert f"{spoilt}: " in message
        assert [item["id"] for item in found.data] == ["1.2.a", "1.2.b"]
    with pytest.warns(UserWarning, match="2 of 4 volumes are left out"):
        assert len(cube_dataset(items, cubes(dataset, None))) == 2
    with pytest.raises(VolumeError, match="none of 2 volumes can be used"):
        cube_dataset(items[2:], cubes(dataset, tmp_path / "one"))


def test_preprocessed_copies_are_read_as_they_are(dataset, tmp_path, monkeypatch):
    prepare(dataset, tmp_path / "out")
    items = all_of(tmp_path / "out")
    monkeypatch.setattr(VolumeReader, "get_data", lambda *_: 1 / 0)
    found = cube_dataset(items, cubes(tmp_path / "out", tmp_path / "cache"))
    assert list(found.data) == items
    assert not (tmp_path / "cache").exists()


def test_a_store_is_no_part_of_the_dataset(dataset, tmp_path):
    with pytest.raises(ValueError, match=r"cache_dir .* lies in dataset_dir .*--cache_dir"):
        cubes(dataset, dataset / "cache")


def share(rank, folder, cache_dir):
    dist.init_process_group("gloo", init_method=f"file://{cache_dir}/init", rank=rank, world_size=2)
    try:
        ids, result = [], _Task.result
        _Task.result = lambda task: (ids.append(task.identifier), result(task))[1]
        found = cube_dataset(all_of(folder), cubes(folder, f"{cache_dir}/store"))
        Path(f"{cache_dir}/rank{rank}.json").write_text(json.dumps([ids, [item["image"] for item in found.data]]))
    finally:
        dist.destroy_process_group()


def test_processes_share_the_work(dataset, tmp_path):
    """Each volume has one owner, and all have the same datalist and one manifest."""
    in_two_processes(share, str(dataset), str(tmp_path))
    (first, data), (second, same) = (json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in range(2))
    assert (first, second) == (["1.2.a", "1.2.c"], ["1.2.b"])
    assert data == same
    (folder,) = (tmp_path / "store").iterdir()
    assert sorted(preprocessed_info(folder)["volumes"]) == ["1.2.a", "1.2.b", "1.2.c"]
    assert len(list(folder.glob("*.json"))) == 1


def killed_at_the_third(dataset, cache):
    result, ended = _Task.result, []

    def killed(task):
        if len(ended) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        ended.append(task.identifier)
        return result(task)

    _Task.result = killed
    cube_dataset(all_of(dataset), Cubes("ct", dataset, 16, cache_dir=cache))


def test_a_killed_training_loses_only_what_it_was_working_on(dataset, tmp_path, computed):
    with pytest.raises(BrokenProcessPool):
        in_another_process(killed_at_the_third, str(dataset), str(tmp_path / "cache"))
    (folder,) = (tmp_path / "cache").iterdir()
    assert sorted(preprocessed_info(folder)["volumes"]) == ["1.2.a", "1.2.b"]
    cube_dataset(all_of(dataset), cubes(dataset, tmp_path / "cache"))
    assert computed == ["1.2.c"]
    assert sorted(preprocessed_info(folder)["volumes"]) == ["1.2.a", "1.2.b", "1.2.c"]


def test_half_written_files_are_removed_when_nobody_writes_them(dataset, tmp_path):
    store = VolumeStore(tmp_path / "store", dataset, {"kind": "ct", "image_size": SIZE, "window": [-1024, 600]})
    (tmp_path / "store" / "subset0").mkdir(parents=True)
    old, new = (tmp_path / "store" / "subset0" / f".{name}.partial.nii" for name in ("old", "new"))
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    store.clean()
    assert [old.exists(), new.exists()] == [False, True]
