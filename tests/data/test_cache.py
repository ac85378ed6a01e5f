import os
import pickle
from pathlib import Path

import pytest
import torch
from monai.data import DataLoader
from monai.transforms import Compose, RandFlipd

from tests.data.scans import SIZE
from tools.data.cache import cached_dataset
from tools.data.cubes import Cubes
from tools.data.volumes import section_datalist
from tools.io.readers import VolumeError, data_files
from tools.transforms import ct


@pytest.fixture
def loads(monkeypatch):
    """Names of the files that were read, in order."""
    names, read = [], ct.ReplaceNaNd.__call__

    def counting(self, data):
        names.append(Path(data["image"].meta["filename_or_obj"]).name)
        return read(self, data)

    monkeypatch.setattr(ct.ReplaceNaNd, "__call__", counting)
    return names


def cached(dataset, folder, size=SIZE, *random):
    datalist = section_datalist("luna16", dataset, "training")[:2]
    return cached_dataset(datalist, Compose([Cubes("ct", dataset, size).transform, *random]), folder)


def test_cache_hits(dataset, tmp_path, loads):
    first = cached(dataset, tmp_path / "cache")[0]
    assert loads == ["1.2.a.mhd"]
    again = cached(dataset, tmp_path / "cache")[0]
    assert loads == ["1.2.a.mhd"]
    assert torch.equal(first["image"], again["image"])
    assert type(first["image"]) is type(again["image"]) is torch.Tensor
    assert first["id"] == again["id"] == "1.2.a"
    flipped = cached(dataset, tmp_path / "cache", SIZE, RandFlipd("image", prob=1.0, spatial_axis=0))[0]
    assert torch.equal(flipped["image"].as_tensor(), first["image"].flip(1))
    assert loads == ["1.2.a.mhd"]
    assert not list((tmp_path / "cache").glob("*.partial"))


def test_cache_misses(dataset, tmp_path, loads, monkeypatch):
    cached(dataset, tmp_path / "cache")[0]
    cached(dataset, tmp_path / "cache", 8)[0]
    assert len(loads) == 2
    raw = data_files(dataset / "subset0" / "1.2.a.mhd")[1]
    os.utime(raw, ns=(0, 0))  # the header is as it was
    cached(dataset, tmp_path / "cache")[0]
    assert len(loads) == 3
    monkeypatch.setattr(ct, "VERSION", -1)
    cached(dataset, tmp_path / "cache")[0]
    assert len(loads) == 4


@pytest.mark.parametrize("keep", [0, 100, -100])
def test_damaged_cache_is_computed_anew(dataset, tmp_path, loads, keep):
    first = cached(dataset, tmp_path / "cache")[0]
    (file,) = (tmp_path / "cache").glob("*.pt")
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.warns(UserWarning, match="is computed anew"):
        again = cached(dataset, tmp_path / "cache")[0]
    assert torch.equal(first["image"], again["image"])
    assert len(loads) == 2
    cached(dataset, tmp_path / "cache")[0]
    assert len(loads) == 2


def test_no_cache_and_workers(dataset, tmp_path):
    plain = cached(dataset, None)
    assert pickle.loads(pickle.dumps(cached(dataset, tmp_path / "cache"))) is not None  # for workers that are spawned
    loader = DataLoader(cached(dataset, tmp_path / "cache"), batch_size=2, num_workers=1)
    (batch,) = loader
    assert torch.equal(batch["image"][0], plain[0]["image"])


def test_bad_volume_in_training_is_named(dataset, tmp_path):
    datalist = section_datalist("luna16", dataset, "training")
    raw = data_files(datalist[0]["image"])[1]
    raw.write_bytes(b"")
    with pytest.raises(RuntimeError) as error:
        cached_dataset(datalist, Cubes("ct", dataset, SIZE).transform, tmp_path / "cache")[0]
    assert isinstance(error.value.__cause__, VolumeError)
    assert datalist[0]["image"] in str(error.value.__cause__)
