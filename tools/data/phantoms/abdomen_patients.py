"""Abdominal CT with tumours: which patients of a set have which, whatever the layout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tools.data.phantoms.abdomen import Volume, abdomen_ct
from tools.data.phantoms.abdomen_body import AbdomenBody
from tools.data.phantoms.abdomen_tumours import Tumours

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
