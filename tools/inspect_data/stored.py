"""Cases through the slice store: how many slices there are, and how fast they are made and read."""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np
from torch.utils.data import ConcatDataset

from tools.data.found import Found
from tools.data.sample_store import SampleStore
from tools.transforms.channels import Channels
from tools.transforms.samples import sample_pictures, sample_slices

DRAWN = 2000
"""Slices that are read in random order to measure how fast it goes."""

WINDOW, GREY = (-200.0, 300.0), (0.0, 255.0)
"""Of CT in HU, and of pictures."""


def stored(found: Found, store_dir: str | os.PathLike, image_size: int, num_workers: int) -> dict[str, Any]:
    """Fills a slice store with the cases, those that have the same images together.

    Returns:
        "slices", all together; "slices_of" and "channels" by the names of images; "seconds_to_make" and
        "cpu_seconds_to_make", with those of worker processes, and "made_per_second", None where a part was there
        before; "read_per_second" by one process in random order; "megabytes".
    """
    groups: dict[tuple[str, ...], list[dict]] = {}
    for item in found.items:
        names = tuple(item["image"]) if isinstance(item.get("image"), dict) else tuple(found.images)
        groups.setdefault(names, []).append(item)
    chain = sample_pictures if found.is_pictures else sample_slices
    was_there = os.path.isdir(store_dir) and any(name.endswith(".json") for name in os.listdir(store_dir))
    start, cpu = time.perf_counter(), _cpu_seconds()
    stores = {}
    for names, items in groups.items():
        channels = Channels({name: _scale(found, name) for name in names}, found.classes)
        stores[", ".join(names)] = SampleStore(
            items, chain(channels, image_size), channels, store_dir, num_workers=num_workers
        )
    made, cpu = time.perf_counter() - start, _cpu_seconds() - cpu
    together = ConcatDataset(stores.values())
    order = np.random.default_rng(0).integers(0, len(together), DRAWN)
    start = time.perf_counter()
    for index in order:
        together[int(index)]
    return {
        "slices": len(together),
        "slices_of": {names: len(store) for names, store in stores.items()},
        "image_size": image_size,
        "channels": {names: list(store.channels.names) for names, store in stores.items()},
        "seconds_to_make": round(made, 2),
        "cpu_seconds_to_make": round(cpu, 2),
        "made_per_second": None if was_there else round(len(together) / made),
        "read_per_second": round(DRAWN / (time.perf_counter() - start)),
        "megabytes": round(sum(entry.stat().st_size for entry in os.scandir(store_dir)) / 1e6, 1),
    }


def _scale(found: Found, name: str) -> float | tuple[float, float]:
    if found.is_pictures:
        return GREY
    return WINDOW if found.voxels.get(name) == "CT" else 99.5


def _cpu_seconds() -> float:
    """Seconds of CPU of this process and of its children that have ended."""
    return sum(os.times()[:4])
