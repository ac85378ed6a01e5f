"""A cohort without some of its cases, as a new folder."""

from __future__ import annotations

import csv
import os
import re
import shutil
from collections.abc import Collection
from pathlib import Path

from tools.files import whole_folder
from tools.io.labelled_folder import DESCRIPTION, list_only
from tools.io.readers import volume_suffix

CHANNEL = re.compile(r"_\d{4}$")
"""End of the id of one of several images of a case in nnU-Net's layout."""

TABLE, COHORT = "samples.csv", "cohort.json"
"""Files of a cohort that was generated: which member made which sample, and what was asked for, see
`tools.ensemble.generation`."""


def case_of(identifier: str) -> str:
    """The case that an image belongs to: its id without the number of the channel that nnU-Net writes."""
    return CHANNEL.sub("", identifier)


def copy_without(folder: str | os.PathLike, target: str | os.PathLike, cases: Collection[str]) -> int:
    """Copy a folder of synthetic images but for some cases: their images, label maps and folders of slices.

    A `dataset.json` and a `samples.csv` in the folder no longer list them. `cohort.json`, by which `generate` goes on
    with a cohort, stays behind.

    Args:
        folder: folder of the cohort.
        target: new folder, which is whole or not there at all.
        cases: ids of the cases to leave out, below the folder, as `case_of` gives them.

    Returns:
        Number of files that were left out.

    Raises:
        FileExistsError: the target is there already.
    """
    folder, target = Path(folder).resolve(), Path(target)
    if target.exists():
        raise FileExistsError(f"{target} is there already; choose a new folder for the cohort")
    paths = set(cases)
    names = {case.rpartition("/")[2] for case in paths}
    left_out = 0
    with whole_folder(target) as partial:
        for place, folders, files in os.walk(folder):
            folders[:] = [
                name for name in folders if not name.startswith(".") and Path(place, name) != target.resolve()
            ]
            below = Path(place).relative_to(folder)
            for file in files:
                relative = (below / file).as_posix()
                if relative == COHORT:
                    continue
                stem = relative[: -len(volume_suffix(file) or Path(file).suffix) or None]
                of_label = "labels" in below.as_posix().lower() and case_of(stem).rpartition("/")[2] in names
                if case_of(stem) in paths or of_label or any(relative.startswith(f"{case}/") for case in paths):
                    left_out += 1
                    continue
                (partial / below).mkdir(parents=True, exist_ok=True)
                shutil.copy2(Path(place) / file, partial / relative)
        list_only(partial / DESCRIPTION, lambda case: case not in names)
        _table_without(partial / TABLE, names)
    return left_out


def _table_without(path: Path, names: Collection[str]) -> None:
    """Leave the rows of some samples out of a table, if it is there and one of samples."""
    if not path.is_file():
        return
    with open(path, newline="", encoding="utf-8") as file:
        header, *rows = [*csv.reader(file)] or [[]]
    if "sample" not in header:
        return
    place = header.index("sample")
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *(row for row in rows if row[place] not in names)])
