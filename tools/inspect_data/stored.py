"""Cases through the slice store: how many slices there are, and how fast they are made and read."""

from __future__ import annotations

import os
import time
from collections import Counter
from typing import Any

import numpy as np

from tools.data.sample_store import SampleStore
from tools.inspect_data.found import Found
from tools.transforms.channels import Channels
from tools.transforms.samples import sample_pictures, sample_slices

DRAWN = 2000
"""Slices that are read in random order to measure how fast it goes."""

WINDOW, GREY = (-200.0, 300.0), (0.0, 255.0)
"""Of CT in HU, and of pictures."""


def stored(found: Found, store_dir: str | os.PathLike, image_size: int, num_workers: int) -> dict[str, Any]:
    """Fills a slice store with those cases that have the images which most have.

    Returns:
        "slices", "seconds_to_make" (of what was not there yet), "read_per_second" by one process, "megabytes".
    """
    named = [tuple(item["image"]) if isinstance(item.get("image"), dict) else () for item in found.items]
    names, _ = Counter(named).most_common(1)[0]
    items = [item for item, has in zip(found.items, named, strict=True) if has == names]
    scale = GREY if found.is_pictures else WINDOW if found.voxels == "CT" else 99.5
    channels = Channels(dict.fromkeys(names or found.images, scale), found.classes)
    chain = sample_pictures if found.is_pictures else sample_slices
    start = time.perf_counter()
    store = SampleStore(items, chain(channels, image_size), channels, store_dir, num_workers=num_workers)
    made = time.perf_counter() - start
    order = np.random.default_rng(0).integers(0, len(store), DRAWN)
    start = time.perf_counter()
    for index in order:
        store[int(index)]
    return {
        "slices": len(store),
        "image_size": image_size,
        "channels": list(channels.names),
        "seconds_to_make": round(made, 2),
        "read_per_second": round(DRAWN / (time.perf_counter() - start)),
        "megabytes": round(sum(entry.stat().st_size for entry in os.scandir(store_dir)) / 1e6, 1),
    }
