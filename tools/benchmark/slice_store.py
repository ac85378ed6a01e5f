"""How fast labelled slices come out of their store, and what they cost in memory and on disk."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Transform
from torch.utils.data import DataLoader

from tools.benchmark.options import number, numbers
from tools.data.balance import BalancedSampler, balanced_weights
from tools.data.sample_store import SampleStore
from tools.transforms.augmentation import RandomSamples
from tools.transforms.channels import Channels
from tools.transforms.samples import SCALE

PER_VOLUME = 155
"""Slices of a volume, as in BraTS."""

VERSION = 1


class _Noise(Transform):
    """Volumes of noise with a label, since a store is as fast whatever it holds."""

    def __init__(self, channels: Channels, image_size: int) -> None:
        self.channels, self.image_size = channels, image_size

    def __call__(self, item: dict) -> dict:
        rng = np.random.default_rng(int(item["id"]))
        shape = (item["slices"], self.image_size, self.image_size)
        values = rng.integers(-127, 128, (self.channels.num_images, *shape), dtype=np.int8)
        image = MetaTensor(torch.from_numpy(values).float() / 127, affine=torch.eye(4))
        image.meta[SCALE] = torch.tensor([[0.0, 1.0]] * self.channels.num_images)
        label = (rng.random((1, *shape), np.float32) < 0.01).astype(np.uint8)
        return {"image": image, "label": torch.from_numpy(label), "known": self.channels.known()}


def benchmark_slices(
    count: int = 20_000,
    image_size: int = 256,
    images: int = 4,
    bits: int | str | Sequence[int] = (16, 8),
    workers: int | str | Sequence[int] = (1, 2),
    batch_size: int = 32,
    seconds: float = 10,
    store_dir: str | None = None,
) -> None:
    """Measure how many labelled slices a second a store gives, in random order, and what it takes of memory and disk.

    Fills a store with noise and draws batches from it in the order of balanced sampling, without augmentation and with
    it. Memory is that of all processes, and what workers share with the first is counted for each. Pages of the files
    that the system keeps in memory are counted for none; a store that is larger than the memory is as fast as the
    disk.

    Args:
        count: number of slices.
        image_size: side of the slices in pixels.
        images: number of images of a slice; the label is one channel more.
        bits: 16, 8 or both.
        workers: numbers of loading processes to try.
        batch_size: slices of a batch.
        seconds: duration of each measurement.
        store_dir: folder for the store, which stays; None takes a temporary one.
    """
    for option, given in (("--count", count), ("--image_size", image_size), ("--batch_size", batch_size)):
        number(option, given)
    channels = Channels({f"image{i}": 99.5 for i in range(number("--images", images))}, {"label": 1})
    sizes = [min(PER_VOLUME, count - start) for start in range(0, count, PER_VOLUME)]
    data = [{"id": str(i), "slices": n} for i, n in enumerate(sizes)]
    print(f"{count} slices of {images} images and a label, {image_size} x {image_size}, batches of {batch_size}")
    print("| bits | workers | slices/s | with augmentation | resident, MB | on disk, GB | a million, GB |")
    print("|---|---|---|---|---|---|---|")
    for bit in numbers("--bits", bits):
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(store_dir or temporary)
            transform = _Noise(channels, image_size)
            store = SampleStore(data, transform, channels, folder, bits=bit, num_workers=os.cpu_count() or 1)
            disk = sum(file.stat().st_size for file in folder.glob(f"*-{bit}[.-]*")) / 1e9
            for worker in numbers("--workers", workers):
                store.augment = None
                rate, memory = _rate(store, batch_size, worker, seconds)
                store.augment = RandomSamples((image_size, image_size))
                augmented, _ = _rate(store, batch_size, worker, seconds)
                print(
                    f"| {bit} | {worker} | {rate:.0f} | {augmented:.0f} | {memory:.0f} | {disk:.1f} | "
                    f"{disk / count * 1e6:.0f} |",
                    flush=True,
                )


def _rate(store: SampleStore, batch_size: int, workers: int, seconds: float) -> tuple[float, float]:
    """Slices a second, from the second batch of each worker on, and MB of memory of this process and its workers."""
    half = np.arange(len(store)) % 10 == 0
    sampler = BalancedSampler(store, balanced_weights([half], [0.5]), num_replicas=1, rank=0)
    loader = DataLoader(store, batch_size, sampler=sampler, num_workers=workers, drop_last=True)
    batches = iter(loader)
    for _ in range(2 * workers):
        next(batches)
    start, drawn = time.perf_counter(), 0
    for batch in batches:
        drawn += len(batch["image"])
        if time.perf_counter() - start > seconds:
            break
    rate = drawn / (time.perf_counter() - start)
    processes = [os.getpid(), *(worker.pid for worker in getattr(batches, "_workers", ()))]
    return rate, sum(map(_resident, processes))


def _resident(process: int) -> float:
    """MB of memory that are a process's own, without files that it maps; forked workers share much of theirs."""
    with open(f"/proc/{process}/status") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith("RssAnon")) / 1000
