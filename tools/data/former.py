"""Functions of version 0.1.0 that one function does now; they go with the next version, see `tools.former`."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence

from monai.transforms import Compose

from tools.data.cubes import Cubes
from tools.data.volumes import section_datalist


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
