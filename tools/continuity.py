"""The command that looks for the borders of slabs in volumes that were made, or learnt, slab by slab."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import bootstrap
from tqdm import tqdm

from tools.data.image_sets import ImageFile, find_images, pictures_apart, read_image
from tools.evaluation.page import csv_text, write_text
from tools.io.left_out import warn_of
from tools.io.readers import VolumeError
from tools.metrics.consistency import BorderChange, border_change
from tools.options import listed

RESAMPLES = 2000

COLUMNS = ("folder", "volumes", "slab", "start", "ratio", "low", "high", "border", "inside")


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
        output: CSV file with the means over each folder's volumes, and their 95 percent intervals, by start of slabs.
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
                found[one].append([border_change(volume, one, start) for start in range(one)])
        if unread:
            warn_of(folder, unread, len(files))
        if len(unread) == len(files):
            raise VolumeError(f"none of the {len(files)} volumes in {folder} can be used")
        print(f"{folder}: {len(files) - len(unread)} volumes")
        for one, volumes in found.items():
            of_starts = [_row(folder, one, start, of, seed) for start, of in enumerate(zip(*volumes, strict=True))]
            print(_words(of_starts))
            rows += of_starts
    if output is not None:
        table = ([f"{v:.6g}" if isinstance(v, float) else v for v in row.values()] for row in rows)
        write_text(output, csv_text(COLUMNS, table))


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


def _row(folder: str, slab: int, start: int, changes: Sequence[BorderChange], seed: int) -> dict[str, Any]:
    """Means over the volumes of a folder; an interval where three or more differ."""
    ratios = np.array([change.ratio for change in changes])
    low = high = None
    if len(ratios) >= 3 and np.isfinite(ratios).all() and np.ptp(ratios) > 0:
        rng = np.random.default_rng(seed)
        found = bootstrap((ratios,), np.mean, n_resamples=RESAMPLES, method="percentile", rng=rng).confidence_interval
        low, high = float(found.low), float(found.high)
    border, inside = (float(np.mean([getattr(change, name) for change in changes])) for name in ("border", "inside"))
    values = (folder, len(changes), slab, start, float(ratios.mean()), low, high, border, inside)
    return dict(zip(COLUMNS, values, strict=True))


def _words(rows: Sequence[Mapping[str, Any]]) -> str:
    """What came out for slabs of one length, by their starts."""
    first, *others = rows
    interval = "" if first["low"] is None else f" ({first['low']:.3f} to {first['high']:.3f})"
    later = "1 slice" if len(others) == 1 else f"1 to {len(others)} slices"
    ratios = " ".join(f"{row['ratio']:.3f}" for row in others)
    return (
        f"  slabs of {first['slab']}: across borders {first['ratio']:.3f}{interval} of within them\n"
        f"    with slabs that begin {later} later {ratios}\n"
        f"    within slabs neighbouring slices differ by {first['inside']:.4g}"
    )
