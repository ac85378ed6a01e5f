"""Label maps of which images are made, one for each seed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tools.datasets.decathlon import DESCRIPTION, described
from tools.io.readers import VolumeError, volume_suffix


def labelled_scans(folder: str | os.PathLike, num_volumes: int, seed: int = 0, name: str = "synthetic") -> list[dict]:
    """Label maps with their images in turn, each with a seed of its own: items of `label_maps` with "image", a path.

    Args:
        folder: folder in the layout of nnU-Net or the Decathlon, `imagesTr` and `labelsTr`.
        num_volumes: number of volumes.
        seed: seed of the first.
        name: first part of the volumes' names.

    Raises:
        FileNotFoundError: there is no label map.
        VolumeError: a label map has no image, or several.
    """
    items = label_maps(folder, num_volumes, seed, name)
    for item in items:
        path = Path(item["label_map"])
        stem = path.name.removesuffix(volume_suffix(path.name))
        images = [
            other
            for other in (path.parents[1] / "imagesTr").glob(f"{stem}*")
            if other.name.removesuffix(volume_suffix(other.name) or "") in (stem, f"{stem}_0000")
        ]
        if len(images) != 1:
            wanted = f"imagesTr/{stem}_0000{volume_suffix(path.name)}"
            raise VolumeError.of(path, f"expected one image of it, {wanted}, found {len(images)}")
        item["image"] = str(images[0])
    return items


def label_maps(folder: str | os.PathLike, num_volumes: int, seed: int = 0, name: str = "synthetic") -> list[dict]:
    """MONAI datalist of label maps in turn, each with a seed of its own.

    Args:
        folder: folder of label maps, or one in the layout of nnU-Net or the Decathlon, with `labelsTr` and
            `dataset.json`, which says the values of the classes; without it they are those of the training.
        num_volumes: number of volumes; where there are fewer maps they come again, with other seeds.
        seed: seed of the first.
        name: first part of the volumes' names.

    Returns:
        ``[{"label_map": path, "seed", "name"}, ...]``, also with "label_values", {class: value}, where a
        `dataset.json` says them.

    Raises:
        FileNotFoundError: there is no such folder, or no label map in it.
        ValueError: its `dataset.json` is none of the Decathlon or nnU-Net.
    """
    root = Path(folder)
    place = root / "labelsTr" if (root / "labelsTr").is_dir() else root
    files = sorted(path for path in place.glob("[!.]*") if volume_suffix(path.name)) if place.is_dir() else []
    if not files:
        raise FileNotFoundError(
            f"there is no label map in {place.absolute()}; give a folder of them with --dataset_dir, NIfTI for "
            "instance, or one as nnU-Net has it, with labelsTr and dataset.json"
        )
    more: dict[str, Any] = {}
    if (root / DESCRIPTION).is_file():
        labels = described(root).labels
        more = {"label_values": dict(labels.classes)} if labels else {}
    chosen = [(files[number % len(files)], number) for number in range(num_volumes)]
    return [
        {
            "label_map": str(path),
            "seed": seed + number,
            "name": f"{name}_{path.name.removesuffix(volume_suffix(path.name))}_seed{seed + number:05d}",
            **more,
        }
        for path, number in chosen
    ]
