"""The command that takes patients of a dataset aside before any generator sees them."""

from __future__ import annotations

import shutil
from pathlib import Path

from tools.data.cases import Case, find_cases, recognise
from tools.datasets.record import Dataset
from tools.datasets.splitting import is_held_out
from tools.files import whole_folder
from tools.io.labelled_folder import DESCRIPTION, list_only
from tools.io.volume_reader import source_path

PARTS = ("training", "test")


def split(dataset_dir: str, output_dir: str, one_in: int = 4, copy: bool = False) -> None:
    """Divide a dataset by patients into two folders of the same layout, output_dir/training and output_dir/test.

    Who is in the test depends on a hash of the patient alone, so that more patients move none. Train generators on
    output_dir/training: of it they hold out some for their validation, as of any dataset.

    Args:
        dataset_dir: folder of a dataset that `python -m tools inspect_data` recognises.
        output_dir: new folder for both.
        one_in: share of patients in the test, one in so many.
        copy: True copies files; False links to them.
    """
    if isinstance(one_in, bool) or not isinstance(one_in, int) or one_in < 2:
        raise ValueError(f"one_in is {one_in!r}, expected a whole number from 2, such as 4")
    root, output = Path(dataset_dir).resolve(), Path(output_dir)
    if output.exists():
        raise FileExistsError(f"output_dir {output} is there already; choose a new folder")
    dataset = recognise(root)
    if dataset is None:
        raise ValueError(
            f"{root} is no dataset that is known, nor in the Decathlon's or nnU-Net's layout with a {DESCRIPTION}; "
            "only of these it is known whose images are whose"
        )
    cases = find_cases(dataset, root)
    parts = {part: [case for case in cases if is_held_out(case.subject, one_in) == (part == "test")] for part in PARTS}
    if not all(parts.values()):
        counts = ", ".join(f"{len(found)} cases in {part}" for part, found in parts.items())
        raise ValueError(f"{counts}, with one in {one_in}; expected some in both: choose another share")
    with whole_folder(output) as partial:
        for part, found in parts.items():
            _fill(partial / part, root, dataset, found, copy)
    for part, found in parts.items():
        print(f"{len(found)} cases of {len({case.subject for case in found})} patients are in {output / part}")


def _fill(folder: Path, root: Path, dataset: Dataset, cases: list[Case], copy: bool) -> None:
    """What belongs to some cases, and every table of the dataset."""
    folder.mkdir()
    for case in cases:
        for path in {source_path(path) for path in _paths(case)}:
            target = folder / Path(path).resolve().relative_to(root)
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                _put(Path(path).resolve(), target, copy)
    for table in (*root.glob("*.csv"), *root.glob("*.xls*"), *root.glob("*.json")):
        shutil.copy2(table, folder / table.name)
    kept = {case.id for case in cases}
    list_only(folder / DESCRIPTION, kept.__contains__)


def _paths(case: Case) -> list[str]:
    labels = [case.label] if isinstance(case.label, str) else []
    return [*case.images.values(), *labels, *case.own_labels.values()]


def _put(path: Path, target: Path, copy: bool) -> None:
    if not copy:
        target.symlink_to(path, target_is_directory=path.is_dir())
    elif path.is_dir():
        shutil.copytree(path, target)
    else:
        shutil.copy2(path, target)
    beside = path.with_suffix(".raw")
    if path.suffix == ".mhd" and beside.is_file():
        _put(beside, target.with_suffix(".raw"), copy)
