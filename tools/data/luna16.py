"""LUNA16 (Setio et al. 2017) as published, folders of CT volumes of one's own, and either after `preprocess`."""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from tools.data.preprocessed import preprocessed_info
from tools.data.readers import SUFFIXES, VolumeError, read_header, volume_suffix


@dataclass(frozen=True)
class Volume:
    """A file that may hold a volume.

    Attributes:
        id: its name without suffix; in LUNA16 the SeriesInstanceUID.
        path: where it is.
        subset: n if it lies in a folder `subset<n>`, else None.
    """

    id: str
    path: Path
    subset: int | None


def luna16_datalist(
    dataset_dir: str | os.PathLike, section: str, validation_subsets: int | Collection[int] = (9,)
) -> list[dict[str, str]]:
    """MONAI datalist of one section of a dataset: `[{"image": path, "id": id}, ...]`, sorted by id.

    Reads LUNA16 as published (`subset0` to `subset9`, each with `<uid>.mhd` and `.raw` or `.zraw`), a folder of one's
    own (.mhd, .mha, .nii, .nii.gz, in subfolders too), and what `python -m tools preprocess` made of either.

    Whether a volume is for validation depends on that volume alone, so that adding one never moves another: by its
    subset in LUNA16 (the default, subset 9, gives the paper's 800 and 88 volumes), elsewhere by a hash of its id (one
    in ten). If fewer than two are, as happens in small folders, all volumes are validated on, with a warning.

    Volumes whose header or file size is wrong are left out with a warning that names them.

    Args:
        dataset_dir: the folder.
        section: "training" or "validation".
        validation_subsets: number or numbers of the subsets for validation.

    Raises:
        FileNotFoundError: there is no such folder, or no volume in it.
        VolumeError: no volume of the section can be used, or two have the same id.
        ValueError: `section` is neither, or nothing is left to train on.
    """
    if section not in ("training", "validation"):
        raise ValueError(f"section is {section!r}, expected 'training' or 'validation'")
    subsets = {validation_subsets} if isinstance(validation_subsets, int) else set(validation_subsets)
    volumes = find_volumes(dataset_dir)
    validation = [v for v in volumes if _is_validation(v, subsets)]
    training = [v for v in volumes if not _is_validation(v, subsets)]
    how = f"validation_subsets, now {sorted(subsets)}, chooses the numbered subset folders that are for validation"
    if not training:
        raise ValueError(
            f"{dataset_dir}: all {len(volumes)} volumes are for validation, none is left for training; {how}"
        )
    if section == "validation" and len(validation) < 2:
        # a distance between distributions needs two volumes of each
        warnings.warn(
            f"{dataset_dir}: {len(validation) or 'none'} of the {len(volumes)} volumes is for validation, which needs "
            "2, so validation uses the training volumes too and says nothing about volumes that were not trained on; "
            f"{how}; in other folders it is one volume in ten, by a hash of its name",
            stacklevel=2,
        )
        validation = volumes
    chosen = usable_volumes(training if section == "training" else validation, dataset_dir)
    return [{"image": str(v.path), "id": v.id} for v in chosen]


def find_volumes(dataset_dir: str | os.PathLike) -> list[Volume]:
    """Every file below `dataset_dir` that is named as a volume, sorted by id.

    Hidden files and folders are skipped, and so is `seg-lungs-LUNA16`, which is published beside the subsets: lung
    masks that have the names of the volumes.

    Raises:
        FileNotFoundError: there is no such folder, or nothing in it.
        VolumeError: two volumes have the same id, or the folder is the output of a `preprocess` that has not finished.
    """
    root = Path(dataset_dir)
    layouts = f"subset0 to subset9 with .mhd files as LUNA16 is published, or any folders with {', '.join(SUFFIXES)}"
    if not root.is_dir():
        raise FileNotFoundError(f"there is no folder {root.absolute()}; looked for a dataset there: {layouts}")
    info = preprocessed_info(root)
    if info is None:
        paths: Iterable[Path] = _volume_files(root)
    elif info["complete"]:
        paths = [root / volume["image"] for volume in info["volumes"].values()]
    else:
        raise VolumeError.of(
            root,
            f"its preprocessing was interrupted, {len(info['volumes'])} volumes are ready; run the command again to "
            f"finish it: python -m tools preprocess --dataset_dir <original> --output_dir {root} "
            f"--image_size {info['image_size']}",
        )
    volumes: dict[str, Volume] = {}
    for path in paths:
        identifier = path.name[: -len(volume_suffix(path) or "")]
        if identifier in volumes:
            raise VolumeError(
                f"two volumes have the id {identifier!r}: {volumes[identifier].path} and {path}; ids are file names "
                "without suffix and must differ: rename or remove one"
            )
        volumes[identifier] = Volume(identifier, path, _subset(path.relative_to(root)))
    if not volumes:
        raise FileNotFoundError(f"there is no volume in {root.absolute()}; looked for {layouts}")
    return sorted(volumes.values(), key=lambda v: v.id)


def usable_volumes(volumes: Iterable[Volume], dataset_dir: str | os.PathLike) -> list[Volume]:
    """Those volumes whose header says 3D and whose data are all there; warns of the others.

    Raises:
        VolumeError: none is usable.
    """
    good, bad = [], []
    for volume in volumes:
        try:
            read_header(volume.path)
            good.append(volume)
        except VolumeError as e:
            bad.append(str(e))
    if bad and not good:
        raise VolumeError(f"{dataset_dir}: none of {len(bad)} volumes can be used:\n{bounded(bad)}")
    if bad:
        warnings.warn(
            f"{dataset_dir}: {len(bad)} of {len(bad) + len(good)} volumes are left out:\n{bounded(bad)}", stacklevel=3
        )
    return good


def bounded(lines: list[str], most: int = 20) -> str:
    """The lines, at most `most` of them, indented and one below the other."""
    more = [f"... and {len(lines) - most} more"] if len(lines) > most else []
    return "\n".join(f"  {line}" for line in lines[:most] + more)


def _volume_files(root: Path) -> list[Path]:
    files = []
    for folder, subfolders, names in os.walk(root, followlinks=True):
        subfolders[:] = sorted(s for s in subfolders if not s.startswith((".", "seg-lungs")))
        files += [Path(folder) / n for n in sorted(names) if not n.startswith(".") and volume_suffix(n)]
    return files


def _subset(relative: Path) -> int | None:
    numbered = (re.fullmatch(r"subset(\d+)", part) for part in reversed(relative.parent.parts))
    return next((int(match[1]) for match in numbered if match), None)


def _is_validation(volume: Volume, subsets: Collection[int]) -> bool:
    if volume.subset is not None:
        return volume.subset in subsets
    return int(hashlib.sha256(volume.id.encode()).hexdigest(), 16) % 10 == 0
