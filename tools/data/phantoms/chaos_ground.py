"""CHAOS's labels of organs: a folder ``Ground`` of PNG beside the slices of each MR image and of each CT."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from tools.data.phantoms.abdomen import Volume
from tools.data.phantoms.abdomen_body import AbdomenBody
from tools.data.phantoms.abdomen_organs import amos_organs

MR_VALUES = {6: 63, 2: 126, 3: 189, 1: 252}
"""AMOS22's label -> grey value in CHAOS's MR: liver, right kidney, left kidney, spleen (Kavur et al. 2021, doi
10.1016/j.media.2020.101950)."""

CT_VALUES = {6: 255}
"""The same in CT, where only the liver is labelled."""


def write_ground(folder: Path, volume: Volume, body: AbdomenBody, values: dict[int, int], names: Sequence[str]) -> None:
    """Write one PNG, 8 bit, for each slice of a volume.

    Args:
        folder: folder to create.
        volume: image of the body and its labels.
        body: patient.
        values: grey value of each organ, by AMOS22's label.
        names: names of the files, in the order of the slices.
    """
    organs = amos_organs(volume, body)
    grey = np.zeros_like(organs)
    for organ, value in values.items():
        grey[organs == organ] = value
    folder.mkdir(parents=True)
    for name, section in zip(names, grey, strict=True):
        Image.fromarray(section).save(folder / name)
