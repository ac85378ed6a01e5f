"""Scans whose slices lie in one folder with those of others, as the RSNA's do: only headers tell them apart."""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pydicom
from tqdm import tqdm

from tools.data.cases import images_in
from tools.data.preprocessed import finished_info
from tools.data.preprocessed_samples import stored_datalist
from tools.datasets.record import Dataset
from tools.datasets.splitting import check_section, split
from tools.io import left_out

TAGS = ["PatientID", "SeriesInstanceUID"]


def scan_datalist(
    dataset: Dataset, folder: str | os.PathLike, section: str, num_workers: int = 8
) -> list[dict[str, Any]]:
    """Datalist of the scans of one section of a dataset of single DICOM slices; patients lie on one side of the split.

    Every header is read, which takes minutes for hundreds of thousands. Slices that are not DICOM are named in a
    warning.

    Args:
        dataset: record whose unit is the slice.
        folder: folder of the dataset.
        section: "training" or "validation".
        num_workers: threads that read.

    Returns:
        ``[{"id": series, "subject": patient, "slices": [path, ...], "class": {name of file: findings}}, ...]`` for
        `tools.transforms.samples.sample_slices`; findings are 0 or 1 for each of the record's, and "class" is missing
        where the dataset has none. Items of a folder that `python -m tools preprocess` made are those of
        `tools.data.preprocessed_samples.stored_datalist`.

    Raises:
        FileNotFoundError: there is no such folder, or no slice of this dataset in it.
        ValueError: another section.
    """
    check_section(section)
    if (info := finished_info(folder)) is not None:
        return stored_datalist(dataset, Path(folder), info, section, info.get("classes"))
    found = all_scans(dataset, folder, num_workers)
    rule = dataset.rule()
    return split(found, section, lambda scan: dataset.holds_out(scan["subject"]), folder, "scans", rule, stacklevel=2)


def all_scans(dataset: Dataset, folder: str | os.PathLike, num_workers: int = 8) -> list[dict[str, Any]]:
    """The scans of both sections, see `scan_datalist`, in the order of their ids."""
    root = Path(folder)
    pattern = re.compile(next(iter(dataset.images.values())).pattern)
    found = [(match["id"], path) for name, path, _ in images_in(root, dataset) if (match := pattern.fullmatch(name))]
    if not found:
        raise FileNotFoundError(f"there is no slice of {dataset.name} in {root.absolute()}; looked for {dataset.looks}")
    table = dataset.table(root) if dataset.table else {}
    scans: dict[str, dict[str, Any]] = {}
    bad: dict[str, str] = {}
    with ThreadPoolExecutor(num_workers) as pool:
        headers = pool.map(_header, (path for _, path in found))
        shown = tqdm(headers, desc="Headers", unit="slice", total=len(found), leave=False, disable=None)
        for (name, path), header in zip(found, shown, strict=True):
            if isinstance(header, str):
                bad[path] = header
                continue
            patient, series = header
            scan = scans.setdefault(series, {"id": series, "subject": patient, "slices": [], "class": {}})
            scan["slices"].append(path)
            if name in table:
                scan["class"][Path(path).name] = dataset.marks(table[name]["findings"])
    if bad:
        left_out.warn_of(str(folder), bad, len(found), "slices", stacklevel=2)
    for scan in scans.values():
        if len(scan["class"]) < len(scan["slices"]):
            del scan["class"]  # nobody has said what all of them show
    return sorted(scans.values(), key=lambda scan: scan["id"])


def _header(path: str) -> tuple[str, str] | str:
    """Patient and series of a slice, or the reason why it has none."""
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=TAGS)
        return str(header.PatientID), str(header.SeriesInstanceUID)
    except Exception as error:  # pydicom raises many kinds
        return f"it is not DICOM, or does not say its patient and series ({str(error)[:100]})"
