"""Studies of one or several co-registered volumes: CHAOS as published, and MR and CT from any folder.

A study is `{"id": "MR/3", "image": [path, ...]}`, a path per modality. MR and CT of CHAOS are of different people.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.data.cases import usable_items
from tools.data.chaos import FOLDERS, find_ct, find_mr, patient_modalities
from tools.data.own_folders import by_name, find_series
from tools.datasets.chaos import CHAOS
from tools.datasets.splitting import check_section, split
from tools.files import as_text, check_file_names
from tools.io import left_out
from tools.io.dicom import is_dicom_folder
from tools.io.readers import VolumeError, volume_suffix
from tools.io.volume_reader import volume_names

TRUTH = "truth.json"

Study = dict[str, object]
Paths = dict[str, str]
"""Modality -> path."""


def mr_studies(
    dataset_dir: str | os.PathLike | None,
    section: str,
    modalities: Sequence[str] = ("in_phase", "out_phase"),
    pool: bool = False,
    extra_dir: str | os.PathLike | None = None,
    mr_dir: str | os.PathLike | None = None,
) -> list[Study]:
    """MR studies of one section of CHAOS or phantoms, or of the volumes in ``mr_dir``, with every modality asked for.

    One study in five, by a hash of its id, is for validation, see `Dataset.holds_out`; phantoms come with sections of
    their own.

    Args:
        dataset_dir: the folder with `Train_Sets`, or with the patients of `MR`; None where ``mr_dir`` is given.
        section: "training" or "validation".
        modalities: names of modalities, in the order in which a network takes them: of CHAOS "in_phase", "out_phase"
            and "t2", in ``mr_dir`` any that the volumes' names say.
        pool: True makes a study of every single volume, whatever its modality ("All-in").
        extra_dir: a folder with more T1 volumes from elsewhere, to train on ("In-phase+"); for studies of one volume.
        mr_dir: a folder with MR in any layout, in the place of CHAOS's: files, or folders of DICOM slices. The
            modalities of a study are told by their names, see `tools.data.own_folders`.

    Raises:
        FileNotFoundError: there is no such folder, or no MR in it.
        VolumeError: no study of the section can be used; those that cannot be used are named in a warning.
        ValueError: unknown section, no modality or one that CHAOS has not, or ``extra_dir`` for studies of several
            volumes.
    """
    _check(modalities)
    if extra_dir is not None and len(modalities) > 1 and not pool:
        raise ValueError(f"volumes of extra_dir are one modality each, but studies are to have {list(modalities)}")
    if mr_dir is None:
        found = find_mr(dataset_dir, modalities)
    else:
        found = {f"MR/{name}": paths for name, paths in by_name(find_series(mr_dir), modalities, pool).items()}
    source = dataset_dir if mr_dir is None else mr_dir
    found = _section(source, found, section, "MR studies")
    what = f"{source}: {section} MR"
    studies = _complete(found, modalities, pool, what)
    if extra_dir is not None and section == "training":
        studies += [{"id": f"extra/{name}", "image": [path]} for name, path in find_series(extra_dir).items()]
    return usable_items(studies, what, "studies", stacklevel=2)


def ct_studies(
    dataset_dir: str | os.PathLike | None, section: str, ct_dir: str | os.PathLike | None = None
) -> list[Study]:
    """CT studies of one section of CHAOS or phantoms, or, if ``ct_dir`` is given, of the volumes in that folder.

    Split and errors as for `mr_studies`.
    """
    if ct_dir is None:
        found = find_ct(dataset_dir)
    else:
        found = {f"CT/{name}": paths for name, paths in by_name(find_series(ct_dir), ["ct"]).items()}
    source = dataset_dir if ct_dir is None else ct_dir
    what = f"{source}: {section} CT"
    return usable_items(
        _complete(_section(source, found, section, "CT studies"), ["ct"], False, what), what, "studies", stacklevel=2
    )


def translation_studies(path: str | os.PathLike, modalities: Sequence[str], pool: bool = False) -> list[Study]:
    """Return what there is to translate at a path, every study with all modalities.

    A path is a folder of CHAOS or of one of its patients; a folder of DICOM slices or a file, for one modality; a
    folder with the two echoes of a T1; or a folder whose volumes say by their names what they are, see
    `tools.data.own_folders`. With one modality, volumes whose names say nothing are taken too.

    Args:
        path: path, see above.
        modalities: names, in the order in which the network takes them; ["ct"] for the way back.
        pool: True translates each of the modalities by itself ("All-in").

    Raises:
        FileNotFoundError: nothing is there, or nothing that could be translated.
        VolumeError: a study lacks a modality, or none can be used; those that cannot be used are named in a warning.
        ValueError: no modality is given, or two studies would have results of one file name.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(
            f"there is nothing at {path.absolute()}; give a study with --dataset_dir: a DICOM folder, a file, or a "
            "folder of them (a training on phantoms leaves held-out bodies in the bundle's phantoms/Test_Sets)"
        )
    _check(modalities)
    studies = _complete(_studies_at(path, modalities, pool), modalities, pool, str(path), strict=True)
    check_file_names(study["id"] for study in studies)
    return usable_items(studies, str(path), "studies", stacklevel=2)


