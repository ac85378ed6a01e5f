"""Studies of one or several co-registered volumes: CHAOS as published, and MR and CT from any folder.

CHAOS (https://chaos.grand-challenge.org) has `Train_Sets` and `Test_Sets` with

- `MR/<n>/T1DUAL/DICOM_anon/InPhase` and `OutPhase`, `MR/<n>/T2SPIR/DICOM_anon`,
- `CT/<n>/DICOM_anon`,

where MR and CT are of different people. A study is `{"id": "MR/3", "image": [path, ...]}`, a path per modality.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tools.data.folders import walk
from tools.data.own_folders import MODALITIES, by_name, find_series
from tools.data.sections import check_section, is_held_out
from tools.files import as_text, check_file_names
from tools.io import left_out
from tools.io.dicom import echo_times, is_dicom_folder
from tools.io.readers import VolumeError, volume_suffix
from tools.io.volume_reader import volume_header, volume_names, with_echo

FOLDERS = {"training": "Train_Sets", "validation": "Test_Sets"}
TRUTH = "truth.json"

Study = dict[str, object]


def mr_studies(
    dataset_dir: str | os.PathLike | None,
    section: str,
    modalities: Sequence[str] = ("in_phase", "out_phase"),
    pool: bool = False,
    extra_dir: str | os.PathLike | None = None,
    mr_dir: str | os.PathLike | None = None,
) -> list[Study]:
    """MR studies of one section of CHAOS or phantoms, or of the volumes in ``mr_dir``, with every modality asked for.

    One study in five, by a hash of its id, is for validation; phantoms come with sections of their own.

    Args:
        dataset_dir: the folder with `Train_Sets`, or with the patients of `MR`; None where ``mr_dir`` is given.
        section: "training" or "validation".
        modalities: names such as "in_phase", "out_phase", "t2", in the order in which a network takes them.
        pool: True makes a study of every single volume, whatever its modality ("All-in").
        extra_dir: a folder with more T1 volumes from elsewhere, to train on ("In-phase+"); for studies of one volume.
        mr_dir: a folder with MR in any layout, in the place of CHAOS's: files, or folders of DICOM slices. The
            modalities of a study are told by their names, see `tools.data.own_folders`.

    Raises:
        FileNotFoundError: there is no such folder, or no MR in it.
        VolumeError: no study of the section can be used; those that cannot be used are named in a warning.
        ValueError: unknown section or modality, or ``extra_dir`` for studies of several volumes.
    """
    if extra_dir is not None and len(modalities) > 1 and not pool:
        raise ValueError(f"volumes of extra_dir are one modality each, but studies are to have {list(modalities)}")
    if mr_dir is None:
        found = find_mr(dataset_dir, modalities)
    else:
        _check_modalities(modalities)
        found = {f"MR/{name}": paths for name, paths in by_name(find_series(mr_dir), modalities, pool).items()}
    source = dataset_dir if mr_dir is None else mr_dir
    found = _section(source, found, section)
    what = f"{source}: {section} MR"
    studies = _complete(found, modalities, pool, what)
    if extra_dir is not None and section == "training":
        studies += [{"id": f"extra/{name}", "image": [path]} for name, path in find_series(extra_dir).items()]
    return _usable(studies, what)


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
    return _usable(_complete(_section(source, found, section), ["ct"], False, what), what)


def translation_studies(path: str | os.PathLike, modalities: Sequence[str], pool: bool = False) -> list[Study]:
    """Return what there is to translate at a path, every study with all modalities.

    A path is a folder of CHAOS or of one of its patients; a folder of DICOM slices or a file, for one modality; a
    folder with the two echoes of a T1; or a folder whose volumes say by their names what they are, see
    `tools.data.own_folders`. With one modality, volumes whose names say nothing are taken too.

    Args:
        path: path, see above.
        modalities: names, in the order in which the network takes them; ["ct"] for the way back.
        pool: translate each of the modalities by itself ("All-in").

    Raises:
        FileNotFoundError: nothing is there, or nothing that could be translated.
        VolumeError: a study lacks a modality, or none can be used; those that cannot be used are named in a warning.
        ValueError: two studies would have results of one file name.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(
            f"there is nothing at {path.absolute()}; give a study with --dataset_dir: a DICOM folder, a file, or a "
            "folder of them (a training on phantoms leaves held-out bodies in the bundle's phantoms/Test_Sets)"
        )
    _check_modalities(modalities)
    studies = _complete(_studies_at(path, modalities, pool), modalities, pool, str(path), strict=True)
    check_file_names(study["id"] for study in studies)
    return _usable(studies, str(path))


