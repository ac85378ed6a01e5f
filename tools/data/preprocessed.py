"""What the manifest of preprocessed data says, and with which settings each kind of volumes is preprocessed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.transforms import Compose

from tools.io.volume import VolumeError
from tools.transforms.ct import ct_preprocessing
from tools.transforms.mr import t1_preprocessing
from tools.transforms.spatial import checked_size

MANIFEST = "preprocessed.json"
PART = "preprocessed.part-*.json"  # what one process has done, until all have ended
FORMAT = 2  # of the manifest
SETTINGS = ("kind", "image_size", "window", "images", "labels", "modality", "field_of_view")  # of all kinds together
HU = (-1024, 600)
"""Window of CT, lowest and highest HU, where none is given."""

KINDS: dict[str, Callable[..., Compose]] = {"ct": ct_preprocessing, "t1": t1_preprocessing}
"""Kinds of volumes and how each is preprocessed; the functions' arguments are the settings."""


SAMPLES = ("volumes", "slices")
"""Kinds of labelled samples, see `tools.data.stored_samples`: whole volumes, or slices."""


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
    if not info["complete"]:
        for part in sorted(path.parent.glob(PART)):
            info["volumes"] = json.loads(part.read_text(encoding="utf-8")) | info["volumes"]
    return info


def finished_info(dataset_dir: str | os.PathLike | None) -> dict[str, Any] | None:
    """The manifest of a preprocessed dataset that is complete; None if `dataset_dir` is not preprocessed.

    Raises:
        ValueError: the folder is refused, see `preprocessed_info`.
        VolumeError: its preprocessing was interrupted.
    """
    info = preprocessed_info(dataset_dir)
    if info is not None and not info["complete"]:
        raise VolumeError.of(
            dataset_dir,
            f"its preprocessing was interrupted, {len(info['volumes'])} volumes are ready; run the command again to "
            f"finish it: {rerun_command(info, dataset_dir)}",
        )
    return info


def settings_of(kind: str, image_size: int, window: Sequence[int] | None = None) -> dict[str, Any]:
    """Settings of a kind of volumes, as the manifest records them.

    Args:
        kind: one of `KINDS`.
        image_size: voxels a side of the cube.
        window: lowest and highest HU; (-1024, 600) if None. Only for CT.

    Raises:
        ValueError: the kind is unknown, or the size is not a positive whole number.
    """
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}, expected {' or '.join(map(repr, (*KINDS, *SAMPLES)))}")
    if kind == "t1":
        return t1_settings(image_size)
    return ct_settings(image_size, HU if window is None else window)


def finished_volumes(dataset_dir: str | os.PathLike | None) -> dict[str, Any] | None:
    """`finished_info` of a folder that must not hold labelled samples.

    Raises:
        VolumeError: the folder holds labelled samples, or is refused, see `finished_info`.
    """
    info = finished_info(dataset_dir)
    if info is not None and info["kind"] in SAMPLES:
        raise VolumeError.of(
            dataset_dir,
            f"it was preprocessed as labelled {info['kind']} ({', '.join([*info['images'], *info['labels']])}), which "
            "only what works on labelled samples reads; give the original dataset, or preprocess it as another kind",
        )
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
    others = [f"{key} {settings[key]}" for key in SETTINGS[1:] if settings.get(key) is not None]
    return f"{settings['kind']} with {' and '.join(others)}"


def rerun_command(settings: Mapping[str, Any], output_dir: str | os.PathLike) -> str:
    """Return what to type for preprocessing a dataset with these settings."""
    command = f"python -m tools preprocess --dataset_dir <original> --output_dir {output_dir}"
    for key in SETTINGS:
        value = settings.get(key)
        if key == "window" and value is not None:
            value = "'({},{})'".format(*value)
        elif isinstance(value, Mapping | Sequence) and not isinstance(value, str):
            value = f'"{value}"'
        command += "" if value is None else f" --{key} {value}"
    return command


def phantom_info(dataset_dir: str | os.PathLike | None) -> Any:
    """Return what the phantom.json of a folder of phantoms holds; None if there is none."""
    path = None if dataset_dir is None else Path(dataset_dir) / "phantom.json"
    return None if path is None or not path.is_file() else json.loads(path.read_text(encoding="utf-8"))
