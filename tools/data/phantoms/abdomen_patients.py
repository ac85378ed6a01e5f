"""Abdominal CT with tumours: which patients of a set have which, whatever the layout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tools.data.phantoms.abdomen import Volume, abdomen_ct
from tools.data.phantoms.abdomen_body import AbdomenBody
from tools.data.phantoms.abdomen_tumours import Tumours
from tools.data.phantoms.folder import checked_settings, write_folder

VERSION = 1
"""Raise this when the same seed gives another phantom than before."""

DEFAULT_SHAPE = (80, 160, 160)
"""Slices, rows and columns: about 3 x 2.3 x 2.3 mm."""


class AbdomenPatient(NamedTuple):
    """The CT of a patient, with the labels of ``Abdomen`` and ``AbdomenTumour``, its body, and the tumours in it."""

    volume: Volume
    body: AbdomenBody
    tumours: list[dict[str, Any]]
    contrast: bool

    def record(self, name: str, validation: bool) -> dict[str, Any]:
        """What ``phantom.json`` says of a patient."""
        return {
            "id": name,
            "section": "validation" if validation else "training",
            "label": int(bool(self.tumours)),
            "spacing": self.volume.spacing,
            "contrast": self.contrast,
            "tumours": self.tumours,
        }


def abdomen_patient(
    seed: int, number: int, shape: Sequence[int], liver: bool, pancreas: bool, contrast: bool | None = True
) -> AbdomenPatient:
    """Patient ``number`` of a set.

    Args:
        seed: seed of the set.
        number: number of the patient.
        shape: slices, rows and columns.
        liver: True if the liver may have tumours: nine of ten patients have.
        pancreas: True for a tumour of the pancreas.
        contrast: True for the portal venous phase, False for none, None for either: three of four with.
    """
    rng = np.random.default_rng([seed, number, 3])
    enhanced = bool(rng.random() < 0.75) if contrast is None else contrast
    body = AbdomenBody.draw([seed, number])
    tumours = Tumours(body, [seed, number, 4], liver and number % 10 != 3, pancreas, enhanced)
    volume = abdomen_ct(body, shape, enhanced, tumours)
    return AbdomenPatient(volume, body, tumours.found, enhanced)


def write_abdomen_phantoms(
    output_dir: str | Path,
    layout: str,
    write: Callable[[Path, dict[str, Any], bool], list[dict]],
    count: int,
    seed: int,
    shape: Sequence[int],
    progress: bool,
) -> Path:
    """Write abdominal CT to ``output_dir``, or return at once if they are there already; the folder appears complete.

    Args:
        output_dir: folder to create; its parents are created too.
        layout: name of the layout.
        write: function of the folder, the settings and ``progress`` that fills it.
        count: number of patients, at least 2; a tenth, but at least 4 of 20 or more, are for validation, one in ten by
            a hash.
        seed: number, 0 or more; another seed gives other patients.
        shape: slices, rows and columns of a scan.
        progress: True shows a progress bar.

    Raises:
        ValueError: an argument is out of range.
        FileExistsError: ``output_dir`` holds phantoms with other settings, or anything else.
    """
    settings = {**checked_settings("abdomen", VERSION, count, seed, shape), "layout": layout}
    return write_folder(output_dir, settings, lambda folder: write(folder, settings, progress))
