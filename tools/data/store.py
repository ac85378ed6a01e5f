"""The one store of preprocessed volumes: a folder of 16-bit NIfTI, and one manifest (`tools.data.preprocessed`).

`python -m tools preprocess` fills it, and so does a training from originals. CT is stored in whole HU; MR in whole
numbers of which 1000 is the bright end, and the manifest's ``white`` says what intensity of the file that was.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import numpy as np
import torch
from tqdm import tqdm

from tools.data.preprocessed import FORMAT, MANIFEST, PART, phantom_info, preprocessed_info, preprocessing
from tools.files import PARTIAL, as_text, file_name, whole_file
from tools.io.nifti import write_nifti
from tools.io.readers import VolumeError, read_header
from tools.io.volume import without_shear
from tools.io.volume_reader import volume_header, volume_stamp
from tools.transforms.ct import AIR
from tools.transforms.digest import chain_digest

Entry = dict[str, Any]
"""What the manifest says of a volume."""


@dataclass
class VolumeStore:
    """Preprocessed copies of a dataset's volumes.

    Several processes may fill one store. Those of one training share the volumes that are missing, each of which one of
    them computes. Every file appears when it is whole, and what a process has done is in a file of its own until all
    have ended, so that a killed run loses only what it was working on.

    Attributes:
        folder: folder of the store; it is made when something is written.
        source: folder of the originals.
        settings: kind of volumes and arguments of their preprocessing, see `ct_settings` and `t1_settings`.
        digest: digest of the chain of transforms.

    Raises:
        ValueError: a setting is bad.
    """

    folder: Path
    source: Path
    settings: Mapping[str, Any]
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        self.digest = chain_digest(preprocessing(self.settings))

    def fill(self, volumes: Mapping[str, Path], workers: int = 1) -> tuple[dict[str, Entry], dict[str, str]]:
        """See to it that volumes are in the store, and return what the manifest says of each.

        Args:
            volumes: id -> path of each volume, in the source's folder.
            workers: number of volumes that this process works on at a time.

        Returns:
            id -> entry of those that are there, and id -> reason of those that cannot be used.

        Raises:
            RuntimeError: the preprocessing itself fails, or a worker dies.
            ValueError: a volume is not in the source's folder.
        """
        rank, world = idist.get_rank(), idist.get_world_size()
        entries = _from_first(self._done(volumes) if rank == 0 else {}, world)
        missing = sorted(volumes.keys() - entries.keys())
        if not missing:
            return entries, {}
        if rank == 0:
            self.clean()
            self._write_manifest(self._manifest())  # before any part of it
        part = self.folder / PART.replace("*", uuid.uuid4().hex)
        found, bad = self._compute({i: volumes[i] for i in missing[rank::world]}, workers, part)
        for more_found, more_bad in _from_all((found, bad), world):
            entries |= more_found
            bad |= more_bad
        if rank == 0:
            manifest = self._manifest()
            manifest["volumes"] |= entries
            asked = {self._relative(path) for path in volumes.values()}
            manifest["bad"] = {name: reason for name, reason in manifest["bad"].items() if name not in asked}
            manifest["bad"] |= {self._relative(volumes[i]): reason for i, reason in bad.items()}
            self._write_manifest(manifest)
        if world > 1:
            idist.barrier()
        part.unlink(missing_ok=True)
        return {identifier: entries[identifier] for identifier in volumes if identifier in entries}, bad

    def finish(self, entries: Mapping[str, Entry], bad: Mapping[str, str]) -> None:
        """Say in the manifest that these volumes are all, and that the rest is not of the dataset any more.

        Args:
            entries: id -> entry of every volume.
            bad: path below the source -> reason of every volume that cannot be used.
        """
        manifest = self._manifest() | {"volumes": dict(entries), "bad": dict(sorted(bad.items())), "complete": True}
        manifest["field_of_view_mm"] = mean_field_of_view([e["field_of_view_mm"] for e in entries.values()])
        self._write_manifest(manifest)
        for part in self.folder.glob(PART):
            part.unlink(missing_ok=True)

    def path(self, entry: Entry) -> Path:
        """Return the file of a volume."""
        return self.folder / entry["image"]

    def clean(self, age: float = 3600) -> None:
        """Remove what killed runs left half-written.

        Args:
            age: seconds since it was written to; what is younger may be another process's.
        """
        for left in self.folder.rglob(PARTIAL):
            if time.time() - left.stat().st_mtime >= age:
                left.unlink(missing_ok=True)

    def _manifest(self) -> dict[str, Any]:
        """Return the manifest as it is on disk, with the parts of runs that were interrupted, or a new one."""
        new = {"format": FORMAT, **self.settings, "digest": self.digest, "volumes": {}, "bad": {}, "complete": False}
        manifest = new | (preprocessed_info(self.folder) or {}) | {"complete": False}
        if (phantom := phantom_info(self.source)) is not None:
            manifest["phantom"] = phantom
        return manifest

    def _write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Write the manifest, and remove the parts of runs that were interrupted, which are in it."""
        parts = [part for part in self.folder.glob(PART) if time.time() - part.stat().st_mtime >= 3600]
        with whole_file(self.folder / MANIFEST) as partial:
            partial.write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        for part in parts:
            part.unlink(missing_ok=True)

    def _relative(self, path: Path) -> str:
        """Return where a volume lies below the source, as text."""
        return as_text(path.relative_to(self.source).as_posix())

    def _done(self, volumes: Mapping[str, Path]) -> dict[str, Entry]:
        """Return the entries of volumes that have not changed since, and whose results are there."""
        known = (preprocessed_info(self.folder) or {"volumes": {}})["volumes"]
        return {i: known[i] for i, path in volumes.items() if i in known and self._is_done(path, known[i])}

    def _is_done(self, path: Path, entry: Entry) -> bool:
        try:
            same = entry["source"] == self._relative(path) and entry["stamp"] == volume_stamp(path)
            return same and bool(read_header(self.path(entry)))
        except (OSError, VolumeError):
            return False

    def _compute(
        self, volumes: Mapping[str, Path], workers: int, part: Path
    ) -> tuple[dict[str, Entry], dict[str, str]]:
        """Compute this process's share; after each volume its entry is written to ``part``."""
        tasks = [_Task(self, identifier, path.relative_to(self.source)) for identifier, path in volumes.items()]
        found: dict[str, Entry] = {}
        bad: dict[str, str] = {}
        results = closing(_results(_Task.result, tasks, min(workers, len(tasks))))
        with results as ended, tqdm(ended, total=len(tasks), unit="volume", desc="preprocess", disable=None) as shown:
            for identifier, entry, reason in shown:
                if entry is None:
                    bad[identifier] = reason
                    continue
                found[identifier] = entry
                with whole_file(part) as partial:
                    partial.write_text(json.dumps(found), encoding="utf-8")
        return found, bad


