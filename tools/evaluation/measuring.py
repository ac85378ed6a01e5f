"""Reading sets of images once, in several processes, and keeping what was measured beside the data."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from monai.transforms import Resize
from tqdm import tqdm

from tools.data.image_sets import ImageFile, image_stamp, read_image
from tools.evaluation.summary import ImageSummary, Rows, summary_of
from tools.evaluation.units import Unit
from tools.features.cache import ArrayCache
from tools.features.space import FeatureSpace
from tools.features.spaces import make_spaces
from tools.io.readers import VolumeError
from tools.transforms.flat import is_flat

logger = logging.getLogger(__name__)

VERSION = 3
"""Part of every key: raise it when the same image gives another summary or other features than before."""

CACHE = ".evaluation"
"""Folder of what was measured, beside the images of a set."""


@dataclass(frozen=True)
class Measuring:
    """How images are measured; what a cached measurement depends on.

    Attributes:
        unit: unit of the values.
        image_size: side of the cube that volumes are resampled to, or of the square for 2D images; None measures them
            as they are.
        layers: number of axial layers; None takes ten of volumes and one of 2D images.
        spaces: names of feature spaces, see `tools.features.spaces.make_space`.
        weights: file or folder of the weights of those that need them.
        seed: random seed of untrained ones.
        device: device on which features are computed.
        flat: True for 2D images.
    """

    unit: Unit
    image_size: int | None = None
    layers: int | None = None
    spaces: tuple[str, ...] = ("untrained",)
    weights: str | None = None
    seed: int = 0
    device: str = "cpu"
    flat: bool = False

    def make_spaces(self) -> list[FeatureSpace]:
        """The feature spaces."""
        return make_spaces(self.spaces, self.weights, self.seed, self.flat)

    def prepare(self, volume: np.ndarray) -> np.ndarray:
        """[D, H, W] in the set's unit -> what is measured, in [-1, 1]."""
        return resized(self.unit.scale(volume), self.image_size)


def resized(volume: np.ndarray, size: int | None) -> np.ndarray:
    """[D, H, W] resampled to a cube, [1, H, W] to a square: averaged if an axis shrinks, interpolated if all grow."""
    if size is None or volume.shape == (target := size_of(volume.shape, size)):
        return volume
    mode = "area" if max(volume.shape) > size else "trilinear"
    return np.asarray(Resize(target, mode=mode)(torch.from_numpy(volume)[None]))[0]


def size_of(shape: Sequence[int], size: int) -> tuple[int, int, int]:
    """The shape that an image is resampled to."""
    return (1 if is_flat(shape) else size), size, size


class ImageReader:
    """The images of a set by number, ready to measure, read when they are asked for."""

    def __init__(self, images: Sequence[ImageFile], measuring: Measuring, bar: tqdm | None = None) -> None:
        self.images, self.measuring, self.bar = images, measuring, bar

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> np.ndarray:
        if self.bar is not None:
            self.bar.update()
        return self.measuring.prepare(read_image(self.images[index])[0])


