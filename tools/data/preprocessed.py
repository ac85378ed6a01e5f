"""A dataset as `python -m tools preprocess` writes it, and transforms that read it, or the original, for training."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.transforms import Compose, EnsureTyped, ScaleIntensityRanged

from tools.data.readers import read_header
from tools.transforms.ct import ct_preprocessing, load_volume
from tools.transforms.digest import chain_digest

MANIFEST = "preprocessed.json"
FORMAT = 1  # of the manifest
LUNA16_UID = "1.3.6.1.4.1.14519.5.2.1.6279.6001."  # every series of LIDC-IDRI, hence of LUNA16, begins with it


def preprocessed_info(dataset_dir: str | os.PathLike) -> dict[str, Any] | None:
    """The manifest of a preprocessed dataset; None if `dataset_dir` is not one.

    Its entries: `image_size`; `window` (HU); `digest` of the chain; `complete`, False until every volume is done;
    `field_of_view_mm`, mean over the volumes, [axial, rows, columns]; `volumes`, by id: `image` and `source` (paths
    below the two folders), `stamp` of the source, `field_of_view_mm`, `air_peak` (HU before calibration, None if there
    was no air) and `hu_calibrated`; `bad`, reasons by source; `phantom`, what the dataset's phantom.json holds, if any.

    Raises:
        ValueError: the manifest is damaged or was written by another version.
    """
    path = Path(dataset_dir) / MANIFEST
    if not path.is_file():
        return None
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as e:
        raise ValueError(f"{path} is damaged ({e}); remove the folder and preprocess the dataset again") from e
    if not isinstance(info, dict) or info.get("format") != FORMAT:
        raise ValueError(f"{path} has not the format {FORMAT}; remove the folder and preprocess the dataset again")
    return info


def check_settings(
    dataset_dir: str | os.PathLike, info: dict[str, Any], image_size: int, window: Sequence[int], digest: str
) -> None:
    """Raises ValueError if a preprocessed dataset is not what preprocessing with these settings would give."""
    low, high = (int(bound) for bound in window)
    found = f"image_size {info['image_size']} and window {info['window']}"
    asked = f"image_size {image_size} and window {[low, high]}"
    if found == asked and info["digest"] != digest:
        found, asked = f"{found}, by another version of the preprocessing", f"{asked}, by this version"
    if found != asked:
        raise ValueError(
            f"{dataset_dir} was preprocessed with {found}; asked for is {asked}. Preprocess the original dataset into "
            "a new folder: python -m tools preprocess --dataset_dir <original> --output_dir <new> "
            f"--image_size {image_size} --window '({low},{high})'"
        )


def image_transforms(dataset_dir: str | os.PathLike, image_size: int, window: Sequence[int] = (-1024, 600)) -> Compose:
    """{"image": path} -> {"image": [1, S, S, S]}, float32 in [-1, 1], from an original or a preprocessed dataset.

    Both give the same numbers to the last bit. [-1, 1] is the window of HU (paper section 2.1).

    Args:
        dataset_dir: the dataset that the paths come from.
        image_size: S.
        window: lowest and highest HU.

    Raises:
        ValueError: the dataset was preprocessed with other settings; the message says with which, and what to run.
    """
    chain = ct_preprocessing(image_size, window)
    info = preprocessed_info(dataset_dir)
    if info is not None:
        check_settings(dataset_dir, info, image_size, window, chain_digest(chain))
    low, high = window
    return Compose(
        [
            *(chain.transforms if info is None else load_volume()),
            ScaleIntensityRanged(keys="image", a_min=low, a_max=high, b_min=-1.0, b_max=1.0, clip=True),
            EnsureTyped(keys="image", dtype=torch.float32, track_meta=False),
        ]
    )


def data_provenance(dataset_dir: str | os.PathLike, datalist: Sequence[dict[str, str]]) -> dict[str, Any]:
    """Where training data come from, for a checkpoint: numbers, strings, lists and dicts only.

    Returns:
        `kind`: "phantom" if the folder holds a phantom.json (then `phantom` is its content), "luna16" if every id is
        one of LIDC-IDRI's, else "volumes"; `volumes`, their number; `ids_sha256`, digest of their sorted ids;
        `field_of_view_mm`, mean extent [axial, rows, columns]; `preprocessed`, the settings, if it was preprocessed.
    """
    info = preprocessed_info(dataset_dir)
    phantom = phantom_info(dataset_dir) if info is None else info.get("phantom")
    ids = sorted(item["id"] for item in datalist)
    kind = "phantom" if phantom is not None else "luna16" if all(i.startswith(LUNA16_UID) for i in ids) else "volumes"
    provenance: dict[str, Any] = {
        "kind": kind,
        "volumes": len(ids),
        "ids_sha256": hashlib.sha256("\n".join(ids).encode()).hexdigest(),
        "field_of_view_mm": mean_field_of_view(read_header(item["image"]).field_of_view for item in datalist),
    }
    if phantom is not None:
        provenance["phantom"] = phantom
    if info is not None:
        provenance["preprocessed"] = {key: info[key] for key in ("image_size", "window", "digest")}
    return provenance


def phantom_info(dataset_dir: str | os.PathLike) -> Any:
    """What the phantom.json of a folder of phantoms holds; None if there is none."""
    path = Path(dataset_dir) / "phantom.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def mean_field_of_view(extents) -> list[float]:
    """Mean over volumes of [axial, rows, columns] in mm, to a thousandth."""
    return np.mean(list(extents), axis=0).round(3).tolist()
