"""A dataset as `python -m tools preprocess` writes it, and transforms that read it, or the original, for training."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import Dataset
from monai.transforms import Compose, EnsureTyped, ScaleIntensityRanged

from tools.data.cache import values_of
from tools.datasets.published import dataset_of_ids
from tools.io.readers import read_header
from tools.transforms.ct import ct_preprocessing
from tools.transforms.digest import chain_digest
from tools.transforms.mr import WHITE, t1_preprocessing
from tools.transforms.spatial import FIELD_OF_VIEW, FieldOfViewd, checked_size, load_volume

MANIFEST = "preprocessed.json"
FORMAT = 2  # of the manifest
SETTINGS = ("kind", "image_size", "window")  # of all kinds; a window is CT's
KINDS: dict[str, Callable[..., Compose]] = {"ct": ct_preprocessing, "t1": t1_preprocessing}
"""Kinds of volumes and how each is preprocessed; the functions' arguments are the settings."""


def preprocessing(settings: Mapping[str, Any]) -> Compose:
    """The chain of transforms for `settings`: "kind", and the arguments of its function in `KINDS`."""
    return KINDS[settings["kind"]](**{key: value for key, value in settings.items() if key != "kind"})


def ct_settings(image_size: int, window: Sequence[int]) -> dict[str, Any]:
    """Settings of `ct_preprocessing` as the manifest records them."""
    # a bound that is no whole number is left for ct_preprocessing to refuse
    bounds = [int(bound) if bound == int(bound) else bound for bound in window]
    return {"kind": "ct", "image_size": checked_size(image_size), "window": bounds}


def t1_settings(image_size: int) -> dict[str, Any]:
    """Settings of `t1_preprocessing` as the manifest records them."""
    return {"kind": "t1", "image_size": checked_size(image_size)}


def preprocessed_info(dataset_dir: str | os.PathLike | None) -> dict[str, Any] | None:
    """The manifest of a preprocessed dataset; None if `dataset_dir` is not one.

    Its entries: `kind` ("ct" or "t1"); `image_size`; for CT `window` (HU); `digest` of the chain; `complete`, False
    until every volume is done; `field_of_view_mm`, mean over the volumes, [axial, rows, columns]; `volumes`, by id:
    `image` and `source` (paths below the two folders), `stamp` of the source, `field_of_view_mm`, for CT `air_peak` (HU
    before calibration, None if there was no air) and `hu_calibrated`, for T1 `white` (intensity that became 1000);
    `bad`, reasons by source; `phantom`, what the dataset's phantom.json holds, if any.

    Raises:
        ValueError: the manifest is damaged or was written by another version.
    """
    path = None if dataset_dir is None else Path(dataset_dir) / MANIFEST
    if path is None or not path.is_file():
        return None
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as e:
        raise ValueError(f"{path} is damaged ({e}); remove the folder and preprocess the dataset again") from e
    if not isinstance(info, dict) or info.get("format") != FORMAT:
        raise ValueError(f"{path} has not the format {FORMAT}; remove the folder and preprocess the dataset again")
    return info


def check_settings(
    dataset_dir: str | os.PathLike, info: Mapping[str, Any], settings: Mapping[str, Any], digest: str
) -> None:
    """Raises ValueError if a preprocessed dataset is not what preprocessing with these settings would give."""
    found, asked = _in_words(info), _in_words(settings)
    if found == asked and info["digest"] != digest:
        found, asked = f"{found}, by another version of the preprocessing", f"{asked}, by this version"
    if found != asked:
        raise ValueError(
            f"{dataset_dir} was preprocessed as {found}; asked for is {asked}. Preprocess the original dataset into a "
            f"new folder: {rerun_command(settings, '<new>')}"
        )


def _in_words(settings: Mapping[str, Any]) -> str:
    others = [f"{key} {settings[key]}" for key in SETTINGS[1:] if key in settings]
    return f"{settings['kind']} with {' and '.join(others)}"


def rerun_command(settings: Mapping[str, Any], output_dir: str | os.PathLike) -> str:
    """Return what to type for preprocessing a dataset with these settings."""
    command = (
        f"python -m tools preprocess --dataset_dir <original> --output_dir {output_dir} --kind {settings['kind']} "
        f"--image_size {settings['image_size']}"
    )
    return command + (" --window '({},{})'".format(*settings["window"]) if "window" in settings else "")


def image_transforms(dataset_dir: str | os.PathLike, image_size: int, window: Sequence[int] = (-1024, 600)) -> Compose:
    """{"image": path} -> {"image": [1, S, S, S]}, float32 in [-1, 1], from an original or a preprocessed CT dataset.

    Both give the same numbers to the last bit. [-1, 1] is the window of HU (paper section 2.1). "field_of_view_mm" [3]
    comes with it, the space [axial, rows, columns] that the cube covers.

    Args:
        dataset_dir: the dataset that the paths come from.
        image_size: S.
        window: lowest and highest HU.

    Raises:
        ValueError: the dataset was preprocessed with other settings; the message says with which, and what to run.
    """
    return _transforms(dataset_dir, ct_settings(image_size, window), window)


