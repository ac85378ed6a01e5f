"""The command that looks for the borders of slabs in volumes that were made, or learnt, slab by slab."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy.stats import bootstrap
from tqdm import tqdm

from tools.data.image_sets import ImageFile, find_images, pictures_apart, read_image
from tools.files import whole_file
from tools.io.left_out import warn_of
from tools.io.readers import VolumeError
from tools.metrics.consistency import BorderChange, border_change
from tools.options import listed

RESAMPLES = 2000

COLUMNS = ("folder", "volume", "slices", "slab", "start", "border", "inside", "ratio")


def continuity(
    folders: str | Sequence[str], slab: int | str | Sequence[int] = 8, output: str | None = None, seed: int = 0
) -> None:
    """Look for borders of slabs in volumes: do neighbouring slices differ more across them than within slabs?

    For each folder the mean absolute difference across borders is said, as a multiple of that within the slabs which
    meet there: 1 where nothing is to be seen of them. Slabs begin with the first axial slice, at the feet. The same is
    measured with slabs that begin elsewhere: what borders have should stick out from that, as anatomy does not know of
    slabs. What goes up and down with it has another source, such as upsampling by two or four. Give real volumes of as
    many slices too, such as those that `preprocess` writes.

    Args:
        folders: folders of volumes, separated by commas.
        slab: number of axial slices of a slab, or several such as 8,4. CRF-GAN and HA-GAN learn slabs of an eighth of a
            volume, and a slice of their embedding stands for four.
        output: CSV file with every volume, and every start of slabs.
        seed: random seed of the intervals.
    """
    slabs = _slabs(slab)
    rows: list[dict] = []
    for folder in listed(folders):
        files, unread = pictures_apart(find_images(folder), folder), {}
        found: dict[int, list[list[BorderChange]]] = {one: [] for one in slabs}
        for file in tqdm(files, desc=folder, unit="volume", disable=None):
            try:
                volume = _volume(file, max(slabs))
            except VolumeError as error:
                unread[file.id] = error.reason
                continue
            for one in slabs:
                changes = [border_change(volume, one, start) for start in range(one)]
                found[one].append(changes)
                where = {"folder": folder, "volume": file.id, "slices": len(volume), "slab": one}
                rows += [where | _row(start, change) for start, change in enumerate(changes)]
        if unread:
            warn_of(folder, unread, len(files))
        _print(folder, found, seed)
    if not rows:
        raise ValueError(f"none of the volumes of {folders} can be used")
    if output is not None:
        with whole_file(Path(output)) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            table.writeheader()
            table.writerows(rows)


def _slabs(given: int | str | Sequence[int]) -> list[int]:
    words = [str(given)] if isinstance(given, int) else listed(given)
    if isinstance(given, bool) or not words or not all(word.isdigit() and int(word) >= 2 for word in words):
        raise ValueError(f"slab is {given!r}, expected whole numbers of slices from 2, such as 8 or 8,4")
    return [int(word) for word in dict.fromkeys(words)]


def _volume(file: ImageFile, slab: int) -> np.ndarray:
    """A volume of three whole slabs or more, so that some lie between others wherever slabs begin."""
    volume, _ = read_image(file)
    if not np.isfinite(volume).all():
        raise VolumeError.of(file.path, "it holds values that are no numbers (NaN)")
    if len(volume) < 3 * slab:
        raise VolumeError.of(file.path, f"it has {len(volume)} axial slices, fewer than three slabs of {slab}")
    return volume


def _row(start: int, change: BorderChange) -> dict[str, str | int]:
    return {"start": start} | {name: f"{getattr(change, name):.6g}" for name in ("border", "inside", "ratio")}


def _print(folder: str, found: Mapping[int, Sequence[Sequence[BorderChange]]], seed: int) -> None:
    """What came out of a folder, in words."""
    print(f"{folder}: {len(next(iter(found.values())))} volumes")
    for slab, volumes in found.items():
        if not volumes:
            continue
        ratios = np.array([[change.ratio for change in changes] for changes in volumes])  # [volumes, starts]
        means = ratios.mean(0)
        inside = np.mean([changes[0].inside for changes in volumes])
        later = "1 slice" if slab == 2 else f"1 to {slab - 1} slices"
        print(f"  slabs of {slab}: across borders {means[0]:.3f}{_interval(ratios[:, 0], seed)} of within them")
        print(f"    with slabs that begin {later} later {' '.join(f'{value:.3f}' for value in means[1:])}")
        print(f"    within slabs neighbouring slices differ by {inside:.4g}")


def _interval(values: np.ndarray, seed: int) -> str:
    """95 percent interval of a mean over volumes, in words; nothing of fewer than three."""
    if len(values) < 3 or not np.isfinite(values).all() or np.ptp(values) == 0:
        return ""
    rng = np.random.default_rng(seed)
    low, high = bootstrap((values,), np.mean, n_resamples=RESAMPLES, method="percentile", rng=rng).confidence_interval
    return f" ({low:.3f} to {high:.3f})"
