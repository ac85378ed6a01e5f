"""Labelled slices for training in two dimensions: every volume computed once, read by memory map from then on."""

from __future__ import annotations

import json
import os
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import numpy as np
import torch
from monai.utils import convert_to_numpy
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler
from tqdm import tqdm

from tools.data.cache import item_key
from tools.files import file_name, whole_file
from tools.io import left_out
from tools.io.readers import VolumeError
from tools.transforms.channels import Channels
from tools.transforms.digest import chain_digest
from tools.transforms.samples import SCALE

BLANK = -0.99
"""A slice whose brightest value is below this shows nothing."""

DTYPES = {8: np.uint8, 16: np.float16}


@dataclass(frozen=True)
class SliceChoice:
    """What a slice must show to be used.

    Attributes:
        foreground: name of the image that is asked; None asks none.
        min_foreground: share of the square's pixels that must be brighter there than the mean of the whole volume;
            0.15 of "t1" is what Eklund's preparation of BraTS asks.
        labels: names of classes, one of which must be there; none asks for none.
        min_pixels: pixels, as stored, that these classes must have together.
    """

    foreground: str | None = None
    min_foreground: float = 0.0
    labels: Sequence[str] = ()
    min_pixels: int = 1


@dataclass
class _Volume:
    """What is known of a stored volume besides its voxels; what is said of slices is in arrays [axial, ...]."""

    id: str
    subject: str
    shape: list[int]  # [axial, images, H, W]
    affine: list[list[float]] | None
    scale: list[list[float]]  # values of -1 and 1 of every image
    brightest: np.ndarray
    foreground: np.ndarray  # [axial, images], share of a square
    pixels: np.ndarray  # [axial, classes with background]
    known: list[bool] | None
    classes: np.ndarray | None  # as the dataset's table says
    checks: dict[str, int] = field(default_factory=dict)  # CRC-32 by name of file

    def __post_init__(self) -> None:
        self.brightest = np.asarray(self.brightest, np.float32)
        self.foreground = np.asarray(self.foreground, np.float32)
        self.pixels = np.asarray(self.pixels, np.int32)
        self.classes = None if self.classes is None else np.asarray(self.classes)

    def as_json(self) -> str:
        return json.dumps(vars(self), default=np.ndarray.tolist)