def t1_transforms(dataset_dir: str | os.PathLike, image_size: int, window: Sequence[float] = (0, WHITE)) -> Compose:
    """{"image": path} -> {"image": [1, S, S, S]}, float32 in [-1, 1], from an original or a preprocessed T1 dataset.

    Both give the same numbers to the last bit. Background is 0 and the 98th percentile of the head and above 1000; the
    window's ends become -1 and 1, and what lies outside it is clipped. "field_of_view_mm" [3] comes with it, the space
    [axial, rows, columns] that the cube covers.

    Args:
        dataset_dir: the dataset that the paths come from.
        image_size: S.
        window: lowest and highest of the normalised intensities, from 0 to 1000.

    Raises:
        ValueError: the window's ends are not in order or it shows none of these intensities; or the dataset was
            preprocessed with other settings, and the message says with which, and what to run.
    """
    low, high = window
    if not low < high or high <= 0 or low >= WHITE:
        raise ValueError(f"window is {list(window)}, expected its lower and upper end within 0 to {WHITE}")
    return _transforms(dataset_dir, t1_settings(image_size), window)


def _transforms(dataset_dir: str | os.PathLike, settings: Mapping[str, Any], limits: Sequence[float]) -> Compose:
    """Reading or computing whole numbers, and scaling them from `limits` to [-1, 1]."""
    chain = preprocessing(settings)
    info = preprocessed_info(dataset_dir)
    if info is not None:
        check_settings(dataset_dir, info, settings, chain_digest(chain))
    low, high = limits
    return Compose(
        [
            *(chain.transforms if info is None else load_volume()),
            ScaleIntensityRanged(keys="image", a_min=low, a_max=high, b_min=-1.0, b_max=1.0, clip=True),
            FieldOfViewd(keys="image"),
            EnsureTyped(keys="image", dtype=torch.float32, track_meta=False),
        ]
    )


def data_provenance(
    dataset_dir: str | os.PathLike | None,
    datalist: Sequence[dict[str, str]],
    dataset: Dataset | None = None,
    num_workers: int = 0,
) -> dict[str, Any]:
    """Return where training data come from, for a checkpoint: numbers, strings, lists and dicts only.

    Args:
        dataset_dir: their folder; None where data of one's own need none.
        datalist: items that are trained on.
        dataset: the same as the networks see it, where they see cubes of whole volumes (`image_transforms`,
            `t1_transforms`). Cutting away blank slices, or all around a head, changes what space a cube covers, so
            that this is known only when a volume has been read: all are, and kept in the dataset's cache.
        num_workers: processes that read.

    Returns:
        `kind`: "phantom" if the folder holds a phantom.json (then `phantom` is its content but its volumes), the name
        of a dataset if every id is one of its own (`dataset_of_ids`), else "volumes"; `volumes`, their number;
        `ids_sha256`, digest of their sorted ids; with a ``dataset`` `field_of_view_mm`, mean extent [axial, rows,
        columns] of its cubes; `preprocessed`, its settings, if it was preprocessed.
    """
    info = preprocessed_info(dataset_dir)
    phantom = phantom_info(dataset_dir) if info is None else info.get("phantom")
    datalist = datalist if dataset is None else dataset.data  # without what was left out
    ids = sorted(item["id"] for item in datalist)
    published = None if dataset_dir is None else dataset_of_ids(ids)
    if phantom is not None:
        kind = "phantom"
    else:
        kind = "volumes" if published is None else published.name
    provenance: dict[str, Any] = {
        "kind": kind,
        "volumes": len(ids),
        "ids_sha256": hashlib.sha256("\n".join(ids).encode()).hexdigest(),
    }
    if dataset is not None:
        if info is None:
            extents = [extent.tolist() for extent in values_of(dataset, FIELD_OF_VIEW, num_workers)]
        else:  # the headers say it
            extents = [read_header(item["image"]).field_of_view for item in datalist]
        provenance[FIELD_OF_VIEW] = mean_field_of_view(extents)
    if phantom is not None:
        provenance["phantom"] = {key: value for key, value in phantom.items() if key != "volumes"}
    if info is not None:
        provenance["preprocessed"] = {key: info[key] for key in (*SETTINGS, "digest") if key in info}
    return provenance


def phantom_info(dataset_dir: str | os.PathLike | None) -> Any:
    """Return what the phantom.json of a folder of phantoms holds; None if there is none."""
    path = None if dataset_dir is None else Path(dataset_dir) / "phantom.json"
    return None if path is None or not path.is_file() else json.loads(path.read_text(encoding="utf-8"))


def mean_field_of_view(extents) -> list[float]:
    """Mean over volumes of [axial, rows, columns] in mm, to a thousandth."""
    return np.mean(list(extents), axis=0).round(3).tolist()
