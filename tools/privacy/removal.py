"""A cohort without its suspects, as a new folder."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection
from pathlib import Path

from tools.files import whole_file, whole_folder
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
        _relist(partial / "dataset.json", names)
    return left_out


def _relist(path: Path, names: Collection[str]) -> None:
    """Leave cases out of the list of a `dataset.json`, where there is one."""
    if not path.is_file():
        return
    content = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(content.get("training"), list):
        content["training"] = [one for one in content["training"] if _name(one["label"]) not in names]
        content["numTraining"] = len(content["training"])
    with whole_file(path) as partial:
        partial.write_text(json.dumps(content, indent=1), encoding="utf-8")


def _name(path: str) -> str:
    name = path.rpartition("/")[2]
    return name[: -len(volume_suffix(name) or "") or None]
