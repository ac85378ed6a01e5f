"""From a folder of volumes to a MONAI datalist: what every dataset of single files shares, LUNA16's and GSP's too."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from tools.data.folders import walk
from tools.data.preprocessed import finished_volumes
from tools.datasets.published import known_dataset
from tools.datasets.record import IMAGE_ROLES, Dataset
from tools.datasets.splitting import check_section, split
from tools.files import as_text, check_file_names
from tools.io import left_out
from tools.io.dicom import is_dicom_folder
from tools.io.readers import SUFFIXES, VolumeError, volume_suffix
from tools.io.volume import check_thickness
from tools.io.volume_reader import volume_header
from tools.transforms.spatial import THINNEST

KINDS = f"{', '.join(SUFFIXES)}, or DICOM slices"
"""What volumes are stored in, for messages."""

ROLES = {"body", "brain", "ct", "data", "flair", "image", "img", "label", "labels", "mask", "mr", "mri", "pet", "scan"}
ROLES |= {"seg", "segmentation", "t1", "t1ce", "t1gd", "t1w", "t2", "t2w", "vol", "volume"}
"""Names of files, and of folders around them, that say what an image is and not whose."""


@dataclass(frozen=True)
class Volume:
    """A file or a folder of DICOM slices that may hold a volume.

    Attributes:
        id: its name without suffix; in LUNA16 the SeriesInstanceUID. Where that says only what the image is, the name
            of its folder: `s0000` of TotalSegmentator's `s0000/ct.nii.gz`. Of a folder of DICOM its path below the
            dataset, since these are often named alike.
        path: path of the volume.
        folders: names of the folders between the dataset and the file, from the outside in.
    """

    id: str
    path: Path
    folders: tuple[str, ...]


def section_datalist(
    name: str, dataset_dir: str | os.PathLike, section: str, validation_folds: int | Collection[int] | None = None
) -> list[dict[str, str]]:
    """MONAI datalist of one section of a dataset: `[{"image": path, "id": id}, ...]`, sorted by id.

    Reads the dataset as published; a folder of one's own (.mhd, .mha, .nii, .nii.gz, folders of DICOM slices, in
    subfolders too; TotalSegmentator's `s0000/ct.nii.gz` has the id `s0000`); and what `python -m tools preprocess` made
    of either.

    Whether a volume is for validation depends on that volume alone, so that adding one never moves another, see
    `Dataset.holds_out`. If fewer than two are, as happens in small folders, all volumes are validated on, with a
    warning. Volumes whose header or file size is wrong are left out with a warning that names them.

    Args:
        name: name of the dataset, which says what is an image and whose, and how it is split.
        dataset_dir: the folder, an original or what `python -m tools preprocess` made of one.
        section: "training" or "validation".
        validation_folds: number or numbers of the publisher's folders for validation, such as LUNA16's subsets; those
            of the record if None.

    Raises:
        FileNotFoundError: there is no such folder, or no volume in it.
        VolumeError: no volume of the section can be used, or two have the same id.
        ValueError: no dataset has that name, ``section`` is neither, or all folders that there are are chosen for
            validation.

    Example::

        section_datalist("luna16", "/data/LUNA16", "validation")  # the 88 volumes of subset 9
    """
    dataset = known_dataset(name)
    check_section(section)
    folds = {validation_folds} if isinstance(validation_folds, int) else validation_folds
    volumes = find_volumes(dataset_dir, dataset)

    def held_out(volume: Volume) -> bool:
        return dataset.holds_out(dataset.subject(volume.id), volume.folders, folds)

    rule = dataset.rule(folds)
    chosen = [v for v in volumes if dataset.fold_of(v.folders) is not None and held_out(v)]
    if len(chosen) == len(volumes):
        raise ValueError(
            f"{dataset_dir}: all {len(volumes)} volumes are for validation, none is left for training; {rule}"
        )
    found = split(volumes, section, held_out, dataset_dir, "volumes", rule, dataset.share_few, stacklevel=2)
    return [{"image": str(v.path), "id": v.id} for v in usable_volumes(found, dataset_dir)]


def find_volumes(dataset_dir: str | os.PathLike, dataset: Dataset | None = None) -> list[Volume]:
    """Every file below `dataset_dir` that is named as one of this dataset's images, and every folder of DICOM slices.

    They are sorted by id. Without a dataset every volume is taken.

    Hidden files and folders are skipped, and those that hold label maps by their name; see `walk`.

    Raises:
        FileNotFoundError: there is no such folder, or nothing in it.
        VolumeError: two volumes have the same id, or the folder is the output of a `preprocess` that has not finished.
    """
    root = Path(dataset_dir)
    layouts = f"{dataset.looks}, or any folders with {KINDS}" if dataset else f"any folders with {KINDS}"
    if not root.is_dir():
        raise FileNotFoundError(f"there is no folder {root.absolute()}; looked for a dataset there: {layouts}")
    info = finished_volumes(root)
    if info is None:
        named = [(_identifier(path, root, dataset), path) for path in _volume_files(root, dataset)]
    else:
        named = [(identifier, root / volume["image"]) for identifier, volume in info["volumes"].items()]
    volumes: dict[str, Volume] = {}
    for identifier, path in named:
        if identifier in volumes:
            raise VolumeError(
                f"two volumes have the id {identifier!r}: {as_text(volumes[identifier].path)} and {as_text(path)}; "
                "ids are file names without suffix and must differ: rename or remove one"
            )
        volumes[identifier] = Volume(identifier, path, path.relative_to(root).parent.parts)
    if not volumes:
        raise FileNotFoundError(f"there is no volume in {root.absolute()}; looked for {layouts}")
    return sorted(volumes.values(), key=lambda v: v.id)


def usable_volumes(volumes: Iterable[Volume], dataset_dir: str | os.PathLike, least: int = THINNEST) -> list[Volume]:
    """Those volumes whose header says 3D, of ``least`` voxels along every axis, and whose data are all there.

    The others are named in a warning.

    Raises:
        VolumeError: none is usable.
    """
    good, bad = [], {}
    for volume in volumes:
        try:
            header = volume_header(volume.path)
            check_thickness(volume.path, header.shape, least)
            good.append(volume)
            if header.doubt:
                left_out.keep({str(volume.path): header.doubt})
        except VolumeError as e:
            bad[str(volume.path)] = e.reason
    if bad and not good:
        raise VolumeError(f"{dataset_dir}: none of {len(bad)} volumes can be used:\n{left_out.listed(bad)}")
    if bad:
        left_out.warn_of(str(dataset_dir), bad, len(bad) + len(good), stacklevel=4)
    return good


def _volume_files(root: Path, dataset: Dataset | None) -> list[Path]:
    files = []
    for folder, names in walk(root):
        volumes = [folder / name for name in names if volume_suffix(name)]
        files += volumes
        if len(names) > len(volumes) and is_dicom_folder(folder):
            files.append(folder)
    if dataset is None or dataset.is_image is None:
        return files
    return [f for f in files if dataset.is_image(_identifier(f, root, dataset))]


def _identifier(path: Path, root: Path, dataset: Dataset | None) -> str:
    """A file's name without suffix, or that of the innermost folder that names a subject; see `Volume.id`."""
    if path.is_dir():
        return as_text(path.relative_to(root).as_posix()) if path != root else as_text(root.resolve().name)
    stem = path.name[: -len(volume_suffix(path) or "")]
    if stem.lower() in ROLES:
        folders = path.relative_to(root).parent.parts
        subject = next((folder for folder in reversed(folders) if folder.lower() not in ROLES), None)
        if subject is not None:
            roles = IMAGE_ROLES if dataset is None else dataset.roles
            stem = subject if stem.lower() in roles else f"{subject}_{stem}"
    return as_text(stem)


def volume_datalist(dataset_dir: str | os.PathLike, least: int = THINNEST) -> list[dict[str, str]]:
    """MONAI datalist of every volume in a folder, `[{"image": path, "id": id}, ...]`, sorted by id.

    Args:
        dataset_dir: the folder.
        least: number of voxels that there must be along every axis; 1 takes single slices too, as images of depth one.

    Raises:
        ValueError: no folder is given, or what is made of two volumes would have one file name.
        FileNotFoundError: there is no such folder, or no volume in it.
        VolumeError: none of its volumes can be used; those that cannot be used are named in a warning.
    """
    if dataset_dir is None:
        raise ValueError("no folder of volumes is given; name one with --dataset_dir")
    volumes = find_volumes(dataset_dir)
    check_file_names(volume.id for volume in volumes)
    return [{"image": str(v.path), "id": v.id} for v in usable_volumes(volumes, dataset_dir, least)]