class SampleStore(Dataset):
    """Axial slices of labelled volumes: image, label, which classes are known, and where they come from.

    Volumes are computed once, by several processes where there are some, and kept in files of their own, so that an
    interrupted run goes on where it was and a changed volume is computed anew. Samples are read by memory map: workers
    and processes share what the system holds of them, and a set need not fit into memory. Volumes that cannot be used
    are left out, with a warning that names them.

    Args:
        data: datalist, `[{"image": {name: path}, "label": path, "id": ..., "subject": ...}, ...]`; "class" may give a
            class for the volume, or one for each of its slices, see `tools.transforms.samples`.
        transform: transform from an item to its slices, see `tools.transforms.samples.sample_slices`.
        channels: channels of a sample.
        store_dir: folder in which they are kept; None for memory.
        choice: slices that are part of it; others are stored, too. Slices that show nothing never are.
        bits: 16 keeps images as float16 (steps of at most 1/2048 in [-1, 1]), 8 as 256 grey values, in half the space.
        num_workers: processes that compute.
        augment: random transform of a sample before it is handed out, such as
            `tools.transforms.samples.random_samples`.
        verify: True reads all that is stored and compares checksums; what is damaged is computed anew. Sizes always
            are.

    Raises:
        VolumeError: no volume can be used.
        ValueError: no slice is as ``choice`` asks, or ``choice`` names what ``channels`` have not.
    """

    def __init__(
        self,
        data: Sequence[dict],
        transform: Callable[[dict], dict],
        channels: Channels,
        store_dir: str | os.PathLike | None,
        choice: SliceChoice | None = None,
        bits: int = 16,
        num_workers: int = 0,
        augment: Callable[[dict], dict] | None = None,
        verify: bool = False,
    ) -> None:
        if bits not in DTYPES:
            raise ValueError(f"bits is {bits}, expected one of {', '.join(map(str, DTYPES))}")
        self.channels = channels
        self.augment = augment
        choice = choice or SliceChoice()
        _check_names(choice, channels)
        make = _Maker(data, transform, channels, None if store_dir is None else Path(store_dir), bits)
        found = make.all(num_workers, verify)
        bad = {str(data[i]["id"]): reason for i, reason in enumerate(found) if isinstance(reason, str)}
        kept = [one for one in found if not isinstance(one, str)]
        if not kept:
            raise VolumeError(f"none of {len(data)} volumes can be used:\n{left_out.listed(bad)}")
        if bad:
            left_out.warn_of("the data", bad, len(data))
        self._volumes = [volume for volume, _ in kept]
        self._arrays = [arrays for _, arrays in kept]
        chosen = [np.flatnonzero(_chosen(volume, choice, channels)) for volume in self._volumes]
        self.volume_of = np.repeat(np.arange(len(chosen), dtype=np.int32), [len(c) for c in chosen])
        """Number of the volume of every slice."""
        self.slice_of = np.concatenate(chosen).astype(np.int32)
        """Number of every slice in its volume, from the feet up."""
        if not len(self):
            stored = sum(volume.shape[0] for volume in self._volumes)
            raise ValueError(f"none of {stored} slices in {len(kept)} volumes is as {choice} asks; ask for less")

    def __getstate__(self) -> dict[str, Any]:
        """Give processes that are not forked the files' names: they map the files themselves, and nothing is copied."""
        names = [[os.fspath(a.filename) if isinstance(a, np.memmap) else a for a in arrays] for arrays in self._arrays]
        return vars(self) | {"_arrays": names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        arrays = [[np.load(a, mmap_mode="r") if isinstance(a, str) else a for a in names] for names in state["_arrays"]]
        vars(self).update(state | {"_arrays": arrays})

    def __len__(self) -> int:
        return len(self.slice_of)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """A sample: "image" float32 [images, H, W] in [-1, 1], "volume" and "slice", its numbers; where there are
        classes "label" uint8 [1, H, W] and "known" bool [classes]; and "class", where the datalist has it.
        """
        number, row = int(self.volume_of[index]), int(self.slice_of[index])
        volume, (image, label) = self._volumes[number], self._arrays[number]
        sample: dict[str, Any] = {"image": _unpacked(image[row]), "volume": number, "slice": row}
        if label is not None:
            sample["label"] = torch.from_numpy(np.array(label[row]))[None]
            sample["known"] = torch.tensor(volume.known)
        if volume.classes is not None:
            sample["class"] = torch.tensor(volume.classes[row])
        return sample if self.augment is None else self.augment(sample)

    @property
    def subjects(self) -> list[str]:
        """Subject of every volume."""
        return [volume.subject for volume in self._volumes]

    @property
    def ids(self) -> list[str]:
        """Id of every volume."""
        return [volume.id for volume in self._volumes]

    def affine(self, index: int) -> np.ndarray | None:
        """Place of a slice: 4x4, [0, row, column] to mm in RAS; None where a dataset has no geometry."""
        volume, row = self._volumes[self.volume_of[index]], int(self.slice_of[index])
        if volume.affine is None:
            return None
        affine = np.array(volume.affine)
        affine[:, 3] = affine @ [row, 0, 0, 1]
        return affine

    def scale(self, index: int) -> np.ndarray:
        """Values of -1 and 1 of every image of a slice in the unit of its file, [images, 2]."""
        return np.array(self._volumes[self.volume_of[index]].scale)

    def pixels(self, names: Sequence[str]) -> np.ndarray:
        """Pixels of classes together in every slice, int64 [slices]."""
        wanted = [1 + list(self.channels.labels).index(name) for name in names]
        counts = [volume.pixels[:, wanted].sum(1) for volume in self._volumes]
        return self._of_slices(counts)

    def classes(self) -> np.ndarray | None:
        """Class of every slice by the dataset's table, [slices] or [slices, classes]; None where there is no table."""
        if any(volume.classes is None for volume in self._volumes):
            return None
        return self._of_slices([volume.classes for volume in self._volumes])

    def _of_slices(self, per_volume: Sequence[np.ndarray]) -> np.ndarray:
        starts = np.cumsum([0, *(len(values) for values in per_volume)])[:-1]
        return np.concatenate(per_volume)[starts[self.volume_of] + self.slice_of]


def balanced_weights(groups: Sequence[np.ndarray], shares: Sequence[float]) -> Tensor:
    """Weights with which slices are drawn so that groups of them have given shares, float64 [slices].

    A slice that is in several groups counts for the first; those in none share what is left, and are never drawn if
    nothing is. For `BalancedSampler`.

    Args:
        groups: bool [slices] each, such as ``store.pixels(["tumour"]) > 0`` or ``store.classes()[:, 2] == 1``.
        shares: shares of samples, at most 1 together.

    Raises:
        ValueError: a group in which there is no slice, or shares that are no shares.

    Example::

        weights = balanced_weights([store.pixels(["tumour"]) > 0], [0.5])  # every second sample shows a tumour
    """
    if len(groups) != len(shares) or not groups or min(shares) < 0 or sum(shares) > 1 + 1e-9:
        raise ValueError(f"got {len(groups)} groups and shares {list(shares)}, expected one each, at most 1 together")
    groups = [np.asarray(group, bool) for group in groups]
    free = np.ones(len(groups[0]), bool)
    weights = np.zeros(len(free))
    for number, (group, share) in enumerate(zip([*groups, free.copy()], [*shares, 1 - sum(shares)], strict=True)):
        members = group & free
        if members.any():
            weights[members] = share / members.sum()
        elif share > 1e-9 and number < len(groups):
            raise ValueError(f"group {number} has no slice, so {share:.0%} of the samples cannot be drawn from it")
        free &= ~group
    return torch.from_numpy(weights)


class BalancedSampler(DistributedSampler):
    """Indices drawn with given weights, with replacement; which ones follows from seed and epoch.

    Several processes together draw what one would. MONAI's `DistributedWeightedRandomSampler` draws from a generator
    whose state no checkpoint holds, and every process from a part of the slices only.

    Args:
        dataset: dataset whose indices are drawn.
        weights: weights of all indices, see `balanced_weights`.
        num_replicas: processes; None asks torch.distributed.
        rank: number of this process; None asks torch.distributed.
        seed: random seed of the draws.
    """

    def __init__(
        self,
        dataset: Dataset,
        weights: Sequence[float] | Tensor,
        num_replicas: int | None = None,
        rank: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(dataset, num_replicas, rank, shuffle=True, seed=seed)
        self.weights = torch.as_tensor(weights, dtype=torch.float64)
        if len(self.weights) != len(dataset):
            raise ValueError(f"got {len(self.weights)} weights for {len(dataset)} slices, expected one each")

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        drawn = torch.multinomial(self.weights, self.total_size, replacement=True, generator=generator)
        return iter(drawn[self.rank : self.total_size : self.num_replicas].tolist())


@dataclass
class _Maker:
    """Computes volumes and keeps them, or finds them where they are kept."""

    data: Sequence[dict]
    transform: Callable[[dict], dict]
    channels: Channels
    folder: Path | None
    bits: int
    digest: str = ""

    def __post_init__(self) -> None:
        if self.folder is not None:
            self.digest = chain_digest([self.transform])[:12]

    def all(self, num_workers: int, verify: bool) -> list[tuple[_Volume, tuple] | str]:
        """Every volume with its arrays, or the reason why it has none."""
        if self.folder is None:
            return [self._tried(i, self._computed) for i in self._shown(range(len(self.data)))]
        rank, world = idist.get_rank(), idist.get_world_size()
        missing = [i for i in range(len(self.data)) if self._kept(i, verify) is None]
        mine = missing[rank::world]
        # a generator of its own, or the loader would take a number from the one that initialises networks
        loader = DataLoader(self, None, sampler=mine, num_workers=num_workers, generator=torch.Generator())
        reasons = dict(zip(mine, self._shown(loader, len(mine)), strict=True))
        if world > 1:
            idist.barrier()
        return [
            reasons.get(i) or self._kept(i, False) or self[i] or self._kept(i, False) for i in range(len(self.data))
        ]

    @staticmethod
    def _shown(what, total: int | None = None):
        return tqdm(what, desc="Slices", unit="volume", total=total, leave=False, disable=None)

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> str:
        """Sees to it that a volume is kept; the reason why it cannot be, "" if it can."""
        made = self._tried(index, self._computed)
        if isinstance(made, str):
            return made
        volume, (image, label) = made
        path = self._path(index)
        for name, array in (("image", image), ("label", label)):
            if array is not None:
                with whole_file(path.with_suffix(f".{name}.npy")) as partial:
                    np.save(partial, array)
                volume.checks[name] = _crc(array)
        with whole_file(path) as partial:  # last: what it names is there
            partial.write_text(volume.as_json())
        return ""

    def _tried(self, index: int, how: Callable[[dict], Any]) -> Any:
        try:
            return how(self.data[index])
        except Exception as error:
            reason = VolumeError.behind(error)
            if reason is None:
                raise
            return str(reason)

    def _computed(self, item: dict) -> tuple[_Volume, tuple[np.ndarray, np.ndarray | None]]:
        made = self.transform(dict(item))
        image, label = made["image"], made.get("label")
        values = convert_to_numpy(image).swapaxes(0, 1)  # [axial, images, H, W]
        index = None if label is None else np.ascontiguousarray(convert_to_numpy(label)[0])
        classes = made.get("class")
        if classes is not None:
            given = np.asarray(classes)
            classes = given if given.ndim else np.full(len(values), given)
            if len(classes) != len(values):
                raise VolumeError.of(str(item["id"]), f"it has {len(values)} slices, and {len(classes)} classes")
        counts = np.zeros((len(values), 1), int) if index is None else _counts(index, len(self.channels.labels) + 1)
        volume = _Volume(
            id=str(item["id"]),
            subject=str(item.get("subject", item["id"])),
            shape=list(values.shape),
            affine=image.affine.tolist() if getattr(image, "meta", {}).get(SCALE) is not None else None,
            scale=torch.as_tensor(getattr(image, "meta", {}).get(SCALE, [[-1, 1]] * values.shape[1])).tolist(),
            brightest=values.reshape(len(values), -1).max(1),
            foreground=convert_to_numpy(made.get("foreground", np.ones(values.shape[1::-1]))).T,
            pixels=counts,
            known=made["known"].tolist() if "known" in made else None,
            classes=classes,
        )
        return volume, (_packed(values, self.bits), index)

    def _kept(self, index: int, verify: bool) -> tuple[_Volume, tuple] | None:
        """Return what is kept of a volume; None if there is nothing, or not what was written."""
        path = self._path(index)
        if not path.is_file():
            return None
        try:
            volume = _Volume(**json.loads(path.read_text()))
            arrays = [self._mapped(path, name, volume, verify) for name in ("image", "label")]
        except (ValueError, TypeError, KeyError, OSError) as error:
            warnings.warn(f"{path} or its slices are damaged ({error}); they are computed anew", stacklevel=2)
            return None
        return volume, tuple(arrays)

    def _mapped(self, path: Path, name: str, volume: _Volume, verify: bool) -> np.ndarray | None:
        if name not in volume.checks:
            return None
        array = np.load(path.with_suffix(f".{name}.npy"), mmap_mode="r")
        expected = volume.shape if name == "image" else [volume.shape[0], *volume.shape[2:]]
        if list(array.shape) != expected:
            raise ValueError(f"{name} has shape {array.shape}, expected {expected}")
        if verify and _crc(array) != volume.checks[name]:
            raise ValueError(f"{name} has another checksum")
        return array

    def _path(self, index: int) -> Path:
        item = self.data[index]
        key = item_key(_flat(item)).decode()[:12]
        return self.folder / file_name(str(item["id"]), f"-{key}-{self.digest}-{self.bits}.json")


def _flat(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item in which no paths are hidden in a dictionary, for `item_key`."""
    return {
        f"{key}.{name}" if isinstance(value, Mapping) else key: one
        for key, value in item.items()
        for name, one in (value.items() if isinstance(value, Mapping) else [("", value)])
    }


def _check_names(choice: SliceChoice, channels: Channels) -> None:
    odd = [name for name in choice.labels if name not in channels.labels]
    if choice.foreground is not None and choice.foreground not in channels.images:
        odd.append(choice.foreground)
    if odd:
        raise ValueError(f"slices are chosen by {', '.join(odd)}, but the sample has {', '.join(channels.names)}")


def _chosen(volume: _Volume, choice: SliceChoice, channels: Channels) -> np.ndarray:
    """Return which slices of a volume are used, bool [axial]."""
    wanted = volume.brightest > BLANK
    if choice.foreground is not None:
        column = list(channels.images).index(choice.foreground)
        wanted &= volume.foreground[:, column] > choice.min_foreground
    if choice.labels:
        names = list(channels.labels)
        columns = [1 + names.index(name) for name in choice.labels]
        wanted &= volume.pixels[:, columns].sum(1) >= choice.min_pixels
    return wanted


def _counts(index: np.ndarray, classes: int) -> np.ndarray:
    """Pixels of every class, with background, in every slice; what is unknown is in none. int64 [axial, classes]."""
    return np.stack([np.bincount(one.ravel(), minlength=256)[:classes] for one in index])


def _packed(values: np.ndarray, bits: int) -> np.ndarray:
    return np.ascontiguousarray(values.astype(np.float16) if bits == 16 else np.rint((values + 1) * 127.5).astype("u1"))


def _unpacked(stored: np.ndarray) -> Tensor:
    values = torch.from_numpy(np.array(stored))  # a copy: what is mapped cannot be written
    return values.float() if values.dtype == torch.float16 else values.float() / 127.5 - 1


def _crc(array: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(array))
