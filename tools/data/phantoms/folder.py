"""A folder of phantoms: settings in, all of it or nothing out, whatever the anatomy and the layout."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from itertools import count as count_from
from itertools import islice
from pathlib import Path
from typing import Any

from tools.datasets.splitting import is_held_out
from tools.files import whole_folder

AFFECTED = {"none": 0, "half": 2, "all": 1}
"""Choice of which phantoms are ill -> one in this many; 0 for none of them."""


def write_folder(output_dir: str | Path, settings: dict[str, Any], write: Callable[[Path], list[dict]]) -> Path:
    """Have ``write`` fill ``output_dir``, or return at once if it was filled with these settings already.

    The folder appears only when it is complete, so several processes may ask for it at the same time: each gets it.
    Beside what ``write`` puts there it holds ``phantom.json``, the settings and the list of volumes that ``write``
    returned, and ``labels.csv``, each volume's "id" and "label".

    Raises:
        FileExistsError: ``output_dir`` holds phantoms with other settings, or anything else.
    """
    output_dir = Path(output_dir)
    if _is_written(output_dir, settings):
        return output_dir
    try:
        with whole_folder(output_dir) as unfinished:
            volumes = write(unfinished)
            write_csv(unfinished / "labels.csv", ["id", "label"], [[v["id"], v["label"]] for v in volumes])
            (unfinished / "phantom.json").write_text(json.dumps({**settings, "volumes": volumes}, indent=2) + "\n")
    except OSError:
        # another process was faster; it wrote the same bytes, or _is_written says what else it was
        if not _is_written(output_dir, settings):
            raise
    return output_dir


def checked_settings(
    anatomy: str, version: int, count: int, seed: int, shape: Sequence[int], **affected: str
) -> dict[str, Any]:
    """The settings that decide on every byte, as ``phantom.json`` records them.

    Args:
        anatomy: part of the body.
        version: version of the code that draws it.
        count: number of volumes, at least 2.
        seed: non-negative.
        shape: slices, rows and columns, 16 or more each.
        affected: name of a disease, and the choice in ``AFFECTED`` of who has it.

    Raises:
        ValueError: a setting is out of range.
    """
    shape = [int(n) for n in shape]
    if count < 2:
        raise ValueError(f"count must be at least 2, one volume to train on and one to validate; got {count}")
    if seed < 0:
        raise ValueError(f"seed must not be negative; got {seed}")
    if len(shape) != 3 or min(shape) < 16:
        raise ValueError(f"shape must be slices, rows and columns, 16 or more each; got {shape}")
    for disease, choice in affected.items():
        if choice not in AFFECTED:
            raise ValueError(f"{disease} must be one of {', '.join(AFFECTED)}; got {choice!r}")
    settings = {"anatomy": anatomy, "version": version, "count": int(count), "seed": int(seed), "shape": shape}
    return {**settings, **affected}


def is_affected(choice: str, index: int) -> bool:
    """Return whether phantom number ``index`` is ill."""
    every = AFFECTED[choice]
    return every > 0 and index % every == every - 1


def held_out(count: int) -> int:
    """Return how many of ``count`` phantoms are for validation: a tenth, and not too few."""
    fewest = 4 if count >= 20 else 2 if count >= 4 else 1  # distances between sets need two volumes of each
    return max(fewest, round(count / 10))


def numbered(count: int, name: Callable[[int], str], first: int = 1) -> list[tuple[int, int, bool]]:
    """Each of ``count`` phantoms: its number, its place among those on the same side of the split, and whether it is
    for validation, by the hash of what ``name`` makes of the number.

    On each side these are the first numbers that the split puts there, so more phantoms leave the others as they are.
    """
    validation = held_out(count)

    def on(side: bool) -> Iterator[int]:
        return (n for n in count_from(first) if is_held_out(name(n), one_in=10) == side)

    sides = [
        (number, place, side)
        for side, size in ((False, count - validation), (True, validation))
        for place, number in enumerate(islice(on(side), size))
    ]
    return sorted(sides)


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence]) -> None:
    """A table with a line of names above it."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _is_written(output_dir: Path, settings: dict[str, Any]) -> bool:
    """Return whether the folder is there with these settings; an error if something else is in its place."""
    if not output_dir.exists():
        return False
    record = output_dir / "phantom.json"
    if not record.is_file():
        if output_dir.is_dir() and not any(output_dir.iterdir()):
            return False
        raise FileExistsError(
            f"{output_dir} exists but is no folder of phantoms (it has no phantom.json); choose another folder"
        )
    found = json.loads(record.read_text())
    different = [
        f"{key} is {found.get(key)!r} there, {value!r} is asked for"
        for key, value in settings.items()
        if found.get(key) != value
    ]
    if different:
        raise FileExistsError(
            f"{output_dir} holds phantoms with other settings: {'; '.join(different)}. "
            "Choose another folder, or delete this one."
        )
    return True
