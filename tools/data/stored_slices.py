"""Slices of labelled volumes in files: computed by several processes, found again, mapped, checked."""

from __future__ import annotations

import json
import warnings
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import numpy as np
import torch
from monai.utils import convert_to_numpy
from torch.utils.data import DataLoader
from tqdm import tqdm

from tools.data.cache import item_key
from tools.files import file_name, whole_file
from tools.io.readers import VolumeError
from tools.transforms.channels import Channels
from tools.transforms.digest import chain_digest
from tools.transforms.samples import SCALE

DTYPES = {8: np.uint8, 16: np.float16}


@dataclass
class StoredVolume:
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


@dataclass
class SliceMaker:
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

    def all(self, num_workers: int, verify: bool) -> list[tuple[StoredVolume, tuple] | str]:
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

    def _computed(self, item: dict) -> tuple[StoredVolume, tuple[np.ndarray, np.ndarray | None]]:
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
        volume = StoredVolume(
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

    def _kept(self, index: int, verify: bool) -> tuple[StoredVolume, tuple] | None:
        """Return what is kept of a volume; None if there is nothing, or not what was written."""
        path = self._path(index)
        if not path.is_file():
            return None
        try:
            volume = StoredVolume(**json.loads(path.read_text()))
            arrays = [self._mapped(path, name, volume, verify) for name in ("image", "label")]
        except (ValueError, TypeError, KeyError, OSError) as error:
            warnings.warn(f"{path} or its slices are damaged ({error}); they are computed anew", stacklevel=2)
            return None
        return volume, tuple(arrays)

    def _mapped(self, path: Path, name: str, volume: StoredVolume, verify: bool) -> np.ndarray | None:
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


def _counts(index: np.ndarray, classes: int) -> np.ndarray:
    """Pixels of every class, with background, in every slice; what is unknown is in none. int64 [axial, classes]."""
    return np.stack([np.bincount(one.ravel(), minlength=256)[:classes] for one in index])


def _packed(values: np.ndarray, bits: int) -> np.ndarray:
    return np.ascontiguousarray(values.astype(np.float16) if bits == 16 else np.rint((values + 1) * 127.5).astype("u1"))


def _crc(array: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(array))
