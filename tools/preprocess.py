"""The command that preprocesses a dataset of volumes once, so that training need not do it again and again."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tools.data.preprocessed import check_settings, preprocessed_info, settings_of
from tools.data.store import VolumeStore, cpu_count, doubts
from tools.data.volumes import find_volumes
from tools.datasets.gsp import GSP
from tools.datasets.luna16 import LUNA16
from tools.files import PARTIAL, as_text
from tools.io import left_out
from tools.io.left_out import MOST, listed
from tools.io.readers import VolumeError

DATASETS = {dataset.modality: dataset for dataset in (LUNA16, GSP)}
"""Kind of volumes -> dataset in whose layout, and any other, they are looked for."""


def preprocess(
    dataset_dir: str,
    output_dir: str,
    image_size: int = 256,
    workers: int | None = None,
    window: Sequence[int] | None = None,
    kind: str = "ct",
) -> None:
    """Preprocess a dataset of CT or T1 volumes once, for training from `output_dir` instead of `dataset_dir`.

    Every CT volume is calibrated, freed of blank slices at its ends, limited to the window and resized to a cube of
    whole HU; every T1 volume is freed of its background, normalised, cropped to a cube around the head and resized, to
    whole numbers from 0 to 1000. Both are written as output_dir/<same folder>/<id>.nii: 16 bit, not compressed, for
    speed of reading (34 MB each at 256, 30 GB for LUNA16). Training on it gives the same numbers as training on the
    original.

    An interrupted run is continued by the same command. Volumes that have not changed since are kept. Volumes that
    cannot be used, or are no CT or no MR by their values (label maps, CT without its rescale intercept or scaled), are
    named at the end and left out, and those that are used although something looks wrong are named too;
    output_dir/preprocessed.json records both and the settings. A labels.csv in dataset_dir is copied along.

    Args:
        dataset_dir: LUNA16 (subset0 to subset9) or GSP (Sub0001_Ses1 and so on) as published, or any folder with .mhd,
            .mha, .nii or .nii.gz volumes or DICOM series, a folder for each.
        output_dir: a new folder, or that of an interrupted or earlier run with the same settings.
        image_size: voxels a side of the cube.
        workers: volumes that are worked on at a time, each in about 2 GB of memory; one per CPU core by default.
        window: lowest and highest HU, (-1024, 600) by default; only for CT.
        kind: "ct", or "t1" for T1-weighted heads and brains.
    """
    source, output = Path(str(dataset_dir)), Path(str(output_dir))
    store = VolumeStore(output, source, _settings(kind, image_size, window))
    if workers is not None and workers < 1:
        raise ValueError(f"workers is {workers}, expected 1 or more, or nothing for one per CPU core")
    volumes = find_volumes(source, DATASETS[kind])
    _check_output(store)
    store.clean(age=0)
    entries, reasons = store.fill({v.id: v.path for v in volumes}, workers or cpu_count())
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


def _settings(kind: str, image_size: int, window: Sequence[int] | None) -> dict[str, Any]:
    """The settings as the manifest records them. Raises ValueError if one of them is bad."""
    if kind == "t1" and window is not None:
        raise ValueError(f"window is {window}, but T1 has no window of HU; leave it out, or is kind 'ct' meant?")
    return settings_of(kind, image_size, window)


def _check_output(store: VolumeStore) -> None:
    """Refuse folders that hold something else, and what cannot be undone."""
    source, output = store.source, store.folder
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
        check_settings(output, info, store.settings, store.digest)
    elif output.is_dir() and any(not p.match(PARTIAL) for p in output.iterdir()):
        raise ValueError(f"output_dir {output} holds other files; give a new folder")
