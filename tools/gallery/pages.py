"""The pages of a bundle's samples: where the samples are, or how they are made, and one file for each."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from monai.bundle import run

from tools.collection import Bundle
from tools.evaluation.plots import png
from tools.files import file_name, whole_file
from tools.gallery.samples import Case, cases_of, read_sample
from tools.gallery.viewer import middle_picture, viewer_page
from tools.io.readers import VolumeError

logger = logging.getLogger(__name__)

SAMPLES = "samples"
"""Folder of the pages, below the gallery's."""


def made_by(bundle: Bundle, output: Path, number: int) -> str | None:
    """The folder of a bundle's samples: its `eval`, or samples that it makes now; None where there are neither.

    Args:
        bundle: bundle whose samples they are.
        output: folder of the gallery, where new samples are written to `samples/<bundle>/volumes`.
        number: number of samples to make, 0 for none.
    """
    if number and bundle.generates and bundle.is_trained:
        target = output / SAMPLES / bundle.name / "volumes"
        config = bundle.folder / "configs" / "inference.json"
        logger.info("%s makes %d samples", bundle.name, number)
        run(config_file=str(config), bundle_root=str(bundle.folder), num_volumes=number, output_dir=str(target))
        return str(target)
    if bundle.generates and (bundle.folder / "eval").is_dir():
        return str(bundle.folder / "eval")
    return None


def write_samples(
    bundle: Bundle, folder: str | os.PathLike, output: Path, most: int, longest: int
) -> list[dict[str, str]]:
    """Write a page for each of a bundle's first samples.

    Args:
        bundle: bundle that made them.
        folder: folder of samples.
        output: folder of the gallery.
        most: number of samples to show.
        longest: number of voxels along a side at the most.

    Returns:
        A "name" for each, the "page" below the gallery's folder, and a "picture" as a data URL. A sample that cannot be
        read is named in a warning and left out.

    Raises:
        FileNotFoundError: there is no such folder, or nothing in it, unless it is the bundle's own `eval`.
    """
    is_own = Path(folder) == bundle.folder / "eval"
    try:
        cases = cases_of(folder)[:most]
    except (FileNotFoundError, VolumeError):
        if is_own:
            return []
        raise
    written = []
    for case in cases:
        try:
            written.append(_write(bundle, case, output, longest))
        except VolumeError as error:
            logger.warning("left out: %s", error)
    return written


def _write(bundle: Bundle, case: Case, output: Path, longest: int) -> dict[str, str]:
    sample = read_sample(case, longest)
    name = file_name(case.id.replace("/", "_"), ".html")
    path = output / SAMPLES / bundle.name / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as partial:
        partial.write_text(viewer_page(case.id, f"Given as made by {bundle.name}.", case, sample), encoding="utf-8")
    return {"name": case.id, "page": f"{SAMPLES}/{bundle.name}/{name}", "picture": png(middle_picture(sample))}
