"""Slices of volumes for 2D training: each volume computed once, MR and CT of different patients drawn together."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, DistributedSampler

from tools.data.sample_store import BLANK, arrays_of, names_of, usable
from tools.data.stored_samples import SampleMaker
from tools.io.volume_reader import volume_header


class SliceStore(Dataset):
    """All axial slices of a list of studies, or thin slabs centred on them.

    Every study is computed once and kept as float16, [axial, modalities, H, W] (in [-1, 1] its steps are at most
    1/2048, half an HU in a window of 2000); with a ``cache_dir`` in files that are read by memory map, so that workers
    and processes share them and sets larger than memory can be trained on. Studies whose voxels cannot be used are
    left out, with a warning that names them.

    Args:
        data: datalist, `[{"image": paths, "id": ...}, ...]`.
        transform: transform from an item to one with "image" [modalities, axial, H, W] in [-1, 1]; see
            `tools.transforms.slices`.
        cache_dir: folder to keep them in; None for memory.
        slices: number of slices of a slab, odd; 1 for single slices. Beyond the ends of a volume its last slice is
            repeated.
        keep_blank: True includes slices that show nothing.
        num_workers: processes that compute.

    Raises:
        VolumeError: no study can be used.
        ValueError: no study has a slice that shows anything, or ``slices`` is even.
    """

    def __init__(
        self,
        data: Sequence[dict],
        transform: Callable[[dict], dict],
        cache_dir: str | os.PathLike | None = None,
        slices: int = 1,
        keep_blank: bool = False,
        num_workers: int = 0,
    ) -> None:
        if slices < 1 or slices % 2 == 0:
            raise ValueError(f"slices must be odd, so that there is a middle one; got {slices}")
        self.slices = slices
        make = SampleMaker(data, transform, None, None if cache_dir is None else Path(cache_dir), 16)
        kept = usable(data, make.all(num_workers), "studies")
        self.ids = [item["id"] for item, _, _ in kept]
        self._arrays = [arrays for _, _, arrays in kept]
        shown = [volume.brightest.astype(np.float16) > BLANK for _, volume, _ in kept]  # as it is kept
        self._places = [(n, i) for n, row in enumerate(shown) for i in range(len(row)) if keep_blank or row[i]]
        if not self._places:
            raise ValueError(f"none of {len(data)} studies has a slice that shows anything")

    def __getstate__(self) -> dict[str, Any]:
        """Give processes that are not forked the files' names: they map the files themselves, and nothing is copied."""
        return vars(self) | {"_arrays": names_of(self._arrays)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state | {"_arrays": arrays_of(state["_arrays"])})

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Tensor:
        """A slab [modalities * slices, H, W], float32."""
        number, middle = self._places[index]
        volume, _ = self._arrays[number]
        half = self.slices // 2
        rows = np.clip(np.arange(middle - half, middle + half + 1), 0, len(volume) - 1)
        slab = torch.from_numpy(volume[rows].astype(np.float32))  # [slices, modalities, H, W]
        return slab.transpose(0, 1).flatten(0, 1)


def with_enough_slices(studies: Sequence[dict], others: Sequence[dict], batch_size: int) -> Sequence[dict]:
    """The first of two lists of studies, if by their headers one of them may fill a batch: before any voxel is read.

    Headers are read until there are enough. Blank slices, which only voxels show, count here.

    Raises:
        ValueError: neither list has so many slices.
    """
    most = 0
    for part in (studies, others):
        slices = 0
        for item in part:
            header = volume_header(item["image"][0])
            slices += header.shape[int(np.abs(header.affine[2, :3]).argmax())]  # along the body
            if slices >= batch_size:
                return studies
        most = max(most, slices)
    raise ValueError(
        f"--batch_size {batch_size} is more than the {most} slices that there are to train on. Give more data, or "
        f"--batch_size {max(1, most)}."
    )


class UnpairedSlices(Dataset):
    """MR slices with CT slices of other patients. A key is a pair of indices, which `UnpairedSampler` gives.

    Items hold "mr" [modalities * slices, H, W] and "ct" [slices, H, W].
    """

    def __init__(self, mr: SliceStore, ct: SliceStore) -> None:
        self.mr = mr
        self.ct = ct

    def __len__(self) -> int:
        return max(len(self.mr), len(self.ct))

    def __getitem__(self, pair: tuple[int, int]) -> dict[str, Tensor]:
        return {"mr": self.mr[pair[0]], "ct": self.ct[pair[1]]}


class UnpairedSampler(DistributedSampler):
    """Pairs of indices: the larger set once an epoch in random order, the smaller one as often as it takes.

    Every slice of the smaller set comes once before any comes again. What is drawn follows from seed and epoch; with
    several processes each takes every n-th pair, so that together they draw what one process would.

    Args:
        dataset: dataset whose sets are drawn from.
        num_replicas: number of processes; None asks torch.distributed.
        rank: number of this process; None asks torch.distributed.
        seed: seed of the order.
    """

    def __init__(
        self, dataset: UnpairedSlices, num_replicas: int | None = None, rank: int | None = None, seed: int = 0
    ) -> None:
        super().__init__(dataset, num_replicas, rank, shuffle=True, seed=seed)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        columns = [self._repeated(len(part), generator) for part in (self.dataset.mr, self.dataset.ct)]
        pairs = list(zip(*columns, strict=True))
        return iter(pairs[self.rank : self.total_size : self.num_replicas])

    def _repeated(self, size: int, generator: torch.Generator) -> list[int]:
        """Draw as many indices below ``size`` as all processes need, permutation after permutation."""
        rounds = -(-self.total_size // size)
        return torch.cat([torch.randperm(size, generator=generator) for _ in range(rounds)])[: self.total_size].tolist()


def unpaired(mr: Sequence[dict], ct: Sequence[dict]) -> list[dict]:
    """Studies to validate on: MR as "image" and CT as "label", in the order of the lists, as many as the shorter has.

    With phantoms the two are of one body; with patients they have nothing to do with each other.

    Raises:
        ValueError: one list is empty.
    """
    if not mr or not ct:
        raise ValueError(f"validation needs MR and CT studies, got {len(mr)} and {len(ct)}")
    pairs = zip(mr, ct, strict=False)
    return [{"id": m["id"], "image": m["image"], "label": c["image"], "label_id": c["id"]} for m, c in pairs]
