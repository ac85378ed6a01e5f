"""The command that keeps those synthetic samples that could be real ones by what is measured of them."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from tools.data.removal import case_of, copy_without
from tools.data.sample_folder import FoundSamples, find_samples
from tools.filter_samples.measures import measured, measuring_chain
from tools.filter_samples.ranges import learnt
from tools.filter_samples.report import Judged, Report, conclusion, picture_of, write_report
from tools.io import left_out
from tools.io.readers import VolumeError, volume_suffix

logger = logging.getLogger(__name__)

ACCEPTED = "accepted"
"""Folder of the samples that are kept, below that of the report."""


def filter_samples(folder: str, real_dir: str, output_dir: str, rate: float = 0.05, pictures: int = 12) -> None:
    """Keep the synthetic samples whose tissue values, volumes and parts lie in ranges learnt from real ones.

    Of each sample are measured the median and deviation of its images (HU of CT; MR by its own percentile), the median
    inside of each label, and each label's volume in ml and number of connected parts. Another real sample lies outside
    of the ranges with a stated probability. The samples that are kept are copied, in their layout, to
    output_dir/accepted; filter.csv has every sample with all that is measured and what it is rejected for, ranges.csv
    the ranges, filter.html both with pictures.

    Args:
        folder: folder of synthetic samples, in a layout that `python -m tools inspect_data` recognises.
        real_dir: folder of real samples with the same images and classes.
        output_dir: new folder for the cohort that is kept and for the report.
        rate: probability of rejecting a sample that is a real one, over all measures together.
        pictures: number of rejected samples that the page shows.
    """
    if Path(output_dir, ACCEPTED).exists():
        raise FileExistsError(f"{Path(output_dir, ACCEPTED)} is there already; choose a new output_dir")
    real, made = find_samples(Path(real_dir)), find_samples(Path(folder))
    made = _as_real(real, made, folder)
    known, unread = _measured(real, "real samples")
    if unread:
        left_out.warn_of("real_dir", unread, len(real.items), "cases")
    ranges = learnt([*known.values()], rate)
    chain = measuring_chain(made)
    judged = []
    for item in tqdm(made.items, desc="Samples", unit="sample", disable=None):
        try:
            measures, images, label = measured(item, chain, made)
        except VolumeError as error:
            judged.append(Judged(str(item["id"]), {}, (f"cannot be read: {error}",), None))
            continue
        reasons = tuple(ranges.reasons(measures))
        wanted = reasons and sum(bool(one.reasons) for one in judged) < pictures
        judged.append(Judged(str(item["id"]), measures, reasons, picture_of(images, label) if wanted else None))
    rejected = {one.sample for one in judged if one.reasons}
    cases = {case_of(_below(item, Path(folder))) for item in made.items if str(item["id"]) in rejected}
    cases |= {case_of(Path(name).name) for name in made.lacking}
    lacking = [Judged(str(name), {}, (reason,), None) for name, reason in made.lacking.items()]
    report = Report(
        ranges, [*known.values()], [*judged, *lacking], {"folder": folder, "real_dir": real_dir, "rate": rate}
    )
    if len(rejected) < len(judged):
        copy_without(folder, Path(output_dir) / ACCEPTED, cases)
    else:
        logger.warning("all %d samples are rejected; there is no %s", len(judged), Path(output_dir) / ACCEPTED)
    write_report(output_dir, report)
    print(conclusion(report))
    print(Path(output_dir) / "filter.html")


def _as_real(real: FoundSamples, made: FoundSamples, folder: str) -> FoundSamples:
    """The synthetic samples, read as the real ones are.

    Raises:
        ValueError: other images, or a class that is lacking.
    """
    ours, theirs = real.channels, made.channels
    if real.is_pictures or made.is_pictures:
        raise ValueError("pictures have no size in mm and no unit; give NIfTI or DICOM")
    if [*ours.images] != [*theirs.images]:
        raise ValueError(f"{folder} has the images {', '.join(theirs.images)}, expected {', '.join(ours.images)}")
    if missing := [name for name in ours.labels if name not in theirs.labels]:
        raise ValueError(f"{folder} has no {', '.join(missing)}, which the real samples have")
    # classes by their names, in the order of the real ones
    labels = {name: list(theirs.labels[name]) for name in ours.labels}
    return find_samples(Path(folder), {**ours.images, **made.grey_values}, labels, real.modality)


def _measured(found: FoundSamples, what: str) -> tuple[dict[str, dict[str, float]], dict[str, str]]:
    """Measures by id, and reasons of those that cannot be read."""
    chain, known, unread = measuring_chain(found), {}, {}
    for item in tqdm(found.items, desc=what.capitalize(), unit="sample", disable=None):
        try:
            known[str(item["id"])] = measured(item, chain, found)[0]
        except VolumeError as error:
            unread[str(item["id"])] = str(error)
    return known, unread


def _below(item: Mapping[str, Any], folder: Path) -> str:
    """Path of the first image below the folder, without its ending."""
    given = item["image"]
    first = next(iter(given.values())) if isinstance(given, Mapping) else given if isinstance(given, str) else given[0]
    # files may be links to elsewhere
    path = Path(os.path.relpath(os.path.abspath(first), os.path.abspath(folder))).as_posix()
    return path[: -len(volume_suffix(path) or Path(path).suffix) or None]