def true_ct(dataset_dir: str | os.PathLike | None) -> dict[str, dict]:
    """Phantoms only: for the id of an MR study, "ct", its true CT in HU on the MR's grid, "labels" on the same, and
    "classes", the tissue class of each label; empty where there is no reference CT.
    """
    path = None if dataset_dir is None else Path(dataset_dir) / TRUTH
    if path is None or not path.is_file():
        return {}
    truth = json.loads(path.read_text())
    return {
        name: {
            "ct": str(path.parent / pair["ct"]),
            "labels": str(path.parent / pair["labels"]),
            "classes": truth["classes"],
        }
        for name, pair in truth["studies"].items()
    }


def _studies_at(path: Path, modalities: Sequence[str], pool: bool) -> dict[str, Paths]:
    if path.is_file():
        name = as_text(path.name[: len(path.name) - len(volume_suffix(path) or "")])
        return {name: {modalities[0]: str(path)}}
    if is_dicom_folder(path):
        volumes = volume_names(path, path.resolve().name)
        if len(volumes) > 1:
            return by_name(volumes, modalities, pool)
        return {name: {modalities[0]: found} for name, found in volumes.items()}
    if (path / "T1DUAL").is_dir() or (path / "T2SPIR").is_dir():
        return {f"MR/{as_text(path.name)}": patient_modalities(path)}
    try:
        if set(modalities) <= CHAOS.images.keys():
            return find_ct(path) if list(modalities) == ["ct"] else find_mr(path, modalities)
    except FileNotFoundError:
        pass
    return by_name(find_series(path), modalities, pool)


def _section(source: str | os.PathLike, found: Mapping[str, Paths], section: str, what: str) -> dict[str, Paths]:
    """One section of CHAOS or of studies from elsewhere, by the rule of CHAOS; phantoms by their folders."""
    if (Path(source) / TRUTH).is_file():
        check_section(section)
        chosen = [name for name, paths in found.items() if _part(next(iter(paths.values()), None), source) == section]
    else:
        rule, few = CHAOS.rule(), CHAOS.share_few
        chosen = split([*found], section, lambda i: CHAOS.holds_out(CHAOS.subject(i)), source, what, rule, few, 3)
    return {name: found[name] for name in chosen}


def _part(path: str | None, source: str | os.PathLike) -> str | None:
    """The section in whose folder a path lies."""
    part = Path(path).relative_to(source).parts[0] if path else None
    return next((section for section, folder in FOLDERS.items() if folder == part), None)


def _complete(
    found: Mapping[str, Paths], modalities: Sequence[str], pool: bool, what: str, strict: bool = False
) -> list[Study]:
    """Studies with every modality; others are named, in a warning or, if ``strict``, an error."""
    if pool:
        studies = [
            {"id": f"{name}/{m}", "image": [paths[m]]}
            for name, paths in found.items()
            for m in modalities
            if m in paths
        ]
        if not studies:
            raise VolumeError(f"{what}: none of {len(found)} studies has one of {list(modalities)}")
        return studies
    studies, lacking = [], {}
    for name, paths in found.items():
        missing = [m for m in modalities if m not in paths]
        if missing:
            lacking[name] = f"has {', '.join(sorted(paths)) or 'nothing'}, lacks {', '.join(missing)}"
        else:
            studies.append({"id": name, "image": [paths[m] for m in modalities]})
    if lacking and (strict or not studies):
        raise VolumeError(
            f"{what}: {len(lacking)} of {len(found)} studies are not complete:\n{left_out.listed(lacking)}"
        )
    if lacking:
        left_out.warn_of(what, lacking, len(found), "studies", stacklevel=3)
    return studies


def _check(modalities: Sequence[str]) -> None:
    if not modalities:
        raise ValueError("modalities is empty, expected the name of one or more, such as in_phase")
