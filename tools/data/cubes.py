"""Cubes of whole volumes, as networks see them: read from the store of preprocessed volumes, which is filled first."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from monai.data import Dataset
from monai.transforms import Compose, EnsureTyped, ScaleIntensityRanged

from tools.data.cache import usable_dataset
from tools.data.preprocessed import HU, check_settings, finished_volumes, preprocessing, settings_of
from tools.data.store import VolumeStore, doubts
from tools.io import left_out
from tools.io.readers import VolumeError, read_header
from tools.transforms.digest import chain_digest
from tools.transforms.mr import WHITE
from tools.transforms.spatial import FIELD_OF_VIEW, FieldOfViewd, load_volume

logger = logging.getLogger(__name__)

PER_PROCESS = 4
"""Volumes that take as long as a further process takes to start."""


class Cubes:
    """How the volumes of a folder become cubes: {"image": path} -> {"image": [1, S, S, S]}, float32 in [-1, 1].

    Originals are preprocessed once, into a store in ``cache_dir`` that is what `python -m tools preprocess` writes; a
    folder that is such a store is read as it is. Either way, and without a store, the numbers are the same to the last
    bit. "field_of_view_mm" [3] comes with each image: the space [axial, rows, columns] that the cube covers.

    CT: [-1, 1] is the window of HU (CRF-GAN's paper, section 2.1). T1: background is 0 and the 98th percentile of the
    head and above 1000; the window's ends become -1 and 1, and what lies outside it is clipped.

    Args:
        kind: kind of volumes, "ct" or "t1".
        dataset_dir: folder of the volumes, an original or preprocessed.
        image_size: voxels a side, S.
        window: values that become -1 and 1: HU, or intensities from 0 to 1000; if None, -1024 and 600 HU or all.
        cache_dir: folder for the store, which holds one for each dataset and setting; None to preprocess a volume
            whenever it is read.
        num_workers: number of volumes that are preprocessed at a time, if there are many; 0 for this process alone.

    Attributes:
        transform: chain from an item of `items` to its cube.

    Raises:
        ValueError: a setting is bad; the folder was preprocessed with other settings, and the message says with which,
            and what to run; or ``cache_dir`` lies in ``dataset_dir``.
        VolumeError: the preprocessing of the folder was interrupted.
    """

    def __init__(
        self,
        kind: str,
        dataset_dir: str | os.PathLike,
        image_size: int,
        window: Sequence[float] | None = None,
        cache_dir: str | os.PathLike | None = None,
        num_workers: int = 0,
    ) -> None:
        settings = settings_of(kind, image_size, window)
        chain = preprocessing(settings)
        if kind == "t1":
            window = (0, WHITE) if window is None else window
            _check_intensities(window)
        low, high = HU if window is None else window
        info = finished_volumes(dataset_dir)
        if info is not None:
            check_settings(dataset_dir, info, settings, chain_digest(chain))
        self.num_workers = num_workers
        self.store = None
        if info is None and cache_dir is not None:
            self.store = VolumeStore(_folder(cache_dir, dataset_dir, settings, chain), Path(dataset_dir), settings)
        self.in_files = info is not None or self.store is not None
        self.transform = Compose(
            [
                *(load_volume() if self.in_files else chain.transforms),
                ScaleIntensityRanged(keys="image", a_min=low, a_max=high, b_min=-1.0, b_max=1.0, clip=True),
                FieldOfViewd(keys="image"),
                EnsureTyped(keys="image", dtype=torch.float32, track_meta=False),
            ]
        )

    def items(self, data: Sequence[dict]) -> list[dict]:
        """Return items with the paths of their preprocessed volumes, which are computed where they are not there yet.

        A volume whose voxels cannot be used shows that only now. It is left out, with a warning that names it.

        Raises:
            VolumeError: no volume can be used.
        """
        if self.store is None:
            return list(data)
        paths = {item["id"]: Path(item["image"]) for item in data}
        entries, bad = self.store.fill(paths, min(self.num_workers, len(paths) // PER_PROCESS))
        left_out.keep({str(paths[i]): text for i, entry in entries.items() if (text := doubts(entry))})
        named = {str(paths[i]): reason for i, reason in bad.items()}
        if named and not entries:
            raise VolumeError(f"none of {len(named)} volumes can be used:\n{left_out.listed(named)}")
        if named:
            left_out.warn_of("the data", named, len(paths), stacklevel=3)
        return [item | {"image": str(self.store.path(entries[item["id"]]))} for item in data if item["id"] in entries]

    def fields_of_view(self, dataset: Dataset) -> list[list[float]]:
        """Return the extent [axial, rows, columns] in mm of every cube of a `cube_dataset`."""
        if self.in_files:
            return [read_header(item["image"]).field_of_view for item in dataset.data]
        return [dataset[index][FIELD_OF_VIEW].tolist() for index in range(len(dataset))]


def cube_dataset(data: Sequence[dict], cubes: Cubes, transform: Callable | None = None) -> Dataset:
    """Return a dataset of the volumes that can be used, each a cube.

    Args:
        data: datalist, `[{"image": path, "id": ..., ...}, ...]`.
        cubes: way in which they become cubes.
        transform: transform of each item that follows; what it adds is not stored, and changes nothing that is.

    Raises:
        VolumeError: no volume can be used.
    """
    chain = Compose([cubes.transform, *([] if transform is None else [transform])])
    if cubes.in_files:
        return Dataset(cubes.items(data), chain)
    return usable_dataset(data, chain, num_workers=cubes.num_workers)


def _check_intensities(window: Sequence[float]) -> None:
    low, high = window
    if not low < high or high <= 0 or low >= WHITE:
        raise ValueError(f"window is {list(window)}, expected its lower and upper end within 0 to {WHITE}")


def _folder(cache_dir: str | os.PathLike, dataset_dir: str | os.PathLike, settings: dict, chain: Compose) -> Path:
    """Return the folder for the store of a dataset with its settings.

    Raises:
        ValueError: the folder would lie in the dataset.
    """
    cache, source = Path(cache_dir).resolve(), Path(dataset_dir).resolve()
    if cache.is_relative_to(source):
        raise ValueError(
            f"cache_dir {cache_dir} lies in dataset_dir {dataset_dir}, where what is kept there would be taken for "
            "volumes of the dataset; give a folder elsewhere with --cache_dir"
        )
    former = list(cache.glob("*.pt"))
    if former:
        logger.info(
            "%d files *.pt in %s are of an earlier version: nothing reads them, remove them", len(former), cache
        )
    content = json.dumps([str(source), settings, chain_digest(chain)], sort_keys=True)
    name = f"{settings['kind']}_{settings['image_size']}_{hashlib.sha256(content.encode()).hexdigest()[:12]}"
    return Path(cache_dir) / name
