"""Volumes in folders of one's own: single files and DICOM series, and by their names the contrasts of a patient.

The contrasts of one patient are told by their names, which end a file's name or are folders: `<id>_in_phase.nii.gz`,
`<id>/in_phase.nii.gz`, `<id>/in_phase/` with DICOM slices in it or below, or `in_phase/<id>.nii.gz`. A folder of DICOM
slices with the two echoes of a dual-echo T1 needs no names.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.data.folders import walk
from tools.datasets.chaos import CHAOS
from tools.files import as_text
from tools.io import left_out
from tools.io.dicom import is_dicom_folder
from tools.io.readers import VolumeError, volume_suffix
from tools.io.volume_reader import echo_of, source_path, volume_names

LONGEST_PHASE = 15.0
"""Echo time in ms: fat and water agree before this in their first period at any field strength (13.8 ms at 0.5 T)."""


def find_series(folder: str | os.PathLike) -> dict[str, str]:
    """Every volume below a folder, single files and folders of DICOM slices: name (path without suffix) -> path.

    A folder of MR slices with several echo times is one volume for each, see `volume_names`. Hidden folders and those
    of label maps are left out, see `walk`.

    Raises:
        FileNotFoundError: there is no such folder, or no volume in it.
        VolumeError: two volumes have one name, such as `a.nii.gz` and `a.mha`.
    """
    root = Path(folder)
    found: dict[str, str] = {}
    for place, names in walk(root):
        for name, path in _volumes(root, place, names):
            if name in found:
                raise VolumeError.of(
                    root,
                    f"two volumes have the name {name!r}: {as_text(found[name])} and {as_text(path)}; names are paths "
                    "without suffix and must differ: rename or remove one",
                )
            found[name] = path
    if not found:
        raise FileNotFoundError(
            f"there is no volume in {root.absolute()}; looked for NIfTI, MetaImage and DICOM slices"
        )
    return found


def by_name(volumes: Mapping[str, str], modalities: Sequence[str], pool: bool = False) -> dict[str, dict[str, str]]:
    """Volumes grouped by what their names say: study -> modality -> path.

    Names of modalities are free: those asked for are looked for, in capitals or not, and CHAOS's, so that volumes of
    other modalities than asked for are left out. Volumes whose names say no modality are of the only one that is asked
    for, or with ``pool`` of any; for studies of several they are left out, with a warning.

    Raises:
        FileNotFoundError: no volume is of one of the modalities.
        VolumeError: two volumes are the same modality of one study.
    """
    found: dict[str, dict[str, str]] = {}
    unnamed = []
    alone = pool or len(modalities) == 1
    # the longest first: of "t1" and "post_t1" a name that ends in the second says the second
    known = {m.lower(): m for m in sorted({*modalities, *CHAOS.images}, key=len, reverse=True)}
    phases = _phases(volumes, known)
    for name, path in volumes.items():
        study, modality = phases.get(name) or _named(name, known, alone)
        if modality is None and alone:
            modality = modalities[0]
        if modality is None:
            unnamed.append(path)
        elif modality in modalities:
            other = found.setdefault(study, {}).setdefault(modality, path)
            if other != path:
                raise VolumeError(
                    f"two volumes are {modality} of {study!r} by their names: {as_text(other)} and {as_text(path)}; "
                    "rename or remove one"
                )
    if not found:
        raise FileNotFoundError(
            f"none of {len(volumes)} volumes is named as one of {list(modalities)}: "
            + " or ".join(f"<id>_{m}.nii.gz" for m in modalities)
        )
    if unnamed:
        endings = ", ".join(f"_{modality}" for modality in modalities)
        left_out.warn_of("volumes", dict.fromkeys(unnamed, f"its name ends in none of {endings}"), len(volumes))
    return found


def _volumes(root: Path, place: Path, names: Sequence[str]) -> list[tuple[str, str]]:
    """(name, path) of every volume that lies directly in a folder."""
    relative = place.relative_to(root)
    files = [name for name in names if volume_suffix(name)]
    volumes = [(relative / n[: -len(volume_suffix(n))], os.fspath(place / n)) for n in files]
    if len(names) > len(files) and is_dicom_folder(place):
        own = relative if relative.parts else Path(root.resolve().name)
        volumes += [(Path(name), path) for name, path in volume_names(place, own).items()]
    return [(as_text(name.as_posix()), path) for name, path in volumes]


def _named(name: str, known: Mapping[str, str], alone: bool = False) -> tuple[str, str | None]:
    """The study and the modality that a name says: `p1_t2`, `p1/t2`, `p1/t2/series` and `t2/p1` are the t2 of p1.

    ``known`` are the modalities, by their names in small letters. Where every volume is a study of its own (``alone``),
    what comes below the folder of a modality tells several apart.
    """
    *folders, last = name.split("/")
    suffix = next((m for m in known if last.lower().endswith(f"_{m}")), None)
    if suffix is not None:
        return "/".join([*folders, last[: -len(suffix) - 1].rstrip("_") or "study"]), known[suffix]
    parts = [*folders, last]
    place = next((i for i, part in reversed([*enumerate(parts)]) if part.lower() in known), None)
    if place is None:
        return name, None
    before, after = parts[:place], parts[place + 1 :]
    return "/".join(before + after if alone or not before else before) or "study", known[parts[place].lower()]


def _phases(volumes: Mapping[str, str], known: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Study and phase of each folder that holds two echoes of T1 and whose name says nothing, by its name.

    Fat opposes water in the first echo and agrees with it in the second.
    """
    folders: dict[str, list[str]] = {}
    for name, path in volumes.items():
        if echo_of(path) is not None and _named(source_path(name), known)[1] is None:
            folders.setdefault(source_path(name), []).append(name)
    found = {}
    for study, names in folders.items():
        first, *others = sorted(names, key=lambda name: echo_of(volumes[name]))
        if len(others) == 1 and echo_of(volumes[others[0]]) < LONGEST_PHASE:
            found |= {first: (study, "out_phase"), others[0]: (study, "in_phase")}
    return found
