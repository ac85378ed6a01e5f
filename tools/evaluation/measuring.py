"""Reading sets of images once, in several processes, and keeping what was measured beside the data."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from monai.transforms import Resize
from tqdm import tqdm

from tools.data.image_sets import ImageFile, image_stamp, read_image
from tools.evaluation.profile import ImageProfile, profile_of
from tools.evaluation.unit import Unit
from tools.features.space import FeatureSpace
from tools.features.spaces import make_spaces
from tools.io.readers import VolumeError

logger = logging.getLogger(__name__)

VERSION = 2
"""Part of every key: raise it when the same image gives another profile than before."""

CACHE = ".evaluation"
"""Folder of profiles beside the images of a set."""


@dataclass(frozen=True)
class Measuring:
    """How images are measured; what a cached profile depends on.

    Attributes:
        unit: unit of the values.
        image_size: side of the cube that volumes are resampled to; None measures them as they are.
        layers: number of axial layers.
        spaces: names of feature spaces, see `tools.features.spaces.make_space`.
        weights: weights of the feature spaces that need them.
        seed: seed of untrained ones.
        device: device on which features are computed.
    """

    unit: Unit
    image_size: int | None = None
    layers: int = 10
    spaces: tuple[str, ...] = ("untrained",)
    weights: str | None = None
    seed: int = 0
    device: str = "cpu"

    def make_spaces(self) -> list[FeatureSpace]:
        """The feature spaces."""
        return make_spaces(self.spaces, self.weights, self.seed)

    def prepare(self, volume: np.ndarray) -> np.ndarray:
        """[D, H, W] in the set's unit -> what is measured, in [-1, 1]."""
        return resized(self.unit.scale(volume), self.image_size)


def resized(volume: np.ndarray, size: int | None) -> np.ndarray:
    """[D, H, W] resampled to a cube: averaged if an axis shrinks, interpolated if all grow."""
    if size is None or volume.shape == (size,) * 3:
        return volume
    mode = "area" if max(volume.shape) > size else "trilinear"
    return np.asarray(Resize((size,) * 3, mode=mode)(torch.from_numpy(volume)[None]))[0]


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
) -> Iterator[ImageProfile | VolumeError]:
    """The profiles of a set in its order, from the cache where they are there; instead of one the reason why there is
    none, if an image cannot be read or measured.

    Args:
        images: images of the set.
        measuring: settings of the measurement.
        spaces: result of ``measuring.make_spaces``, for this process.
        cache_dir: folder for profiles; None for no cache.
        processes: number of processes that read and measure at the same time.
        name: name of the set, for the progress bar.
    """
    labels = [space.name for space in spaces]
    tasks = [(image, measuring, labels, cache_dir) for image in images]
    bar = {"total": len(images), "desc": f"Measuring {name}", "unit": "image", "disable": None}
    if processes <= 1:
        _Worker.spaces = list(spaces)
        yield from tqdm(map(_measure, tasks), **bar)
        return
    threads = max(1, (os.cpu_count() or 1) // processes)
    # spawn: CUDA and threads do not survive a fork
    with ProcessPoolExecutor(
        processes, mp_context=get_context("spawn"), initializer=_start, initargs=(measuring, threads)
    ) as pool:
        yield from tqdm(pool.map(_measure, tasks), **bar)


class _Worker:
    """What a process keeps between images."""

    spaces: list[FeatureSpace] | None = None


def _start(measuring: Measuring, threads: int) -> None:
    torch.set_num_threads(threads)
    logging.getLogger("tools.features.untrained").setLevel(logging.ERROR)  # the first process has said it
    _Worker.spaces = measuring.make_spaces()


def _measure(task: tuple[ImageFile, Measuring, list[str], Path | None]) -> ImageProfile | VolumeError:
    try:
        return _profile(*task)
    except VolumeError as error:
        return error
    except OSError as error:
        return VolumeError.of(task[0].path, f"it cannot be read ({error.strerror or error})")


def _profile(image: ImageFile, measuring: Measuring, labels: list[str], cache_dir: Path | None) -> ImageProfile:
    cache = _Cache(image, measuring, cache_dir)
    kept = {label: cache.load(label) for label in ["", *labels]}
    missing = [label for label, profile in kept.items() if profile is None]
    if missing:
        volume, spacing = read_image(image)
        try:
            own = _own_range(volume, image)
            fresh = profile_of(
                measuring.prepare(volume),
                image.id,
                [space for space in _Worker.spaces or [] if space.name in missing],
                measuring.layers,
                None if measuring.image_size and spacing is None else _spacing(volume.shape, spacing, measuring),
                own,
                measuring.device,
            )
        except VolumeError:
            raise
        except ValueError as error:
            raise VolumeError.of(image.path, str(error).removeprefix(f"{image.id}: ")) from error
        for label in missing:
            cache.save(fresh, label)
            kept[label] = fresh
    base = kept[""]
    for label in labels:
        base.features[label] = kept[label].features[label]
        if label in kept[label].positions:
            base.positions[label] = kept[label].positions[label]
    return base


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
    return tuple(n * mm / measuring.image_size for n, mm in zip(shape, spacing, strict=True))


class _Cache:
    """The profile of an image on disk, its features in every space in a file of their own.

    A damaged file counts as missing; a folder that cannot be written to means no cache.
    """

    def __init__(self, image: ImageFile, measuring: Measuring, folder: Path | None) -> None:
        self.image, self.folder = image, folder
        settings = [VERSION, measuring.unit.window, measuring.image_size, measuring.layers]
        self.key = [os.path.abspath(image.path), image_stamp(image), settings] if folder is not None else []

    def _path(self, label: str) -> Path:
        digest = hashlib.sha256(json.dumps([*self.key, label]).encode()).hexdigest()[:32]
        return self.folder / f"{digest}.npz"

    def load(self, label: str) -> ImageProfile | None:
        if self.folder is None or not self._path(label).is_file():
            return None
        try:
            return ImageProfile.load(self._path(label), self.image.id)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            logger.warning("%s is damaged (%s) and measured anew", self._path(label), error)
            return None

    def save(self, profile: ImageProfile, label: str) -> None:
        if self.folder is None:
            return
        keep = ImageProfile(
            profile.id,
            profile.shape,
            profile.value_range,
            profile.layers,
            profile.views,
            {label: profile.features[label]} if label else {},
            {label: profile.positions[label]} if label in profile.positions else {},
        )
        keep.save(self._path(label))


def cache_folder(folder: str | os.PathLike, cache_dir: str | os.PathLike | None) -> Path | None:
    """Return where the profiles of a set are kept: in a hidden folder of the set, or in ``cache_dir``; None if neither
    can be written to, with a warning.
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
