"""Labelled sets in memory, on one grid, with the same images and classes whoever made them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tools.data.sample_folder import FoundSamples, find_samples
from tools.data.sample_store import Kept, whole_volumes

logger = logging.getLogger(__name__)

DIVISIBLE = 8
"""What each side must be divisible by: the segmenter halves it three times."""


@dataclass(frozen=True)
class LabelledSet:
    """Labelled volumes, or slices where the grid has one slice.

    Attributes:
        ids: names of the cases.
        subjects: name of the patient of each.
        images: float32 [n, images, (D,) H, W] in [-1, 1].
        labels: uint8 [n, 1, (D,) H, W] of class indices; or int64 [n], the class of each image.
    """

    ids: tuple[str, ...]
    subjects: tuple[str, ...]
    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.ids)

    def part(self, numbers: Sequence[int]) -> LabelledSet:
        """Some of its cases."""
        index = torch.as_tensor(numbers, dtype=torch.long)
        ids, subjects = (tuple(of[i] for i in index.tolist()) for of in (self.ids, self.subjects))
        return LabelledSet(ids, subjects, self.images[index], self.labels[index])

    def first(self, number: int) -> LabelledSet:
        """The cases of the first so many patients, or samples, in the order of their names."""
        kept = set(sorted(set(self.subjects))[:number])
        return self.part([i for i, subject in enumerate(self.subjects) if subject in kept])


@dataclass(frozen=True)
class Reader:
    """How sets with label maps are read, as the real training set says it.

    Attributes:
        images: scale by name of each image, see `tools.transforms.channels.Channels`.
        classes: names of the classes, without background, in the order of their indices.
        image_size: slices, rows and columns.
        window: lowest and highest HU of CT; None takes that of `find_samples`.
    """

    images: Mapping[str, Any]
    classes: tuple[str, ...]
    image_size: tuple[int, int, int]
    window: Sequence[float] | None = None

    @classmethod
    def of(cls, folder: str, image_size: Sequence[int], window: Sequence[float] | None = None) -> Reader:
        """That of a folder.

        Raises:
            ValueError: sides that are not divisible by 8, or no labels.
        """
        size = checked_grid(image_size)
        channels = find_samples(Path(folder), window=window).channels
        if not channels.labels:
            raise ValueError(f"{folder} has no labels; a segmenter needs images with label maps")
        return cls(dict(channels.images), tuple(channels.labels), size, window)

    def read(self, name: str, folder: str, workers: int = 0) -> LabelledSet:
        """A set; cases that cannot be used are left out, with a warning that names them.

        Args:
            name: name of the set, for messages.
            folder: folder of it.
            workers: number of processes that read.

        Raises:
            ValueError: other images, or a class that is lacking.
            VolumeError: no case can be used.
        """
        found = found_like(name, folder, self.images, window=self.window)
        own = found.channels
        missing = [label for label in self.classes if label not in own.labels]
        if missing:
            raise ValueError(
                f"{name} has the classes {', '.join(own.labels) or 'none'}, and lacks {', '.join(missing)}"
            )
        kept = whole_volumes(name, found, self.image_size, workers)
        order = np.zeros(256, np.uint8)  # what nobody labelled counts as background
        for number, label in enumerate(own.labels, start=1):
            order[number] = self.classes.index(label) + 1 if label in self.classes else 0
        labels = torch.stack([torch.from_numpy(order[np.array(arrays[1])])[None] for _, _, arrays in kept])
        ids, subjects, images = names_and_images(name, kept)
        flat = self.image_size[0] == 1
        return LabelledSet(ids, subjects, images[:, :, 0] if flat else images, labels[:, :, 0] if flat else labels)


def checked_grid(image_size: Sequence[int]) -> tuple[int, int, int]:
    """Slices, rows and columns.

    Raises:
        ValueError: sides that are not divisible by 8.
    """
    size = tuple(int(n) for n in image_size)
    if len(size) != 3 or any(n != 1 and n % DIVISIBLE for n in size) or 1 in size[1:]:
        raise ValueError(
            f"image_size is {','.join(map(str, size))}, expected slices, rows and columns, each divisible by "
            f"{DIVISIBLE}, such as 48,64,48"
        )
    return size


def found_like(name: str, folder: str, images: Mapping[str, Any], **how: Any) -> FoundSamples:
    """The samples of a folder with the images of another set; a single image may have another name, and gets its scale
    where the folder does not say its own.

    Args:
        name: name of the set, for messages.
        folder: folder of it.
        images: scale by name of each image of the other set.
        how: further arguments of `find_samples`.

    Raises:
        ValueError: other images.
    """
    found = find_samples(Path(folder), **how)
    own = tuple(found.channels.images)
    if own == tuple(images):
        return found
    if len(own) == len(images) == 1:
        scale = found.grey_values.get(own[0], *images.values())
        return find_samples(Path(folder), {own[0]: scale}, **how | {"window": None})
    raise ValueError(f"{name} has the images {', '.join(own)}, expected {', '.join(images)}")


def names_and_images(name: str, kept: Kept) -> tuple[tuple[str, ...], tuple[str, ...], Tensor]:
    """Ids, patients, and images [n, images, D, H, W] of cases."""
    ids = tuple(str(item["id"]) for item, _, _ in kept)
    subjects = tuple(str(item.get("subject", item["id"])) for item, _, _ in kept)
    images = [torch.from_numpy(np.array(arrays[0], np.float32)).swapaxes(0, 1) for _, _, arrays in kept]
    logger.info("%s: %d cases of %d patients", name, len(ids), len(set(subjects)))
    return ids, subjects, torch.stack(images)
