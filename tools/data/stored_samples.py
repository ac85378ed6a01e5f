"""Labelled volumes in files: computed by several processes, found again, mapped, checked.

Of each volume there are `<name>.json`, all that is known of it besides its voxels, and arrays `<name>-<version>.*.npy`
that it names, [axial, ...]. It is written last and in one step, so that at any time it names arrays that are whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import numpy as np
import torch
from monai.utils import convert_to_numpy
from torch.utils.data import DataLoader
from tqdm import tqdm

from tools.data.preprocessed import SAMPLES, check_settings, finished_info
from tools.data.stored_volume import DTYPES, Arrays, StoredVolume, mapped, named_files, packed, write_volume
from tools.files import PARTIAL, file_name
from tools.io.readers import VolumeError
from tools.io.volume_reader import source_path, volume_stamp
from tools.transforms.channels import Channels
from tools.transforms.digest import chain_digest
from tools.transforms.samples import SCALE
from tools.transforms.spatial import FIELD_OF_VIEW

READ = ("id", "subject", "image", "label", "label_by", "label_values", "known", "class", "slices", "names", "centre")
"""Keys of an item that a chain of transforms sees: what else an item says changes nothing that is kept."""

SOURCES = ("image", "label", "slices")
"""Those of them that may name files."""

STORED = "stored"
"""Key of an item of a preprocessed folder: path of its description there."""

OLD = 3600
"""Seconds after which what nobody names is not being written any more."""


@dataclass
class SampleMaker:
    """Computes volumes and keeps them, or finds them where they are kept.

    Attributes:
        data: items, as `tools.transforms.samples` takes them, or of a preprocessed folder, see `STORED`.
        transform: chain from an item to its volume.
        channels: channels of the volumes; None where they have no classes.
        folder: folder in which they are kept; None for memory.
        bits: one of `DTYPES`.
    """

    data: Sequence[dict]
    transform: Callable[[dict], dict]
    channels: Channels | None
    folder: Path | None
    bits: int
    digest: str = field(init=False, default="")
    _places: dict[int, str] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        if self.bits not in DTYPES:
            raise ValueError(f"bits is {self.bits}, expected one of {', '.join(map(str, DTYPES))}")
        folders = sorted({Path(item[STORED]).parent for item in self.data if STORED in item})
        if self.folder is not None or folders:
            self.digest = chain_digest([self.transform])
        for folder in folders:
            info = finished_info(folder)
            check_settings(folder, info, chain_settings(self.transform, self.channels), self.digest)

    def all(self, num_workers: int, verify: bool = False) -> list[tuple[StoredVolume, Arrays] | str]:
        """Every volume with its arrays, or the reason why it has none."""
        at_once = partial(self._at_once, verify=verify)
        if self.folder is None:
            return [self._tried(i, at_once) for i in self._shown(range(len(self.data)))]
        rank, world = idist.get_rank(), idist.get_world_size()
        if rank == 0:
            self._clean()
        every = range(rank, len(self.data), world)  # of which this process alone computes what is missing
        mine = [i for i in every if STORED not in self.data[i] and self._kept(i, verify) is None]
        # a generator of its own, or the loader would take a number from the one that initialises networks
        loader = DataLoader(self, None, sampler=mine, num_workers=num_workers, generator=torch.Generator())
        reasons = dict(zip(mine, self._shown(loader, len(mine)), strict=True))
        if world > 1:
            idist.barrier()
        return [
            self._tried(i, at_once)
            if STORED in item
            else reasons.get(i) or self._kept(i, False) or self[i] or self._kept(i, False)
            for i, item in enumerate(self.data)
        ]

    def name(self, index: int) -> str:
        """Name of a volume's description."""
        return self._name(index, ".json")

    @staticmethod
    def _shown(what, total: int | None = None):
        return tqdm(what, desc="Samples", unit="volume", total=total, leave=False, disable=None)

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> str:
        """Sees to it that a volume is kept; the reason why it cannot be, "" if it can."""
        version = self._version(index)  # before reading: a change during it is then noticed by the next run
        made = self._tried(index, self._computed)
        if isinstance(made, str):
            return made
        volume, arrays = made
        volume.version = version
        write_volume(self.folder / self.name(index), self._name(index, f"-{version[:8]}"), volume, arrays)
        return ""

    def _tried(self, index: int, how: Callable[[dict], Any]) -> Any:
        try:
            return how(self.data[index])
        except Exception as error:
            reason = VolumeError.behind(error)
            if reason is None:
                raise
            return str(reason)

    def _at_once(self, item: dict, verify: bool) -> tuple[StoredVolume, Arrays]:
        """A volume computed, or as a preprocessed folder has it."""
        if STORED not in item:
            return self._computed(item)
        path = Path(item[STORED])
        try:
            volume, arrays = mapped(path, verify)
        except (ValueError, TypeError, KeyError, OSError) as error:
            raise VolumeError.of(path, f"it is damaged ({error}); preprocess the original dataset again") from error
        if "class" not in item:
            volume.classes = None
        return volume, arrays

    def _computed(self, item: dict) -> tuple[StoredVolume, Arrays]:
        made = self.transform({key: item[key] for key in READ if key in item})
        image, label = made["image"], made.get("label")
        values = convert_to_numpy(image).swapaxes(0, 1)  # [axial, images, H, W]
        label = None if label is None else convert_to_numpy(label)
        if label is not None and self.channels is None:  # the image that this one is to become
            index, second = None, packed(label.swapaxes(0, 1), self.bits)
        else:
            index = second = None if label is None else np.ascontiguousarray(label[0])
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
            field_of_view_mm=made[FIELD_OF_VIEW].tolist() if FIELD_OF_VIEW in made else None,
        )
        return volume, (packed(values, self.bits), second)

    def _kept(self, index: int, verify: bool) -> tuple[StoredVolume, Arrays] | None:
        """Return what is kept of a volume; None if there is nothing, or not what was written, or the item changed."""
        path = self.folder / self.name(index)
        if not path.is_file():
            return None
        try:
            volume, arrays = mapped(path, verify)
        except (ValueError, TypeError, KeyError, OSError) as error:
            warnings.warn(f"{path} or its arrays are damaged ({error}); they are computed anew", stacklevel=2)
            return None
        return (volume, arrays) if volume.version == self._version(index) else None

    def _name(self, index: int, ending: str) -> str:
        """Name of a volume's file: of which item, of which files, by which chain, in how many bits."""
        item = self.data[index]
        if index not in self._places:
            content = {key: _paths(item[key]) if key in SOURCES else None for key in READ if key in item}
            self._places[index] = _digest([str(item["id"]), content])[:12]
        return file_name(str(item["id"]), f"-{self._places[index]}-{self.digest[:12]}-{self.bits}{ending}")

    def _version(self, index: int) -> str:
        """Digest of all that an item says, with size and time of change of every file that it names."""
        item = {key: self.data[index][key] for key in READ if key in self.data[index]}
        paths = {key: _paths(item[key]) for key in SOURCES if key in item}
        stamps = [volume_stamp(path) for path in _flat(paths)]
        return _digest([{key: str(item[key]) for key in item if not paths.get(key)}, paths, stamps])

    def _clean(self) -> None:
        """Remove what killed runs left: half-written files, and arrays that no description names."""
        if not self.folder.is_dir():
            return
        named = {name for index, item in enumerate(self.data) if STORED not in item for name in self._own(index)}
        mine = {self._name(index, "") for index, item in enumerate(self.data) if STORED not in item}
        for entry in os.scandir(self.folder):
            left = entry.name.rpartition("-")[0] in mine and entry.name.endswith(".npy") and entry.name not in named
            if (left or Path(entry.name).match(PARTIAL)) and time.time() - entry.stat().st_mtime >= OLD:
                Path(entry).unlink(missing_ok=True)

    def _own(self, index: int) -> set[str]:
        return named_files(self.folder / self.name(index))


