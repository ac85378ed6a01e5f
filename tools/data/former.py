"""Functions of version 0.1.0 that one function does now; they go with the next version, see `tools.former`."""

from __future__ import annotations

import os
import warnings
from collections.abc import Collection, Sequence
from typing import Any

from monai.transforms import Compose

from tools.data import provenance
from tools.data.cubes import Cubes
from tools.data.preprocessed import preprocessed_info
from tools.data.volumes import section_datalist
from tools.io.volume_reader import volume_header


def data_provenance(dataset_dir: str | os.PathLike | None, datalist: Sequence[dict[str, str]]) -> dict[str, Any]:
    """`data_provenance` with the extents that the headers of the files state, as configs of 0.1.0 expect them.

    They are those of the cubes only where the folder was preprocessed; there is a warning where it was not. Studies
    of several images, which slices are taken from, have none.
    """
    if not all(isinstance(item["image"], str) for item in datalist):
        return provenance.data_provenance(dataset_dir, datalist)
    extents = [volume_header(item["image"]).field_of_view for item in datalist]
    if preprocessed_info(dataset_dir) is None:
        warnings.warn(
            "field_of_view_mm is that of the original files, from before blank slices or what surrounds a head are "
            "cut away: what is generated gets voxels of a wrong size. Take the bundle's present train.json, or train "
            "from what python -m tools preprocess writes.",
            stacklevel=2,
        )
    return provenance.data_provenance(dataset_dir, datalist, extents)


def luna16_datalist(
    dataset_dir: str | os.PathLike, section: str, validation_subsets: int | Collection[int] = (9,)
) -> list[dict[str, str]]:
    """`section_datalist` of LUNA16."""
    return section_datalist("luna16", dataset_dir, section, validation_subsets)


def gsp_datalist(dataset_dir: str | os.PathLike, section: str) -> list[dict[str, str]]:
    """`section_datalist` of GSP."""
    return section_datalist("gsp", dataset_dir, section)


def image_transforms(dataset_dir: str | os.PathLike, image_size: int, window: Sequence[int] = (-1024, 600)) -> Compose:
    """`Cubes` of CT, without a store."""
    return Cubes("ct", dataset_dir, image_size, window).transform


def t1_transforms(dataset_dir: str | os.PathLike, image_size: int, window: Sequence[float] = (0, 1000)) -> Compose:
    """`Cubes` of T1, without a store."""
    return Cubes("t1", dataset_dir, image_size, window).transform
