"""A set of images as the search for copies needs it: each one read once, on a coarse grid and as features."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from tqdm import tqdm

from tools.data.image_sets import ImageFile, find_images, pictures_apart, read_image
from tools.data.removal import case_of
from tools.datasets.published import dataset_of_ids
from tools.evaluation.measuring import resized
from tools.evaluation.views import views_of
from tools.features.space import FeatureSpace
from tools.io import left_out
from tools.io.readers import VolumeError
from tools.privacy.patterns import coarse
from tools.transforms.flat import is_flat

logger = logging.getLogger(__name__)

FEATURE_SIDE = 48
"""Voxels a side of the cubes in which features are taken; 2D images keep their size."""

ENDS = (0.5, 99.5)
"""Percentiles of an image's own values that become -1 and 1."""


@dataclass(frozen=True)
class Images:
    """A set that has been read.

    Attributes:
        files: places of the images.
        cases: name of the case that each belongs to.
        patients: number of the patient of each.
        grids: each on the grid of `tools.privacy.patterns.coarse`.
        features: float32 [n, d] by name of the space.
    """

    files: tuple[ImageFile, ...]
    cases: tuple[str, ...]
    patients: np.ndarray
    grids: tuple[np.ndarray, ...]
    features: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.files)


def normalised(image: np.ndarray) -> np.ndarray:
    """[D, H, W] of any unit, with its 0.5th and 99.5th percentiles at -1 and 1 and clipped there: a copy of another
    brightness is still a copy.

    Raises:
        ValueError: the image holds NaN or infinite values, or one value nearly everywhere.
    """
    if not np.isfinite(image).all():
        raise ValueError("it holds NaN or infinite values")
    low, high = np.percentile(image, ENDS)
    if high <= low:
        low, high = float(image.min()), float(image.max())
    if high <= low:
        raise ValueError("it shows nothing: one value everywhere")
    return ((image - low) / (high - low) * 2 - 1).clip(-1, 1).astype(np.float32)


def patients_of(cases: Sequence[str]) -> np.ndarray:
    """[n] number of each case's patient, as the records of published datasets have it; others have one case each."""
    names = [case.rpartition("/")[2] for case in cases]
    known = dataset_of_ids(names)
    subjects = [known.subject(name) for name in names] if known else list(cases)
    return np.unique(subjects, return_inverse=True)[1]


def find_set(name: str, folder: str) -> list[ImageFile]:
    """The images of a folder, see `find_images`."""
    files = pictures_apart(find_images(folder), folder)
    logger.info("%s: %d images in %s", name, len(files), folder)
    return files


def read_set(name: str, files: Sequence[ImageFile], spaces: Sequence[FeatureSpace], workers: int = 4) -> Images:
    """Read a set; what cannot be read or shows nothing is left out, with a warning that names it.

    Args:
        name: name of the set, for messages.
        files: its images.
        spaces: feature spaces that give one row for an image.
        workers: number of threads that read.

    Raises:
        VolumeError: no image can be used.
    """
    made, reasons = [], {}
    with ThreadPoolExecutor(max(1, workers)) as pool:
        bar = tqdm(pool.map(_read, files), total=len(files), desc=f"Reading {name}", unit="image", disable=None)
        for file, volume in zip(files, bar, strict=True):
            if isinstance(volume, str):
                reasons[file.id] = volume
            else:
                made.append((file, coarse(volume), features_of(volume, spaces)))
    if not made:
        raise VolumeError(f"none of the {len(files)} images of {name} can be used:\n{left_out.listed(reasons)}")
    if reasons:
        left_out.warn_of(name, reasons, len(files), "images")
    kept, grids, features = zip(*made, strict=True)
    cases = tuple(case_of(file.id) for file in kept)
    rows = {space.name: np.concatenate([found[space.name] for found in features]) for space in spaces}
    return Images(kept, cases, patients_of(cases), grids, rows)


def features_of(volume: np.ndarray, spaces: Iterable[FeatureSpace]) -> dict[str, np.ndarray]:
    """float32 [1, d] by space, of an image [D, H, W] in [-1, 1]."""
    cube = volume if is_flat(volume.shape) else resized(volume, FEATURE_SIDE)
    tensor = torch.from_numpy(np.ascontiguousarray(cube, np.float32))[None, None]
    found = {space.name: space(tensor).numpy() for space in spaces}
    for name, rows in found.items():
        if len(rows) != 1:
            raise ValueError(
                f"feature space {name} gives {len(rows)} rows for a volume; copies are looked for among whole images: "
                "choose a space of volumes, untrained, radiomics or medicalnet"
            )
    return found


def pictures_of(file: ImageFile) -> dict[str, np.ndarray]:
    """uint8 pictures by name of an image, read again."""
    volume, spacing = read_image(file)
    views = views_of(normalised(volume), spacing)
    shown = ("axial 50%", "coronal", "sagittal")
    return {name: view for name, view in views.items() if name in shown} or views


def _read(file: ImageFile) -> np.ndarray | str:
    """The image, or why there is none."""
    try:
        return normalised(read_image(file)[0])
    except VolumeError as error:
        return error.reason
    except (OSError, ValueError) as error:
        return str(error)