def chain_settings(transform: Callable, channels: Channels) -> dict[str, Any]:
    """Settings of a chain of `tools.transforms.samples` or `sample_volumes`, as the manifest records them."""
    own: dict[str, Any] = {}
    for step in getattr(transform, "transforms", [transform]):
        own |= {key: getattr(step, key) for key in ("image_size", "modality", "field_of_view") if hasattr(step, key)}
    is_volume = isinstance(own.get("image_size"), list | tuple)
    images = {name: list(scale) if isinstance(scale, tuple) else scale for name, scale in channels.images.items()}
    labels = {name: several[0] if len(several) == 1 else list(several) for name, several in channels.labels.items()}
    own |= {"image_size": list(own["image_size"])} if is_volume else {}
    return {"kind": SAMPLES[0] if is_volume else SAMPLES[1], **own, "images": images, "labels": labels}


def _paths(value: Any) -> Any:
    """The whole paths of the files that a value of an item names, as it names them; None where it names none."""
    if isinstance(value, Mapping):
        found = {str(key): _paths(one) for key, one in value.items()}
        return found if any(found.values()) else None
    if isinstance(value, list | tuple):
        found = [_paths(one) for one in value]
        return found if any(found) else None
    is_file = isinstance(value, str | os.PathLike) and os.path.exists(source_path(value))
    return os.path.abspath(value) if is_file else None


def _flat(paths: Any) -> list[str]:
    if isinstance(paths, Mapping | list):
        return [path for one in (paths.values() if isinstance(paths, Mapping) else paths) for path in _flat(one)]
    return [] if paths is None else [paths]


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _counts(index: np.ndarray, classes: int) -> np.ndarray:
    """Pixels of every class, with background, in every slice; what is unknown is in none. int64 [axial, classes]."""
    return np.stack([np.bincount(one.ravel(), minlength=256)[:classes] for one in index])