def doubts(entry: Entry) -> str:
    """Return what looks wrong with a volume that is used, by its entry; "" if nothing does."""
    found = [entry["doubt"]] if entry.get("doubt") else []
    if not entry.get("hu_calibrated", True):
        peak = entry["air_peak"]
        seen = (
            "no air outside the body" if peak is None else f"air that peaks at {peak:.0f} HU, not {AIR[0]} to {AIR[1]}"
        )
        found.append(f"it shows {seen}, so its HU are as they were")
    return "; ".join(found)


def mean_field_of_view(extents: Sequence[Sequence[float]]) -> list[float]:
    """Return the mean over volumes of [axial, rows, columns] in mm, to a thousandth."""
    return np.mean(extents, axis=0).round(3).tolist()


@dataclass
class _Task:
    """One volume to preprocess, for a process of its own."""

    store: VolumeStore
    identifier: str
    relative: Path

    def result(self) -> tuple[str, Entry | None, str | None]:
        """Return the volume's id, and either its entry in the manifest or the reason why it cannot be used."""
        path = self.store.source / self.relative
        try:
            doubt = volume_header(path).doubt
            stamp = volume_stamp(path)  # before reading: a change during it is then noticed by the next run
            image = preprocessing(self.store.settings)({"image": str(path)})["image"]
        except OSError as e:
            return self.identifier, None, f"it cannot be read ({e.strerror or e})"
        except Exception as e:
            error = VolumeError.behind(e)
            if error is None:
                raise RuntimeError(f"preprocessing {as_text(path)} failed: {e}") from e
            return self.identifier, None, error.reason
        folder = self.relative if path.is_dir() else self.relative.parent  # of DICOM slices, or of a file
        written = Path(*map(as_text, folder.parts)) / file_name(self.identifier, ".nii")
        affine = without_shear(image.affine.numpy(), image.shape[1:])
        # whole numbers, with the axes of the volume, so that reading them back needs no reorientation
        write_nifti(self.store.folder / written, image.numpy()[0].astype(np.int16), affine)
        extent = read_header(self.store.folder / written).field_of_view
        entry = {
            "image": written.as_posix(),
            "source": as_text(self.relative.as_posix()),
            "stamp": stamp,
            "field_of_view_mm": [round(mm, 3) for mm in extent],
            **({"doubt": doubt} if doubt else {}),
            **_measured(self.store.settings["kind"], image.meta),
        }
        return self.identifier, entry, None


def _measured(kind: str, meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the preprocessing found out about a volume."""
    if kind == "t1":
        return {"white": round(meta["white"], 3)}
    air_peak = meta["air_peak"]
    return {"air_peak": None if math.isnan(air_peak) else round(air_peak, 2), "hu_calibrated": meta["hu_calibrated"]}


def _results(function: Callable, tasks: Sequence[Any], workers: int) -> Iterator:
    """Yield the function of each task, in the order in which they end; from processes if there are several workers."""
    if workers <= 1:
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
            f"command again with fewer: {max(1, workers // 2)}"
        ) from e
    finally:
        pool.shutdown(cancel_futures=True)


def _from_first(value: Any, world: int) -> Any:
    """Return the first process's value, to all."""
    if world == 1:
        return value
    shared = [value]
    torch.distributed.broadcast_object_list(shared, src=0)
    return shared[0]


def _from_all(value: Any, world: int) -> list[Any]:
    """Return every process's value, to all."""
    if world == 1:
        return [value]
    shared = [None] * world
    torch.distributed.all_gather_object(shared, value)
    return shared


def cpu_count() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
