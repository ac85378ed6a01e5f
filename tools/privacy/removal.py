"""A cohort without its suspects, as a new folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from pathlib import Path

from tools.files import whole_folder
from tools.io.labelled_folder import DESCRIPTION, list_only
from tools.io.readers import volume_suffix
from tools.privacy.images import case_of


def copy_without(folder: str | os.PathLike, target: str | os.PathLike, cases: Collection[str]) -> int:
    """Copy a folder of synthetic images but for some cases: their images, label maps and folders of slices.

    A `dataset.json` in the folder no longer lists them.

    Args:
        folder: folder of the cohort.
        target: new folder, which is whole or not there at all.
        cases: ids of the cases to leave out, below the folder, as `tools.privacy.images.case_of` gives them.

    Returns:
        Number of files that were left out.

    Raises:
        FileExistsError: the target is there already.
    """
    folder, target = Path(folder).resolve(), Path(target)
    if target.exists():
        raise FileExistsError(f"{target} is there already; choose a new folder for the cohort without its suspects")
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
                stem = relative[: -len(volume_suffix(file) or Path(file).suffix) or None]
                of_label = "labels" in below.as_posix().lower() and case_of(stem).rpartition("/")[2] in names
                if case_of(stem) in paths or of_label or any(relative.startswith(f"{case}/") for case in paths):
                    left_out += 1
                    continue
                (partial / below).mkdir(parents=True, exist_ok=True)
                shutil.copy2(Path(place) / file, partial / relative)
        list_only(partial / DESCRIPTION, lambda case: case not in names)
    return left_out
