"""LUNA16 (Setio et al. 2017) as published, folders of CT volumes of one's own, and either after `preprocess`."""

from __future__ import annotations

import os
import re
from collections.abc import Collection

from tools.data.sections import is_held_out
from tools.data.volumes import IMAGES, Layout, Volume, split_datalist

LUNA16 = Layout("subset0 to subset9 with .mhd files as LUNA16 is published", roles=IMAGES | {"ct"})


def luna16_datalist(
    dataset_dir: str | os.PathLike, section: str, validation_subsets: int | Collection[int] = (9,)
) -> list[dict[str, str]]:
    """MONAI datalist of one section of a dataset: `[{"image": path, "id": id}, ...]`, sorted by id.

    Reads LUNA16 as published (`subset0` to `subset9`, each with `<uid>.mhd` and `.raw` or `.zraw`), a folder of one's
    own (.mhd, .mha, .nii, .nii.gz, folders of DICOM slices, in subfolders too; TotalSegmentator's `s0000/ct.nii.gz` has
    the id `s0000`), and what `python -m tools preprocess` made of either.

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
    subsets = {validation_subsets} if isinstance(validation_subsets, int) else set(validation_subsets)

    def is_validation(volume: Volume) -> bool:
        subset = _subset(volume)
        return is_held_out(volume.id, one_in=10) if subset is None else subset in subsets

    rule = (
        f"validation_subsets, now {sorted(subsets)}, chooses the numbered subset folders that are for validation; in "
        "other folders it is one volume in ten, by a hash of its name"
    )
    return split_datalist(dataset_dir, section, LUNA16, is_validation, rule)


def _subset(volume: Volume) -> int | None:
    """n if the volume lies in a folder `subset<n>`, else None."""
    numbered = (re.fullmatch(r"subset(\d+)", folder) for folder in reversed(volume.folders))
    return next((int(match[1]) for match in numbered if match), None)
