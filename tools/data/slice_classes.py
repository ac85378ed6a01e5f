"""What slices show, by label maps or by a dataset's table: the class of a sample, and its weight in a training."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from tools.data.balance import balanced_weights
from tools.data.sample_store import SampleStore
from tools.data.synthetic import seed_datalist
from tools.datasets.record import Dataset as Record
from tools.errors import did_you_mean


def shown(store: SampleStore, names: Sequence[str], findings: Sequence[str] = ()) -> np.ndarray:
    """Which slices show any of some classes, bool [slices].

    Args:
        store: slices.
        names: names of classes of the labels, of which a pixel is enough, or of findings.
        findings: names of what the dataset's table says of each slice, in the order of the table.

    Raises:
        ValueError: a name is neither a class nor a finding, or the data have no table.
    """
    found = np.zeros(len(store), bool)
    for name in names:
        if name in store.channels.labels:
            found |= store.pixels([name]) > 0
        elif name in findings:
            table = store.classes()
            if table is None:
                raise ValueError(f"the data have no table that says where {name!r} is; name a class of the labels")
            found |= table[:, list(findings).index(name)] == 1
        else:
            known = [*store.channels.labels, *findings]
            raise ValueError(f"there is no {name!r}, expected some of {known}.{did_you_mean(name, known)}")
    return found


def slice_classes(store: SampleStore, classes: Mapping[str, Sequence[str]], findings: Sequence[str] = ()) -> np.ndarray:
    """Class index of every slice, int64 [slices].

    Args:
        store: slices.
        classes: name of each class -> labels or findings of which a slice shows one. The first class is of slices that
            show none and has an empty list; a slice that shows several is of the last.
        findings: names of findings, as for `shown`.

    Raises:
        ValueError: fewer than two classes, or another than the first with an empty list.

    Example::

        slice_classes(store, {"no tumour": [], "tumour": ["tumour core", "oedema"]})
    """
    first, *others = classes.values() if classes else [None]
    if first is None or len(first) or not others or not all(len(names) for names in others):
        raise ValueError(
            f"classes are {dict(classes)}; expected two or more, the first with an empty list, for what shows none of "
            'the others, for instance {"no tumour": [], "tumour": ["tumour core", "oedema"]}'
        )
    index = np.zeros(len(store), np.int64)
    for number, names in enumerate(others, start=1):
        index[shown(store, names, findings)] = number
    return index


def modalities(classes: Mapping[str, Sequence[str]], images: Collection[str]) -> tuple[str, ...]:
    """Images that classes are of, one each in their order; none where classes are of what slices show.

    Args:
        classes: rules of classes. Where each names one image, every image of a slice is a sample of its own, and its
            class says which.
        images: names of all images.

    Raises:
        ValueError: some classes are of an image and others are not, or of the same.

    Example::

        modalities({"T1": ["t1"], "FLAIR": ["flair"]}, BRATS.images)  # ("t1", "flair")
    """
    named = tuple(name for names in classes.values() for name in names if name in images)
    if named and (any(len(names) != 1 for names in classes.values()) or len(set(named)) < len(classes)):
        raise ValueError(
            f"classes are {dict(classes)}; where one is of an image each has to be, of another of {', '.join(images)}, "
            'for instance {"t1": ["t1"], "flair": ["flair"]}'
        )
    return named


def read_images(images: Mapping[str, Any], classes: Mapping[str, Sequence[str]], record: Record) -> dict[str, Any]:
    """Scale by name of the images that are read to make samples of these: the same, or those that classes are of.

    Args:
        images: scale by name of each image of a sample.
        classes: rules of classes, see `modalities`.
        record: record of the dataset.

    Raises:
        ValueError: classes are of images, and samples have several.
    """
    found = modalities(classes, record.images)
    if found and len(images) != 1:
        raise ValueError(
            f"classes are of images one at a time, {', '.join(found)}, and samples have {len(images)}: "
            f"{', '.join(images)}. Give one with the scale that all share, for instance --images \"{{'mr': 99.5}}\""
        )
    return dict.fromkeys(found, *images.values()) if found else dict(images)


def slice_weights(
    store: SampleStore,
    balance: Mapping[str, float],
    findings: Sequence[str] = (),
    classes: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> Tensor | None:
    """Weights with which slices are drawn, float64 [slices], for `tools.data.balance.BalancedSampler`.

    Args:
        store: slices.
        balance: share of samples by the label or finding that they show, such as {"enhancing tumour": 0.5}; what shows
            several counts for the first, and what shows none shares what is left. None where it is empty.
        findings: names of findings, as for `shown`.
        classes: rules of classes; where they are of images a slice has a weight for each.

    Raises:
        ValueError: shares that are none, or no slice shows one.
    """
    if not balance:
        return None
    weights = balanced_weights([shown(store, [name], findings) for name in balance], [*balance.values()])
    return weights.repeat_interleave(len(modalities(classes, store.channels.images)) or 1)


class ClassedSlices(Dataset):
    """The slices of a store, each with its "class" by what it shows; without classes there is none.

    Where classes are of images, see `modalities`, each image of a slice is a sample of its own, "image" [1, H, W] with
    its name as "modality"; those of a slice follow one another.

    Args:
        store: slices.
        classes: rules of classes, as for `slice_classes`, or for `modalities`; none where it is empty.
        findings: names of findings, as for `shown`.
        complete: True where every class must have a slice, as in a training.

    Raises:
        ValueError: a class has none.
    """

    def __init__(
        self,
        store: SampleStore,
        classes: Mapping[str, Sequence[str]] | None = None,
        findings: Sequence[str] = (),
        complete: bool = True,
    ) -> None:
        self.store = store
        self.modalities = modalities(classes or {}, store.channels.images)
        self._images = [[*store.channels.images].index(name) for name in self.modalities]
        if self.modalities:
            self.classes = np.tile(np.arange(len(self.modalities)), len(store))
        else:
            self.classes = slice_classes(store, classes, findings) if classes else None
        lacking = [name for number, name in enumerate(classes or ()) if not (self.classes == number).any()]
        if lacking and complete:
            raise ValueError(f"none of {len(store)} slices is of class {', '.join(lacking)}; leave such classes out")

    @property
    def data(self) -> list[dict]:
        """Items of the volumes that could be used."""
        return self.store.data

    def __len__(self) -> int:
        return len(self.store) * max(1, len(self.modalities))

    def __getitem__(self, index: int) -> dict[str, Any]:
        row, number = divmod(index, max(1, len(self.modalities)))
        sample = self.store[row]
        sample.pop("class", None)  # what a table says: several findings at a time
        if self.modalities:
            sample["image"] = sample["image"][self._images[number]][None]
            sample["modality"] = self.modalities[number]
        return sample if self.classes is None else sample | {"class": int(self.classes[index])}


class SomeSlices(Dataset):
    """A few of the slices, in their order, each with the seed of the synthetic one that it is compared with.

    Args:
        slices: all of them, in the order of their volumes.
        number: number that is taken at most, at even distances.
        weights: weights with which a training draws them, see `slice_weights`: what has twice the weight is taken at
            half the distance, and what has none never.
        transform: transform of a sample, which finds its "seed" and its "id" in it.
    """

    def __init__(
        self,
        slices: ClassedSlices,
        number: int,
        weights: Tensor | None = None,
        transform: Callable[[dict], dict[str, Any]] | None = None,
    ) -> None:
        if number < 1:
            raise ValueError(f"number is {number}, expected 1 or more slices")
        self.slices = slices
        self.transform = transform
        share = np.cumsum(np.ones(len(slices)) if weights is None else np.asarray(weights))
        number = min(number, len(slices))
        self.indices = np.unique(np.searchsorted(share, share[-1] * (np.arange(number) + 0.5) / number))

    def __len__(self) -> int:
        return len(self.indices)

    def seeds(self, number: int, seed: int, name: str) -> list[dict[str, Any]]:
        """Items to make synthetic slices of, as `tools.data.synthetic.seed_datalist`, with the classes of these."""
        items = seed_datalist(number, seed, name=name)
        if self.slices.classes is not None:
            for place, item in enumerate(items):
                item["label"] = int(self.slices.classes[self.indices[place % len(self)]])
        return items

    def __getitem__(self, number: int) -> dict[str, Any]:
        if not 0 <= number < len(self):
            raise IndexError(f"slice {number} of {len(self)}")
        sample = self.slices[int(self.indices[number])]
        which = f"_{sample['modality']}" if "modality" in sample else ""
        sample |= {"seed": number, "id": self._id(sample["volume"], sample["slice"]) + which}
        return sample if self.transform is None else self.transform(sample)

    def _id(self, volume: int, place: int) -> str:
        """A volume's and the slice's place in it, or the name of a picture."""
        names = self.slices.data[volume].get("names")
        if names is None:
            return f"{self.slices.store.ids[volume]}_slice{place:03d}"
        return Path(names[place]).with_suffix("").as_posix().replace("/", "_")
