"""The command that preprocesses a dataset once, so that training need not do it again and again."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tools.data.preprocessed import SAMPLES, check_settings, preprocessed_info, settings_of
from tools.data.sample_folder import BITS, fill, find_samples
from tools.data.store import VolumeStore, cpu_count, doubts
from tools.data.stored_samples import SampleMaker, chain_settings
from tools.data.volumes import find_volumes
from tools.datasets.gsp import GSP
from tools.datasets.luna16 import LUNA16
from tools.files import PARTIAL, as_text
from tools.io import left_out
from tools.io.left_out import MOST, listed
from tools.io.readers import VolumeError

DATASETS = {dataset.modality: dataset for dataset in (LUNA16, GSP)}
"""Kind of volumes -> dataset in whose layout, and any other, they are looked for."""


SHOWN = 10
"""Names of channels that are printed."""


def preprocess(
    dataset_dir: str,
    output_dir: str,
    image_size: int | Sequence[int] = 256,
    workers: int | None = None,
    window: Sequence[int] | None = None,
    kind: str = "ct",
    images: Mapping[str, Any] | None = None,
    labels: Mapping[str, Any] | None = None,
    modality: str | None = None,
    field_of_view: float | None = None,
    bits: int | None = None,
    classes: str | None = None,
) -> None:
    """Preprocess a dataset once, for training from `output_dir` instead of `dataset_dir`.

    Of the kinds "ct" and "t1" every CT volume is calibrated, freed of blank slices at its ends, limited to the window
    and resized to a cube of whole HU; every T1 volume is freed of its background, normalised, cropped to a cube around
    the head and resized, to whole numbers from 0 to 1000. Both are written as output_dir/<same folder>/<id>.nii: 16
    bit, not compressed, for speed of reading (34 MB each at 256, 30 GB for LUNA16). A labels.csv in dataset_dir is
    copied along.

    Of the kinds "volumes" and "slices" images are kept together with their label maps, several images of a case too, as
    arrays that training maps into memory: whole volumes, or their axial slices as squares. See docs/labelled_data.md.

    Training on it gives the same numbers as training on the original. An interrupted run is continued by the same
    command. What has not changed since is kept. What cannot be used, or is no CT or no MR by its values (label maps, CT
    without its rescale intercept or scaled), is named at the end and left out, and what is used although something
    looks wrong is named too; output_dir/preprocessed.json records both and the settings.

    Args:
        dataset_dir: LUNA16 (subset0 to subset9) or GSP (Sub0001_Ses1 and so on) as published, or any folder with .mhd,
            .mha, .nii or .nii.gz volumes or DICOM series, a folder for each. For "volumes" and "slices" any dataset
            that `python -m tools inspect_data` recognises; volumes and label maps under any names; a folder or zip of
            pictures.
        output_dir: a new folder, or that of an interrupted or earlier run with the same settings.
        image_size: voxels a side of the cube, or of the square; for "volumes" also slices, rows and columns.
        workers: volumes that are worked on at a time, each in about 2 GB of memory; one per CPU core by default.
        window: lowest and highest HU, (-1024, 600) by default; only for CT.
        kind: "ct", or "t1" for T1-weighted heads and brains; "volumes" or "slices" with their labels.
        images: scale by name of each image of "volumes" or "slices", a window or a percentile, "{'ct': [-160, 240]}";
            all of the dataset's by default, CT in the window and MR by the 99.5th percentile.
        labels: value in the files by name of each class, "{'liver': 1}"; the dataset's by default, '{}' for none.
        modality: "MR" or "CT", for volumes under any names, which are then refused where they are not so by their
            values.
        field_of_view: side of the squares in mm; the longer side of the slices by default.
        bits: 8, 16 or 32 for a voxel of "volumes" (32 by default) or "slices" (16).
        classes: "findings" or "class", if samples are to have what the dataset's table says.
    """
    source, output = Path(str(dataset_dir)), Path(str(output_dir))
    if workers is not None and workers < 1:
        raise ValueError(f"workers is {workers}, expected 1 or more, or nothing for one per CPU core")
    workers = workers or cpu_count()
    own = {"images": images, "labels": labels, "modality": modality, "classes": classes}
    if kind in SAMPLES:
        _samples(source, output, kind, image_size, workers, field_of_view, bits, own | {"window": window})
        return
    given = [name for name, value in {**own, "field_of_view": field_of_view, "bits": bits}.items() if value is not None]
    if given:
        raise ValueError(f"{', '.join(given)} are options of the kinds {' and '.join(SAMPLES)}, but kind is {kind!r}")
    _volumes(source, output, _settings(kind, image_size, window), workers)


def _volumes(source: Path, output: Path, settings: dict[str, Any], workers: int) -> None:
    """Fill a store of volumes."""
    store = VolumeStore(output, source, settings)
    volumes = find_volumes(source, DATASETS[settings["kind"]])
    _check_output(source, output, store.settings, store.digest)
    store.clean(age=0)
    entries, reasons = store.fill({v.id: v.path for v in volumes}, workers)
    bad = {as_text(v.path.relative_to(source).as_posix()): reasons[v.id] for v in volumes if v.id in reasons}
    if not entries:
        raise VolumeError(f"{as_text(source)}: none of {len(bad)} volumes can be used:\n{listed(bad)}")
    if (source / "labels.csv").is_file():
        shutil.copyfile(source / "labels.csv", output / "labels.csv")
    store.finish(entries, bad)
    print(f"{len(entries)} volumes of {store.settings['image_size']} voxels a side are in {output}")
    doubted = {entry["source"]: text for entry in entries.values() if (text := doubts(entry))}
    if doubted:
        print(f"{len(doubted)} of them look wrong, and are used:\n{listed(dict(sorted(doubted.items())), MOST)}")
    if bad:
        print(f"{len(bad)} volumes were left out:\n{listed(dict(sorted(bad.items())), MOST)}")
    left_out.forget(str(volume.path) for volume in volumes)  # which were named here
    left_out.print_left_out()


def _samples(
    source: Path,
    output: Path,
    kind: str,
    image_size: int | Sequence[int],
    workers: int,
    field_of_view: float | None,
    bits: int | None,
    own: dict[str, Any],
) -> None:
    """Fill a store of labelled samples."""
    if kind == "volumes" and field_of_view is not None:
        raise ValueError("field_of_view is of slices; volumes are resized as a whole")
    if source.is_dir() and preprocessed_info(source) is not None:
        raise ValueError(f"dataset_dir {source} is preprocessed already; give the original dataset")
    samples = find_samples(source, **own)
    chain = samples.chain(kind, image_size, field_of_view)
    make = SampleMaker(samples.items, chain, samples.channels, output, BITS[kind] if bits is None else bits)
    settings = chain_settings(chain, samples.channels)
    _check_output(source, output, settings, make.digest)
    if (info := preprocessed_info(output)) is not None and info["bits"] != make.bits:
        raise ValueError(
            f"output_dir {output} has {info['bits']} bits a voxel, asked for are {make.bits}; give another"
        )
    bad = fill(output, source, samples, make, settings, workers)
    number = len(samples.items) + len(samples.lacking) - len(bad)
    if not number:
        raise VolumeError(f"{as_text(source)}: none of {len(bad)} cases can be used:\n{listed(bad)}")
    names = samples.channels.names
    shown = ", ".join(names if len(names) <= SHOWN else [*names[:SHOWN], f"{len(names) - SHOWN} more"])
    print(f"{samples.what}\n{number} cases as {kind}, {shown}, are in {output}")
    if bad:
        print(f"{len(bad)} cases were left out:\n{listed(dict(sorted(bad.items())), MOST)}")
    left_out.print_left_out()


def _settings(kind: str, image_size: int | Sequence[int], window: Sequence[int] | None) -> dict[str, Any]:
    """The settings as the manifest records them. Raises ValueError if one of them is bad."""
    if kind == "t1" and window is not None:
        raise ValueError(f"window is {window}, but T1 has no window of HU; leave it out, or is kind 'ct' meant?")
    return settings_of(kind, image_size, window)


def _check_output(source: Path, output: Path, settings: Mapping[str, Any], digest: str) -> None:
    """Refuse folders that hold something else, and what cannot be undone."""
    if preprocessed_info(source) is not None:
        raise ValueError(f"dataset_dir {source} is preprocessed already; give the original dataset")
    if output.resolve().is_relative_to(source.resolve()):
        raise ValueError(
            f"output_dir {output} lies in dataset_dir {source}, where it would be taken for a part of the dataset; "
            "give a folder elsewhere"
        )
    if output.exists() and not output.is_dir():
        raise ValueError(f"output_dir {output} is a file, expected a folder or nothing")
    if (info := preprocessed_info(output)) is not None:
        check_settings(output, info, settings, digest)
    elif output.is_dir() and any(not p.match(PARTIAL) for p in output.iterdir()):
        raise ValueError(f"output_dir {output} holds other files; give a new folder")