def true_ct(dataset_dir: str | os.PathLike | None) -> dict[str, dict]:
    """Phantoms only: for the id of an MR study, "ct", its true CT in HU on the MR's grid, "labels" on the same, and
    "classes", the tissue class of each label; empty where nobody knows the truth.
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


def find_mr(dataset_dir: str | os.PathLike, modalities: Sequence[str] = MODALITIES[:3]) -> dict[str, dict[str, str]]:
    """All MR patients of a folder of CHAOS: id -> modality -> path. Missing modalities are missing."""
    _check_modalities(modalities)
    patients = _patients(dataset_dir, "MR")
    found = {f"MR/{as_text(folder.name)}": patient_modalities(folder) for folder in patients}
    if not any(found.values()):
        raise FileNotFoundError(
            f"there is no MR in {Path(dataset_dir).absolute()}; looked for CHAOS: Train_Sets/MR/<n>/T1DUAL/DICOM_anon/"
            "{InPhase,OutPhase} and T2SPIR/DICOM_anon, or the folders <n> directly; MR from elsewhere goes into "
            "--mr_dir"
        )
    return found


def find_ct(dataset_dir: str | os.PathLike) -> dict[str, dict[str, str]]:
    """All CT patients of a folder of CHAOS: id -> {"ct": path}."""
    folders = {f"CT/{as_text(p.name)}": _slices_below(p) for p in _patients(dataset_dir, "CT")}
    found = {name: {"ct": str(folder)} for name, folder in folders.items() if folder}
    if not found:
        raise FileNotFoundError(
            f"there is no CT in {Path(dataset_dir).absolute()}; looked for CHAOS: Train_Sets/CT/<n>/DICOM_anon, or the "
            "folders <n> directly; CT from elsewhere goes into --ct_dir"
        )
    return found


def patient_modalities(folder: Path) -> dict[str, str]:
    """The modalities in the folder of one of CHAOS's MR patients.

    Where in-phase and out-of-phase images share a folder, the echo times tell them apart: of the two echoes, fat
    opposes water in the first (2.3 ms at 1.5 T, 1.15 ms at 3 T) and agrees with it in the second.
    """
    found = {}
    dual = folder / "T1DUAL"
    if dual.is_dir():
        phases = {p.name.lower(): p for p in dual.rglob("*Phase") if p.is_dir()}
        if "inphase" in phases or "outphase" in phases:
            found = {m: str(phases[n]) for m, n in (("in_phase", "inphase"), ("out_phase", "outphase")) if n in phases}
        elif together := _slices_below(dual):
            echoes = echo_times(together)
            if len(echoes) == 2 and None not in echoes:
                found = {m: with_echo(together, e) for m, e in zip(("out_phase", "in_phase"), echoes, strict=True)}
            else:  # its T2 may still be of use
                reason = f"expected two echo times, out-of-phase and in-phase, found {echoes} (in ms)"
                left_out.keep({str(together): reason})
                warnings.warn(f"{as_text(together)} is left out: {reason}", stacklevel=2)
    if (folder / "T2SPIR").is_dir() and (t2 := _slices_below(folder / "T2SPIR")):
        found["t2"] = str(t2)
    return found


def _patients(dataset_dir: str | os.PathLike, kind: str) -> list[Path]:
    """The folders of CHAOS's patients of a kind, in the order of their numbers."""
    root = Path(dataset_dir)
    if not root.is_dir():
        raise FileNotFoundError(f"there is no folder {root.absolute()}; looked for CHAOS there")
    bases = [root / section / kind for section in FOLDERS.values()] + [root / kind]
    bases = [base for base in bases if base.is_dir()]
    if not bases:
        bases = [root] if root.name == kind or kind == "MR" else []
    folders = [p for base in bases for p in base.iterdir() if p.is_dir() and not p.name.startswith(".")]
    names = [p.name for p in folders]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise VolumeError.of(root, f"patients {', '.join(twice[:5])} of {kind} are there more than once; rename them")
    return sorted(folders, key=lambda p: (int(p.name) if p.name.isdigit() else 10**9, p.name))


def _slices_below(folder: Path) -> Path | None:
    """The first folder, this one or one below, that holds DICOM slices; CHAOS's masks lie in Ground beside them."""
    return next((place for place, _ in walk(folder, expected_labels=True) if is_dicom_folder(place)), None)


def _studies_at(path: Path, modalities: Sequence[str], pool: bool) -> dict[str, dict[str, str]]:
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
        return find_ct(path) if list(modalities) == ["ct"] else find_mr(path, modalities)
    except FileNotFoundError:
        return by_name(find_series(path), modalities, pool)


def _section(
    dataset_dir: str | os.PathLike, found: Mapping[str, dict[str, str]], section: str
) -> dict[str, dict[str, str]]:
    check_section(section)
    if (Path(dataset_dir) / TRUTH).is_file():
        chosen = {
            name: paths
            for name, paths in found.items()
            if any(Path(p).relative_to(dataset_dir).parts[0] == FOLDERS[section] for p in list(paths.values())[:1])
        }
        return chosen
    validation = [name for name in found if is_held_out(name, one_in=5)]
    if len(validation) < 2 or len(validation) == len(found):
        if section == "validation":
            warnings.warn(
                f"{dataset_dir}: {len(validation)} of {len(found)} studies are for validation, by a hash of their ids. "
                "It needs 2 and must leave some to train on, so all are used for both, and validation says nothing "
                "about patients that were not trained on",
                stacklevel=4,
            )
        return dict(found)
    return {name: paths for name, paths in found.items() if (name in validation) == (section == "validation")}


def _complete(
    found: Mapping[str, dict[str, str]], modalities: Sequence[str], pool: bool, what: str, strict: bool = False
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


def _usable(studies: Iterable[Study], what: str) -> list[Study]:
    """Studies all of whose volumes can be used, by their headers; a warning names the others."""
    good, bad = [], {}
    for study in studies:
        try:
            doubts = {path: volume_header(path).doubt for path in study["image"]}
            good.append(study)
            left_out.keep({path: doubt for path, doubt in doubts.items() if doubt})
        except VolumeError as error:
            bad[study["id"]] = str(error)
    if not good:
        raise VolumeError(f"{what}: none of {len(bad)} studies can be used:\n{left_out.listed(bad)}")
    if bad:
        left_out.warn_of(what, bad, len(bad) + len(good), "studies", stacklevel=3)
    return good


def _check_modalities(modalities: Sequence[str]) -> None:
    unknown = [m for m in modalities if m not in MODALITIES]
    if unknown or not modalities:
        raise ValueError(f"unknown modalities {unknown}; choose from {', '.join(MODALITIES)}")
