"""Labelled sets in memory, on one grid, with the same images and classes whoever made them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tools.data.sample_folder import FoundSamples, find_samples
from tools.data.stored_samples import SampleMaker
from tools.io import left_out
from tools.io.readers import VolumeError

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
        labels: uint8 [n, 1, (D,) H, W], class indices.
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


@dataclass(frozen=True)
class Reader:
    """How sets are read, as the real training set says it.

    Attributes:
        images: scale by name of each image, see `tools.transforms.channels.Channels`.
        classes: names of the classes, without background, in the order of their indices.
        image_size: slices, rows and columns.
    """

    images: dict
    classes: tuple[str, ...]
    image_size: tuple[int, int, int]

    @classmethod
    def of(cls, folder: str, image_size: Sequence[int]) -> Reader:
        """That of a folder.

        Raises:
            ValueError: sides that are not divisible by 8, or no labels.
        """
        size = tuple(int(n) for n in image_size)
        if len(size) != 3 or any(n != 1 and n % DIVISIBLE for n in size) or 1 in size[1:]:
            raise ValueError(
                f"image_size is {','.join(map(str, size))}, expected slices, rows and columns, each divisible by "
                f"{DIVISIBLE}, such as 48,64,48"
            )
        channels = _found(folder).channels
        if not channels.labels:
            raise ValueError(f"{folder} has no labels; a segmenter needs images with label maps")
        return cls(dict(channels.images), tuple(channels.labels), size)

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
        found = _found(folder)
        own = found.channels
        if tuple(own.images) != tuple(self.images):
            raise ValueError(f"{name} has the images {', '.join(own.images)}, expected {', '.join(self.images)}")
        missing = [label for label in self.classes if label not in own.labels]
        if missing:
            raise ValueError(
                f"{name} has the classes {', '.join(own.labels) or 'none'}, and lacks {', '.join(missing)}"
            )
        chain = found.chain("volumes", self.image_size, None)
        made = SampleMaker(found.items, chain, own, None, 32).all(workers)
        reasons = {item["id"]: one for item, one in zip(found.items, made, strict=True) if isinstance(one, str)}
        usable = [(item, one) for item, one in zip(found.items, made, strict=True) if not isinstance(one, str)]
        if not usable:
            raise VolumeError(
                f"none of the {len(found.items)} cases of {name} can be used:\n{left_out.listed(reasons)}"
            )
        if reasons:
            left_out.warn_of(name, reasons, len(found.items), "cases")
        order = np.zeros(256, np.uint8)  # what nobody labelled counts as background
        for number, label in enumerate(own.labels, start=1):
            order[number] = self.classes.index(label) + 1 if label in self.classes else 0
        images = torch.stack(
            [torch.from_numpy(np.array(arrays[0], np.float32)).swapaxes(0, 1) for _, (_, arrays) in usable]
        )
        labels = torch.stack([torch.from_numpy(order[np.array(arrays[1])])[None] for _, (_, arrays) in usable])
        if self.image_size[0] == 1:
            images, labels = images[:, :, 0], labels[:, :, 0]
        logger.info("%s: %d cases of %d patients", name, len(usable), len({item["subject"] for item, _ in usable}))
        return LabelledSet(
            tuple(str(item["id"]) for item, _ in usable),
            tuple(str(item.get("subject", item["id"])) for item, _ in usable),
            images,
            labels,
        )


def _found(folder: str) -> FoundSamples:
    return find_samples(Path(folder))