def measured(
    images: Sequence[ImageFile],
    measuring: Measuring,
    spaces: Sequence[FeatureSpace],
    cache_dir: Path | None,
    processes: int = 1,
    name: str = "images",
) -> Iterator[ImageSummary | VolumeError]:
    """The summaries of a set in its order, from the cache where they are there; instead of one the reason why there is
    none, if an image cannot be read or measured.

    Args:
        images: files of the set.
        measuring: settings of the measurement.
        spaces: result of ``measuring.make_spaces``, for this process.
        cache_dir: folder for summaries and features; None for no cache.
        processes: number of processes that read and measure at the same time.
        name: name of the set, for the progress bar.
    """
    bar = {"total": len(images), "desc": f"Measuring {name}", "unit": "image", "disable": None}
    if processes <= 1:
        yield from tqdm(map(partial(_measure, measuring, spaces, cache_dir), images), **bar)
        return
    threads = max(1, (os.cpu_count() or 1) // processes)
    # spawn: CUDA and threads do not survive a fork
    with ProcessPoolExecutor(
        processes, mp_context=get_context("spawn"), initializer=_start, initargs=(threads,)
    ) as pool:
        yield from tqdm(pool.map(partial(_measure_in_worker, measuring, cache_dir), images), **bar)


def _start(threads: int) -> None:
    torch.set_num_threads(threads)
    logging.getLogger("tools.features.untrained").setLevel(logging.ERROR)  # the first process has said it


@cache
def _spaces(measuring: Measuring) -> tuple[FeatureSpace, ...]:
    """The spaces of a worker, which it keeps from image to image."""
    return tuple(measuring.make_spaces())


def _measure_in_worker(measuring: Measuring, cache_dir: Path | None, image: ImageFile) -> ImageSummary | VolumeError:
    return _measure(measuring, _spaces(measuring), cache_dir, image)


def _measure(
    measuring: Measuring, spaces: Sequence[FeatureSpace], cache_dir: Path | None, image: ImageFile
) -> ImageSummary | VolumeError:
    try:
        return _summary(measuring, spaces, cache_dir, image)
    except VolumeError as error:
        return error
    except OSError as error:
        return VolumeError.of(image.path, f"it cannot be read ({error.strerror or error})")


def _summary(
    measuring: Measuring, spaces: Sequence[FeatureSpace], cache_dir: Path | None, image: ImageFile
) -> ImageSummary:
    """The summary of an image and its features in every space, each kept in a file of its own."""
    kept = ArrayCache(cache_dir)
    keys = {} if cache_dir is None else _keys(image, measuring, ["", *(space.name for space in spaces)])
    states = {label: kept.load(key) for label, key in keys.items()}
    base = ImageSummary.of_state(states[""], image.id) if states.get("") else None
    rows = {space.name: Rows.of_state(s) for space in spaces if (s := states.get(space.name))}
    missing = [space for space in spaces if space.name not in rows]
    if base is None or missing:
        fresh = _measured_now(image, measuring, missing)
        if base is None:
            base = replace(fresh, rows={})
            if keys:
                kept.save(keys[""], base.state())
        for name, found in fresh.rows.items():
            rows[name] = found
            if keys:
                kept.save(keys[name], found.state())
    return replace(base, rows={space.name: rows[space.name] for space in spaces})


def _measured_now(image: ImageFile, measuring: Measuring, spaces: Sequence[FeatureSpace]) -> ImageSummary:
    volume, spacing = read_image(image)
    own = _own_range(volume, image)
    try:
        return summary_of(
            measuring.prepare(volume),
            image.id,
            spaces,
            measuring.layers,
            _spacing(volume.shape, spacing, measuring),
            own,
            measuring.device,
        )
    except VolumeError:
        raise
    except ValueError as error:
        raise VolumeError.of(image.path, str(error).removeprefix(f"{image.id}: ")) from error


def _own_range(volume: np.ndarray, image: ImageFile) -> tuple[float, float]:
    bad = int((~np.isfinite(volume)).sum())
    if bad:
        raise VolumeError.of(image.path, f"{bad} of {volume.size} voxels are NaN or infinite")
    return float(volume.min()), float(volume.max())


def _spacing(
    shape: Sequence[int], spacing: Sequence[float] | None, measuring: Measuring
) -> tuple[float, float, float] | None:
    """Voxel size in mm after resampling."""
    if spacing is None or measuring.image_size is None:
        return None if spacing is None else tuple(spacing)
    target = size_of(shape, measuring.image_size)
    return tuple(n * mm / side for n, mm, side in zip(shape, spacing, target, strict=True))


def _keys(image: ImageFile, measuring: Measuring, labels: Sequence[str]) -> dict[str, str]:
    """The key of the summary, "", and that of the features in each space: they change with the file and the way."""
    settings = [VERSION, list(measuring.unit.window), measuring.image_size, measuring.layers]
    about = [os.path.abspath(image.path), image_stamp(image), settings]
    return {label: hashlib.sha256(json.dumps([*about, label]).encode()).hexdigest()[:32] for label in labels}


def cache_folder(folder: str | os.PathLike, cache_dir: str | os.PathLike | None) -> Path | None:
    """Where measurements of a set are kept: in a hidden folder of the set, or in ``cache_dir``; None if neither can be
    written to, with a warning.
    """
    wanted = Path(cache_dir) if cache_dir is not None else Path(folder) / CACHE
    try:
        wanted.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if cache_dir is not None:
            raise ValueError(f"cache_dir {wanted} cannot be made ({error}); choose another folder") from error
    if os.access(wanted, os.W_OK):
        return wanted
    logger.warning(
        "%s cannot be written to, so nothing is kept for the next time; choose a folder with --cache_dir", wanted
    )
    return None
