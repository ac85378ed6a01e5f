"""Nodules of LUNA16, each as an item of its own, and scans into which nodules are to be painted."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tools.data.cases import case_datalist
from tools.data.preprocessed import finished_info
from tools.data.synthetic import seed_datalist
from tools.data.volumes import volume_datalist
from tools.datasets.luna16 import LUNA16, annotations, read_annotations
from tools.io import left_out
from tools.io.readers import VolumeError
from tools.io.volume_reader import volume_header


def nodule_datalist(
    folder: str | os.PathLike, section: str, validation_folds: Collection[int] | None = None
) -> list[dict[str, Any]]:
    """Datalist of the nodules in LUNA16's `annotations.csv`, split as its scans are, for `nodule_crops`.

    Args:
        folder: folder of LUNA16, or of phantoms in its layout, with the table in it or below.
        section: "training" or "validation".
        validation_folds: numbers of the subsets for validation; 9 if None.

    Returns:
        ``[{"id": series and number of the nodule, "subject": series, "image": [path], "centre": [x, y, z] in mm of RAS,
        "centre_voxels": the same as index along the file's axes, "diameter": mm, "label": all nodules of the scan,
        ...}, ...]``; the rest is as `case_datalist` has it.

    Raises:
        FileNotFoundError: there is no such folder, or no scan of LUNA16 in it.
        VolumeError: the folder is preprocessed, no scan of the section can be used, or there is no table, or no nodule
            in them.
        ValueError: ``section`` is neither, or the table is damaged.
    """
    if finished_info(folder) is not None:
        raise VolumeError.of(folder, "it is preprocessed; cubes around nodules are cut out of the original dataset")
    scans = case_datalist(LUNA16, folder, section, labelled=True, validation_folds=validation_folds)
    found = []
    for scan in scans:
        to_voxels = np.linalg.inv(volume_header(scan["image"][0]).affine)
        for number, (*centre, diameter) in enumerate(scan["label"], start=1):
            place = {"centre": centre, "centre_voxels": (to_voxels @ [*centre, 1])[:3].tolist(), "diameter": diameter}
            found.append(scan | {"id": f"{scan['id']}_{number}"} | place)
    if not found:
        raise VolumeError.of(folder, f"none of the {len(scans)} scans for {section} has a nodule in its table")
    return found


def paintable(nodules: Sequence[dict[str, Any]], size: int, spacing: float, margins: Sequence[float]) -> list[dict]:
    """Those nodules that a crop shows with the margin of a hole around them; a warning names the others.

    Args:
        nodules: items of `nodule_datalist`.
        size: voxels a side of a crop.
        spacing: side of a voxel in mm.
        margins: least and greatest margin in mm.

    Raises:
        VolumeError: all are too large.
    """
    largest = (size - 1) * spacing - 2 * max(margins)
    found = [item for item in nodules if item["diameter"] <= largest]
    large = {
        item["id"]: f"{item['diameter']:.1f} mm do not fit with a margin into a crop of {size * spacing:g} mm"
        for item in nodules
        if item["diameter"] > largest
    }
    if nodules and not found:
        raise VolumeError(f"none of {len(large)} nodules fits into a crop:\n{left_out.listed(large)}")
    if large:
        left_out.warn_of("the table of nodules", large, len(nodules), "nodules", stacklevel=2)
    return found


def diameter_range(nodules: Sequence[dict[str, Any]]) -> list[float]:
    """Least and greatest diameter of nodules in mm, to a tenth."""
    diameters = [item["diameter"] for item in nodules]
    return [round(min(diameters), 1), round(max(diameters), 1)]


def chest_scans(folder: str | os.PathLike) -> list[dict[str, Any]]:
    """Every chest CT in a folder, LUNA16's or any, with the nodules that an `annotations.csv` in it tells of.

    Returns:
        ``[{"id": name, "image": path, "known": [(x, y, z, diameter), ...] in mm of RAS}, ...]``.

    Raises:
        ValueError: the table is damaged.
        FileNotFoundError: there is no such folder, or no volume in it.
        VolumeError: no volume can be used.
    """
    spheres = annotations(Path(folder)) or {}
    return [item | {"known": spheres.get(item["id"], [])} for item in volume_datalist(folder)]


def seeded_nodules(
    scans: Sequence[dict[str, Any]], num_volumes: int, seed: int, diameters: Sequence[float], name: str = "synthetic"
) -> list[dict[str, Any]]:
    """One nodule for each seed, in a scan and of a diameter that follow from it: items for `CutNodulesd`.

    Args:
        scans: scans, see `chest_scans`; which of them it is depends on how many there are.
        num_volumes: number of nodules.
        seed: seed of the first.
        diameters: least and greatest diameter in mm; between them their logarithm is uniform.
        name: first part of the samples' names.
    """
    items = seed_datalist(num_volumes, seed, name=name)
    for item in items:
        rng = np.random.default_rng([0, item["seed"]])
        item |= scans[int(rng.integers(len(scans)))] | {"diameters": _drawn(rng, 1, diameters)}
    return items


def scans_to_paint(
    scans: Sequence[dict[str, Any]],
    num_volumes: int | None = None,
    seed: int = 0,
    nodules: int = 2,
    diameters: Sequence[float] = (4.0, 20.0),
    places: str | os.PathLike | None = None,
) -> list[dict[str, Any]]:
    """Whole scans with the nodules that are to be painted into them: items for `CutNodulesd`.

    Args:
        scans: scans, see `chest_scans`.
        num_volumes: number of scans, the first; None takes all.
        seed: seed of the first scan's nodules; the others have the following ones.
        nodules: number of nodules of a scan, where no places are given.
        diameters: least and greatest diameter in mm; between them their logarithm is uniform.
        places: table in the form of LUNA16's `annotations.csv`: where to paint which nodules. Scans that it does not
            name are left out.

    Raises:
        ValueError: the table is damaged, or names none of the scans; or the number of scans or nodules is not positive.
    """
    if nodules < 1 or (num_volumes is not None and num_volumes < 1):
        raise ValueError(f"expected one scan and one nodule or more, got {num_volumes} and {nodules}")
    given = None if places is None else read_annotations(Path(places))
    chosen = [scan for scan in scans if given is None or scan["id"] in given][:num_volumes]
    if not chosen:
        raise ValueError(f"{places} names none of the {len(scans)} scans, for instance {scans[0]['id']}")
    items = []
    for number, scan in enumerate(chosen, start=seed):
        rng = np.random.default_rng([0, number])
        asked = {"diameters": _drawn(rng, nodules, diameters)} if given is None else {"places": given[scan["id"]]}
        items.append(scan | asked | {"seed": number, "name": f"{scan['id']}_seed{number:05d}"})
    return items


def scans_to_inpaint(
    scans: Sequence[dict[str, Any]],
    num_volumes: int,
    seed: int = 0,
    diameters: Sequence[float] = (4.0, 20.0),
    num_classes: int = 0,
    class_label: int | None = None,
) -> list[dict[str, Any]]:
    """Whole scans of which one sphere each is to be made anew: items for `CutSphered`.

    Args:
        scans: scans, see `chest_scans`.
        num_volumes: number of scans, the first.
        seed: seed of the first scan's sphere; the others have the following ones.
        diameters: least and greatest diameter in mm; between them their logarithm is uniform.
        num_classes: number of classes of the network.
        class_label: class of all scans; None takes it from the seed, as `seed_datalist` does.

    Raises:
        ValueError: arguments that `scans_to_paint` or `seed_datalist` refuse.
    """
    asked = seed_datalist(num_volumes, seed, num_classes, class_label)
    items = scans_to_paint(scans, num_volumes, seed, 1, diameters)
    of_class = [{"label": one["label"]} if "label" in one else {} for one in asked]
    return [item | one for item, one in zip(items, of_class, strict=False)]


def _drawn(rng: np.random.Generator, number: int, diameters: Sequence[float]) -> list[float]:
    low, high = diameters
    if not 0 < low <= high:
        raise ValueError(f"diameters are {list(diameters)}, expected two in mm above 0, the smaller first")
    return np.exp(rng.uniform(np.log(low), np.log(high), number)).tolist()
