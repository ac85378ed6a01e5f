"""The command that preprocesses a dataset of volumes once, so that training need not do it again and again."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from tools.data.preprocessed import (
    FORMAT,
    KINDS,
    MANIFEST,
    check_settings,
    ct_settings,
    mean_field_of_view,
    phantom_info,
    preprocessed_info,
    preprocessing,
    t1_settings,
)
from tools.data.volumes import Volume, find_volumes
from tools.datasets.gsp import GSP
from tools.datasets.luna16 import LUNA16
from tools.files import PARTIAL, as_text, file_name, whole_file
from tools.io import left_out
from tools.io.left_out import MOST, listed
from tools.io.nifti import write_nifti
from tools.io.readers import VolumeError, read_header
from tools.io.volume import without_shear
from tools.io.volume_reader import volume_header, volume_stamp
from tools.transforms.ct import AIR
from tools.transforms.digest import chain_digest

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
    settings = _settings(kind, image_size, window)
    digest = chain_digest(preprocessing(settings))  # which also refuses a bad window
    if workers is not None and workers < 1:
        raise ValueError(f"workers is {workers}, expected 1 or more, or nothing for one per CPU core")
    volumes = find_volumes(source, DATASETS[kind])
    manifest = _open_output(source, output, settings, digest)
    manifest["bad"] = {}

    sources = {v.id: v for v in volumes}
    done = {i: e for i, e in manifest["volumes"].items() if i in sources and _is_done(source, output, sources[i], e)}
    manifest["volumes"] = done
    _write_manifest(output, manifest)
    tasks = [(source, output, v.path.relative_to(source), v.id, settings) for v in volumes if v.id not in done]
    workers = min(workers or _cpu_count(), max(1, len(tasks)))
    with (
        closing(_results(_materialise, tasks, workers)) as results,
        tqdm(total=len(volumes), initial=len(done), unit="volume", desc="preprocess") as bar,
    ):
        for identifier, entry, reason in results:
            if entry is not None:
                manifest["volumes"][identifier] = entry
            else:
                manifest["bad"][_relative(sources[identifier], source)] = reason
            _write_manifest(output, manifest)  # after each, so that a killed run loses only what it was working on
            bar.update()

    bad = dict(sorted(manifest["bad"].items()))
    if not manifest["volumes"]:
        raise VolumeError(f"{as_text(source)}: none of {len(bad)} volumes can be used:\n{listed(bad)}")
    if (source / "labels.csv").is_file():
        shutil.copyfile(source / "labels.csv", output / "labels.csv")
    entries = manifest["volumes"].values()
    manifest["field_of_view_mm"] = mean_field_of_view(e["field_of_view_mm"] for e in entries)
    manifest["complete"] = True
    _write_manifest(output, manifest)
    print(f"{len(entries)} volumes of {settings['image_size']} voxels a side are in {output}")
    doubts = {source: "; ".join(found) for source, found in sorted((e["source"], _doubts(e)) for e in entries) if found}
    if doubts:
        print(f"{len(doubts)} of them look wrong, and are used:\n{listed(doubts, MOST)}")
    if bad:
        print(f"{len(bad)} volumes were left out:\n{listed(bad, MOST)}")
    left_out.forget(str(volume.path) for volume in volumes)  # which were named here
    left_out.print_left_out()


def _doubts(entry: dict[str, Any]) -> list[str]:
    """Return what looks wrong with a volume that is used, by its entry in the manifest."""
    found = [entry["doubt"]] if entry.get("doubt") else []
    if not entry.get("hu_calibrated", True):
        peak = entry["air_peak"]
        seen = (
            "no air outside the body" if peak is None else f"air that peaks at {peak:.0f} HU, not {AIR[0]} to {AIR[1]}"
        )
        found.append(f"it shows {seen}, so its HU are as they were")
    return found


def _relative(volume: Volume, source: Path) -> str:
    """Return where a volume lies below the dataset, as text."""
    return as_text(volume.path.relative_to(source).as_posix())


def _settings(kind: str, image_size: int, window: Sequence[int] | None) -> dict[str, Any]:
    """The settings as the manifest records them. Raises ValueError if one of them is bad."""
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}, expected {' or '.join(map(repr, KINDS))}")
    if kind == "t1":
        if window is not None:
            raise ValueError(f"window is {window}, but T1 has no window of HU; leave it out, or is kind 'ct' meant?")
        return t1_settings(image_size)
    return ct_settings(image_size, (-1024, 600) if window is None else window)


def _open_output(source: Path, output: Path, settings: dict[str, Any], digest: str) -> dict[str, Any]:
    """The manifest to continue, or a new one. Refuses folders that hold something else, and what cannot be undone."""
    if preprocessed_info(source) is not None:
        raise ValueError(f"dataset_dir {source} is preprocessed already; give the original dataset")
    if output.resolve().is_relative_to(source.resolve()):
        raise ValueError(
            f"output_dir {output} lies in dataset_dir {source}, where it would be taken for a part of the dataset; "
            "give a folder elsewhere"
        )
    if output.exists() and not output.is_dir():
        raise ValueError(f"output_dir {output} is a file, expected a folder or nothing")
    manifest = preprocessed_info(output)
    if manifest is not None:
        check_settings(output, manifest, settings, digest)
    else:
        if output.is_dir() and any(not p.match(PARTIAL) for p in output.iterdir()):
            raise ValueError(f"output_dir {output} holds other files; give a new folder")
        manifest = {"format": FORMAT, **settings, "digest": digest, "volumes": {}}
    for left in output.rglob(PARTIAL):  # of a killed run
        left.unlink()
    if (phantom := phantom_info(source)) is not None:
        manifest["phantom"] = phantom
    manifest["complete"] = False
    return manifest


def _write_manifest(output: Path, manifest: dict[str, Any]) -> None:
    with whole_file(output / MANIFEST) as partial:
        partial.write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _is_done(source: Path, output: Path, volume: Volume, entry: dict[str, Any]) -> bool:
    """Return whether the volume is as it was when it was preprocessed, and the result is there."""
    try:
        same = entry["source"] == _relative(volume, source) and entry["stamp"] == volume_stamp(volume.path)
        return same and bool(read_header(output / entry["image"]))
    except (OSError, VolumeError):
        return False


def _results(function: Callable, tasks: list[tuple], workers: int) -> Iterator:
    """`function` of each task, in the order in which they end; in processes if there is more than one worker."""
    if workers == 1:
        yield from map(function, tasks)
        return
    # spawned, since forking a process in which torch has started its threads can hang
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), torch.set_num_threads, (1,))
    try:
        for future in as_completed([pool.submit(function, task) for task in tasks]):
            yield future.result()
    except BrokenProcessPool as e:
        raise RuntimeError(
            f"one of {workers} worker processes died, most likely for lack of memory; what is done is kept, run the "
            f"command again with fewer: --workers {max(1, workers // 2)}"
        ) from e
    finally:
        pool.shutdown(cancel_futures=True)


def _materialise(task: tuple) -> tuple[str, dict[str, Any] | None, str | None]:
    """Preprocesses one volume: its id, and either its entry in the manifest or the reason why it cannot be used."""
    source, output, relative, identifier, settings = task
    path = source / relative
    try:
        doubt = volume_header(path).doubt
        stamp = volume_stamp(path)  # before reading: a change during it is then noticed by the next run
        image = preprocessing(settings)({"image": str(path)})["image"]
    except OSError as e:
        return identifier, None, f"it cannot be read ({e.strerror or e})"
    except Exception as e:
        error = VolumeError.behind(e)
        if error is None:
            raise RuntimeError(f"preprocessing {as_text(path)} failed: {e}") from e
        return identifier, None, error.reason
    folder = relative if path.is_dir() else relative.parent  # of DICOM slices, or of a file
    written = Path(*map(as_text, folder.parts)) / file_name(identifier, ".nii")
    _write_nifti(output / written, image.numpy()[0], image.affine.numpy())
    entry = {
        "image": written.as_posix(),
        "source": as_text(relative.as_posix()),
        "stamp": stamp,
        "field_of_view_mm": [round(extent, 3) for extent in read_header(output / written).field_of_view],
        **({"doubt": doubt} if doubt else {}),
        **_measured(settings["kind"], image.meta),
    }
    return identifier, entry, None


def _measured(kind: str, meta: dict[str, Any]) -> dict[str, Any]:
    """Return what the preprocessing found out about a volume, for its entry in the manifest."""
    if kind == "t1":
        return {"white": round(meta["white"], 3)}
    air_peak = meta["air_peak"]
    return {"air_peak": None if math.isnan(air_peak) else round(air_peak, 2), "hu_calibrated": meta["hu_calibrated"]}


def _write_nifti(path: Path, volume: np.ndarray, affine: np.ndarray) -> None:
    """Writes whole numbers [axial, rows, columns] with their affine (RAS) as 16-bit NIfTI, all or nothing.

    The file's axes are those of the volume, so that reading it back needs no reorientation.
    """
    write_nifti(path, volume.astype(np.int16), without_shear(affine, volume.shape))


def _cpu_count() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
