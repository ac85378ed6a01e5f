"""Keeps what the deterministic part of a chain of transforms gives on disk, as MONAI's PersistentDataset does."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from monai.data import Dataset, PersistentDataset
from monai.transforms import Compose
from monai.utils import convert_to_tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from tools.io import left_out
from tools.io.readers import VolumeError
from tools.io.volume_reader import source_path, volume_stamp
from tools.torch_files import write_torch_file
from tools.transforms.digest import chain_digest
from tools.transforms.plausibility import Judging


def cached_dataset(data: Sequence[dict], transform: Callable, cache_dir: str | os.PathLike | None) -> Dataset:
    """A dataset whose items are computed once and read from `cache_dir` from then on.

    An item is computed anew when its file (path, size, time of change) or the chain (`chain_digest`) has changed, or
    when its cache file cannot be read. Items hold tensors without metadata.

    Args:
        data: datalist, `[{"image": path, ...}, ...]`.
        transform: a `Compose`; what follows from its first random transform on is applied after the cache.
        cache_dir: folder of the cache, made if it does not exist; None for no cache.
    """
    if cache_dir is None:
        return Dataset(data, transform)
    return _CachedDataset(data, _flat(transform), cache_dir, hash_func=item_key, hash_transform=_transform_key)


def usable_dataset(
    data: Sequence[dict], transform: Callable, cache_dir: str | os.PathLike | None = None, num_workers: int = 0
) -> Dataset:
    """`cached_dataset` of those items that can be computed: all are, at once, and kept in the cache if there is one.

    A volume whose voxels cannot be used shows that only when they are read. Here it is left out, with a warning that
    names it, before it can stop a training in the middle of an epoch.

    Args:
        data: datalist, `[{"image": path, "id": ..., ...}, ...]`.
        transform: transform, as for `cached_dataset`.
        cache_dir: the same. Without a cache volumes are read once more, but not preprocessed copies (a chain in which
            nothing is `Judging`), which have been looked at.
        num_workers: processes that compute, as for a ``DataLoader``; 0 for this one alone.

    Raises:
        VolumeError: no item can be used.
    """
    dataset = cached_dataset(data, transform, cache_dir)
    if cache_dir is not None or any(isinstance(step, Judging) for step in _flat(transform).transforms):
        _leave_out_unusable(dataset, num_workers)
    return dataset


def _flat(transform: Callable) -> Compose:
    """The transforms of a chain in one row: MONAI counts a Compose within a Compose as random, and would cache none."""
    return Compose(transform).flatten()


def _leave_out_unusable(dataset: Dataset, num_workers: int) -> None:
    """Drops those items that cannot be computed, and warns of them. What is computed is kept if there is a cache."""
    reasons = _of_all(_Tried(dataset), isinstance(dataset, _CachedDataset), num_workers)
    bad = {index: reason for index, reason in enumerate(reasons) if reason}
    if not bad:
        return
    names = {str(dataset.data[index].get("id", index)): reason for index, reason in bad.items()}
    if len(bad) == len(reasons):
        raise VolumeError(f"none of {len(bad)} volumes can be used:\n{left_out.listed(names)}")
    left_out.warn_of("the data", names, len(reasons), stacklevel=3)
    dataset.data = [item for index, item in enumerate(dataset.data) if index not in bad]


class _Tried(torch.utils.data.Dataset):
    """Reason why an item cannot be computed, "" if it can, for every item."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> str:
        try:
            if isinstance(self.dataset, _CachedDataset):
                self.dataset.compute(index)
            else:
                self.dataset[index]
        except Exception as error:
            reason = VolumeError.behind(error)
            if reason is None:
                raise
            return str(reason)  # with the file's name: an item may hold several
        return ""


def _of_all(one: torch.utils.data.Dataset, shared: bool, num_workers: int) -> list[Any]:
    """All items of ``one``, in order; processes that share a cache share the work, and wait for one another."""
    rank, world = (idist.get_rank(), idist.get_world_size()) if shared else (0, 1)
    mine = range(rank, len(one), world)
    # a generator of its own, or the loader would take a number from the one that initialises networks
    loader = DataLoader(one, None, sampler=mine, num_workers=num_workers, generator=torch.Generator())
    found = dict(zip(mine, tqdm(loader, desc="Volumes", unit="volume", leave=False, disable=None), strict=True))
    if world > 1:
        idist.barrier()
    return [found[index] if index in found else one[index] for index in range(len(one))]


def item_key(item: dict) -> bytes:
    """Hex digest of an item, with size and time of change of every volume that it names, alone or in a list."""
    stamps = {key: stamps for key, value in item.items() if (stamps := [*map(_stamp, _named_files(value))])}
    content = json.dumps([{k: str(v) for k, v in item.items()}, stamps], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest().encode()


def _named_files(value: object) -> list[str]:
    """The volumes, files or folders of DICOM, that a value of an item names: one, several or none."""
    names = value if isinstance(value, list | tuple) else [value]
    paths = [os.fspath(name) for name in names if isinstance(name, str | os.PathLike)]
    return [path for path in paths if os.path.exists(source_path(path))]


def _stamp(path: str) -> list:
    return [os.path.abspath(path), volume_stamp(path)]


def _transform_key(transforms: Sequence[Callable]) -> bytes:
    return chain_digest(transforms)[:16].encode()


class _CachedDataset(PersistentDataset):
    """PersistentDataset that writes a cache file in one step, and computes one anew whatever is wrong with it.

    MONAI's moves the file from the system's temporary folder, which copies it if that is another file system, so that a
    killed process or a full disk leaves half a file; reading that is an error which ends the training.
    """

    def compute(self, index: int) -> None:
        """Sees to it that an item is in the cache."""
        if not self._file(self.data[index]).is_file():
            self._cachecheck(self.data[index])

    def _file(self, item: dict) -> Path:
        return Path(self.cache_dir) / f"{self.hash_func(item).decode()}-{self.transform_hash}.pt"

    def _cachecheck(self, item_transformed):
        file = self._file(item_transformed)
        if file.is_file():
            try:
                return torch.load(file, weights_only=True)
            except Exception as e:  # torch.load raises five kinds of error on damaged files
                warnings.warn(f"{file} cannot be read ({type(e).__name__}); it is computed anew", stacklevel=2)
        result = self._pre_transform(deepcopy(item_transformed))
        result = convert_to_tensor(result, convert_numeric=False, track_meta=False)
        write_torch_file(file, result)
        return result
