"""Labelled slices for training in two dimensions: every volume computed once, read by memory map from then on."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from tools.data.sample_folder import FoundSamples
from tools.data.stored_samples import SampleMaker
from tools.data.stored_volume import Arrays, StoredVolume, unpacked
from tools.io import left_out
from tools.io.readers import VolumeError
from tools.transforms.channels import Channels

BLANK = -0.99
"""A slice whose brightest value is below this shows nothing."""


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


class SampleStore(Dataset):
    """Axial slices of labelled volumes: image, label, which classes are known, and where they come from.

    Volumes are computed once, by several processes where there are some, and kept in files of their own, so that an
    interrupted run goes on where it was and a changed volume is computed anew. Samples are read by memory map: workers
    and processes share what the system holds of them, and a set need not fit into memory. Volumes that cannot be used
    are left out, with a warning that names them.

    Args:
        data: datalist, `[{"image": {name: path}, "label": path, "id": ..., "subject": ...}, ...]`; "class" may give a
            class for the volume, or one for each of its slices, see `tools.transforms.samples`. Of a folder that
            `python -m tools preprocess` made, items name what is stored there.
        transform: transform from an item to its slices, see `tools.transforms.samples.sample_slices`.
        channels: channels of a sample.
        store_dir: folder in which they are kept; None for memory.
        choice: slices that are part of it; others are stored, too. Slices that show nothing never are.
        bits: 16 keeps images as float16 (steps of at most 1/2048 in [-1, 1]), 8 as 256 grey values, in half the space,
            32 as they are. A preprocessed folder has its own.
        num_workers: processes that compute.
        augment: random transform of a sample before it is handed out, such as
            `tools.transforms.augmentation.RandomSamples`.
        verify: True reads all that is stored and compares checksums; what is damaged is computed anew. Sizes always
            are.

    Raises:
        VolumeError: no volume can be used.
        ValueError: no slice is as ``choice`` asks, or ``choice`` names what ``channels`` have not; or data are of a
            folder that was preprocessed with other settings.
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
        self.channels = channels
        self.augment = augment
        choice = choice or SliceChoice()
        _check_names(choice, channels)
        make = SampleMaker(data, transform, channels, None if store_dir is None else Path(store_dir), bits)
        kept = usable(data, make.all(num_workers, verify))
        self.data = [item for item, _, _ in kept]
        """Items of the volumes that could be used."""
        self._volumes = [volume for _, volume, _ in kept]
        self._arrays = [arrays for _, _, arrays in kept]
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
        return vars(self) | {"_arrays": names_of(self._arrays)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state | {"_arrays": arrays_of(state["_arrays"])})

    def __len__(self) -> int:
        return len(self.slice_of)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """A sample: "image" float32 [images, H, W] in [-1, 1], "volume" and "slice", its numbers; where there are
        classes "label" uint8 [1, H, W] and "known" bool [classes]; and "class", where the datalist has it.
        """
        number, row = int(self.volume_of[index]), int(self.slice_of[index])
        volume, (image, label) = self._volumes[number], self._arrays[number]
        sample: dict[str, Any] = {"image": unpacked(image[row]), "volume": number, "slice": row}
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

    def fields_of_view(self) -> list[list[float]]:
        """What a slice of each volume covers, [thickness, rows, columns] in mm; pixels of 1 mm where there is no place.

        The thickness is the distance to the next slice.
        """
        return [
            [1.0, *volume.shape[2:]]
            if volume.affine is None
            else (np.linalg.norm(np.array(volume.affine)[:3, :3], axis=0) * [1, *volume.shape[2:]]).tolist()
            for volume in self._volumes
        ]

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


def _check_names(choice: SliceChoice, channels: Channels) -> None:
    odd = [name for name in choice.labels if name not in channels.labels]
    if choice.foreground is not None and choice.foreground not in channels.images:
        odd.append(choice.foreground)
    if odd:
        raise ValueError(f"slices are chosen by {', '.join(odd)}, but the sample has {', '.join(channels.names)}")


def _chosen(volume: StoredVolume, choice: SliceChoice, channels: Channels) -> np.ndarray:
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


Kept = list[tuple[dict, StoredVolume, Arrays]]


def whole_volumes(name: str, found: FoundSamples, image_size: Sequence[int], workers: int) -> Kept:
    """Cases that can be used, resized, in full precision.

    Args:
        name: name of the set, for messages.
        found: samples of a folder.
        image_size: slices, rows and columns.
        workers: number of processes that read.

    Raises:
        VolumeError: there is none.
    """
    chain = found.chain("volumes", image_size, None)
    made = SampleMaker(found.items, chain, found.channels, None, 32).all(workers)
    return usable(found.items, made, f"cases of {name}")


def usable(
    data: Sequence[dict], found: Sequence[tuple[StoredVolume, Arrays] | str], what: str = "volumes"
) -> list[tuple[dict, StoredVolume, Arrays]]:
    """Items of which there are volumes, with these; a warning names the others.

    Raises:
        VolumeError: there are none.
    """
    bad = {str(item["id"]): one for item, one in zip(data, found, strict=True) if isinstance(one, str)}
    kept = [(item, *one) for item, one in zip(data, found, strict=True) if not isinstance(one, str)]
    if not kept:
        raise VolumeError(f"none of {len(data)} {what} can be used:\n{left_out.listed(bad)}")
    if bad:
        left_out.warn_of("the data", bad, len(data), what, stacklevel=2)
    return kept


def names_of(arrays: Sequence[Arrays]) -> list[list]:
    """Names of files in the place of arrays that are mapped from them, for another process."""
    return [[os.fspath(a.filename) if isinstance(a, np.memmap) else a for a in pair] for pair in arrays]


def arrays_of(names: Sequence[Sequence]) -> list[Arrays]:
    """The way back of `names_of`."""
    return [tuple(np.load(a, mmap_mode="r") if isinstance(a, str) else a for a in pair) for pair in names]
