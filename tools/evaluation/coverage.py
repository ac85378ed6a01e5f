"""The command that shows what more members of an ensemble bring: coverage of the real images by one, two, three."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tools.data.image_sets import ImageFile, find_images, pictures_apart
from tools.data.sample_folder import find_samples
from tools.data.sample_store import whole_volumes
from tools.ensemble.generation import Sample, write_cohort
from tools.ensemble.members import members_of, shares
from tools.evaluation.measuring import Measuring, cache_folder, measured
from tools.evaluation.page import csv_text, write_text
from tools.evaluation.sets import LeftOut, check_sizes, sizes_of, value_range
from tools.evaluation.summary import SetSummary
from tools.evaluation.units import common_unit
from tools.features.space import FeatureSpace
from tools.io.nifti import write_nifti
from tools.io.readers import VolumeError
from tools.metrics.neighbours import density_coverage, precision_recall
from tools.options import listed
from tools.transforms.flat import is_flat

SCORES = ("precision", "recall", "density", "coverage")

COLUMNS = ("space", "members", "images", "score", "mean", "lowest", "highest", "choices")


def coverage(
    bundles: str | Sequence[str],
    real: str,
    output_dir: str,
    count: int | None = None,
    features: str | Sequence[str] | None = None,
    weights: str | None = None,
    window: Sequence[float] | None = None,
    image_size: int | None = None,
    processes: int = 1,
    device: str | None = None,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
    grid: Sequence[int] | None = None,
) -> None:
    """Measure how much of the real images one, two and more members of an ensemble cover: coverage.csv and a table.

    As many images are taken each time, in equal shares of the members, so that what changes is who made them. Where
    some of the members are taken, every choice of so many is measured, and the mean of these shown with the lowest and
    the highest. Precision and recall are those of Kynkaanniemi (2019), density and coverage of Naeem (2020), with k of
    3 and 5.

    Args:
        bundles: members, or the folder of an ensemble, as for `generate`.
        real: folder of real images.
        output_dir: folder for the table and for the images that are made.
        count: number of images of each choice of members; as many as there are real ones without it.
        features: feature spaces, as for `evaluate`; untrained, or untrained-slices of 2D images, without it.
        weights: file or folder of the weights of those that need them.
        window: LOW,HIGH, the values to tell apart, as for `evaluate`.
        image_size: voxels a side to which all are resampled first.
        processes: number of processes that read and measure images at the same time.
        device: device on which features are computed; a GPU if there is one.
        seed: random seed of untrained networks.
        options: other ids of the bundles' inference.json, such as "{'steps': 20}".
        grid: slices, rows and columns on which images with label maps, real ones and those that are made, are read
            first, with the grey values that training and `usefulness` see, such as 24,32,24: for scans that are not
            as large as samples are.
    """
    members = members_of(listed(bundles))
    folder, work_dir = Path(output_dir) / "generated", Path(output_dir) / "on_grid"
    sources = {"real": str(real), "synthetic": str(folder)}
    if grid is not None:
        sources["real"] = put_on_grid("real", real, grid, work_dir / "real", window)
    files = {"real": pictures_apart(find_images(sources["real"]), sources["real"])}
    number = count or len(files["real"])
    samples = write_cohort(members, number * len(members), folder, options=options)
    if grid is not None:
        sources["synthetic"] = put_on_grid("synthetic", folder, grid, work_dir / "synthetic", window)
        window = (-1, 1)
    files["synthetic"] = pictures_apart(find_images(sources["synthetic"]), sources["synthetic"])
    caches = {name: cache_folder(of, None) for name, of in sources.items()}
    left_out = LeftOut()
    sizes = {name: sizes_of(name, of, left_out) for name, of in files.items()}
    if image_size is None:
        check_sizes(sizes)
    ranges = {name: value_range(name, list(of), left_out) for name, of in sizes.items()}
    unit = common_unit({name: of for name, of in ranges.items() if of is not None}, window)
    flat = all(is_flat(shape) for of in sizes.values() for shape in of.values())
    names = tuple(listed(features or ("untrained-slices" if flat else "untrained")))
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    measuring = Measuring(unit, image_size, None, names, weights, seed, device, flat)
    spaces = measuring.make_spaces()
    sets = {name: _summary(name, of, measuring, spaces, caches[name], processes) for name, of in files.items()}
    made_by = [_sample_of(file.id, samples) for file in files["synthetic"]]
    rows = [row for space in spaces for row in _rows(space, sets, made_by, len(members), number)]
    table = ([f"{v:.6f}" if isinstance(v, float) else v for v in row.values()] for row in rows)
    write_text(Path(output_dir) / "coverage.csv", csv_text(COLUMNS, table))
    print(_table(rows))
    print(Path(output_dir) / "coverage.csv")


def put_on_grid(
    name: str, folder: str | os.PathLike, grid: Sequence[int], output_dir: Path, window: Sequence[float] | None = None
) -> str:
    """Write the images of a labelled folder as training sees them: resized, grey values in [-1, 1], one file each.

    Args:
        name: name of the set, for messages.
        folder: folder of images with label maps, in any of the layouts that `find_samples` knows.
        grid: slices, rows and columns.
        output_dir: folder for them, made if need be.
        window: lowest and highest HU of CT.

    Returns:
        The folder, as text.

    Raises:
        ValueError: a grid that is none.
        VolumeError: no image can be used.
    """
    size = tuple(grid)
    if len(size) != 3 or any(isinstance(n, bool) or not isinstance(n, int) or n < 1 for n in size):
        raise ValueError(f"grid is {grid!r}, expected slices, rows and columns, such as 24,32,24")
    found = find_samples(Path(folder), window=window)
    output_dir.mkdir(parents=True, exist_ok=True)
    for item, _, arrays in whole_volumes(name, found, size, 0):
        id_ = str(item["id"]).replace("/", "_")
        for channel, image in enumerate(np.array(arrays[0], np.float32).swapaxes(0, 1)):  # [D, images, H, W]
            write_nifti(output_dir / f"{id_}_{channel:04d}.nii.gz", image.transpose(2, 1, 0), np.eye(4))
    return str(output_dir)


def _summary(
    name: str,
    files: Sequence[ImageFile],
    measuring: Measuring,
    spaces: Sequence[FeatureSpace],
    cache_dir: Path | None,
    processes: int,
) -> SetSummary:
    found = SetSummary(name, [file.id for file in files], measuring.seed)
    for file, one in zip(files, measured(files, measuring, spaces, cache_dir, processes, name), strict=True):
        if isinstance(one, VolumeError):
            raise VolumeError(f"{file.path} ({name}) cannot be measured: {one}")
        found.add(one)
    return found


def _sample_of(image: str, samples: Sequence[Sample]) -> Sample:
    """The sample that an image is of; its name may end with the number of its channel."""
    known = {sample.sample: sample for sample in samples}
    name = image.rpartition("/")[2]
    return known[name] if name in known else known[name.rpartition("_")[0]]


def _rows(
    space: FeatureSpace, sets: Mapping[str, SetSummary], made_by: Sequence[Sample], members: int, count: int
) -> list[dict[str, Any]]:
    """Scores of every number of members.

    Args:
        space: feature space.
        sets: summaries of "real" and of "synthetic".
        made_by: sample of each synthetic image.
        members: number of members, of which each has made ``count`` samples.
        count: number of samples that are taken.
    """
    real = sets["real"].features(space.name)
    normalise = space.normaliser(real)
    real, rows = (np.asarray(normalise(of)) for of in (real, sets["synthetic"].features(space.name)))
    groups = sets["synthetic"].groups(space.name)
    seeds = [sorted({one.seed for one in made_by if one.member == k}) for k in range(1, members + 1)]
    found = []
    for size in range(1, members + 1):
        scores = []
        for chosen in combinations(range(members), size):
            taken = {seed for k, share in zip(chosen, shares(count, size), strict=True) for seed in seeds[k][:share]}
            part = rows[np.isin(groups, [i for i, one in enumerate(made_by) if one.seed in taken])]
            scores.append(precision_recall(real, part, 3)._asdict() | density_coverage(real, part, 5)._asdict())
        for score in SCORES:
            values = [one[score] for one in scores]
            row = (space.name, size, count, score, float(np.mean(values)), min(values), max(values), len(values))
            found.append(dict(zip(COLUMNS, row, strict=True)))
    return found


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    """One line for each number of members."""
    width = 26
    lines = []
    for space in dict.fromkeys(row["space"] for row in rows):
        lines.append(f"{space}, {rows[0]['images']} images each time: mean (lowest to highest over choices of members)")
        lines.append("members  " + "".join(f"{score:<{width}}" for score in SCORES).rstrip())
        for size in dict.fromkeys(row["members"] for row in rows):
            of = {row["score"]: row for row in rows if (row["space"], row["members"]) == (space, size)}
            cells = [f"{of[s]['mean']:.3f} ({of[s]['lowest']:.3f} to {of[s]['highest']:.3f})" for s in SCORES]
            lines.append(f"{size:<9}" + "".join(f"{cell:<{width}}" for cell in cells).rstrip())
    return "\n".join(lines)
