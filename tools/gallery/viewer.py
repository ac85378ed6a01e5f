"""A page that shows one sample in three planes: one file of HTML, with the voxels in it, that needs no network.

Voxels are written as in readers' studies (`tools.study.pictures`), in steps of the window: whole HU of CT in 16 bits,
and all else in 8, compressed by gzip, which every browser of today undoes.
"""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader

import tools.study
from tools.gallery.samples import Case, Sample
from tools.study.pictures import GREY_LEVELS, Geometry, grey_values, levels_of, quantised, slice_picture, volume_display
from tools.transforms.outlines import COLOURS

PLANES_SCRIPT = Path(tools.study.__file__).parent / "pages" / "static" / "planes.js"
"""What the study's viewer and this one share."""


def viewer_page(title: str, note: str, case: Case, sample: Sample) -> str:
    """The page of a sample.

    Args:
        title: title of the page.
        note: sentence below it, such as what made the sample.
        case: files of the sample.
        sample: voxels of it.
    """
    here = Path(__file__).parent
    environment = Environment(loader=FileSystemLoader(here), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    scripts = [path.read_text(encoding="utf-8") for path in (PLANES_SCRIPT, here / "viewer.js")]
    return environment.get_template("viewer.html.j2").render(
        title=title, note=note, content=_embedded(content_of(case, sample)), scripts=scripts
    )


def content_of(case: Case, sample: Sample) -> dict[str, Any]:
    """What the page's script reads.

    Returns:
        "channels", each with its "name", the study's display ("shape", "spacing", "low", "high", "levels",
        "hounsfield") and its voxels "data"; "labels" with "data" and its "classes", each a "name", "value" and
        "colour", or None; "reduced", the voxels that one stands for. Voxels are 8 bits up to 255 levels, else 16,
        little-endian, first columns, then rows, then slices, as base64 of gzip.
    """
    channels = []
    for name, volume in sample.images.items():
        window, is_hu = sample.windows[name], sample.hounsfield[name]
        levels = levels_of(window) if is_hu else GREY_LEVELS
        display = volume_display(Geometry(volume.shape, sample.spacing), window, levels, is_hu)
        channels.append({"name": name} | display | {"data": packed(quantised(volume, window, levels))})
    labels = None
    if sample.label is not None:
        known = dict(case.classes)
        unnamed = sorted(set(np.unique(sample.label).tolist()) - {0} - set(known.values()))
        known |= {f"class {value}": value for value in unnamed}
        classes = [
            {"name": name, "value": value, "colour": COLOURS[(value - 1) % len(COLOURS)]}
            for name, value in sorted(known.items(), key=lambda item: item[1])
        ]
        labels = {"data": packed(sample.label), "classes": classes}
    return {"channels": channels, "labels": labels, "reduced": list(sample.reduced)}


def packed(voxels: np.ndarray) -> str:
    """Voxels as text, without a date, so that the same ones give the same text."""
    return base64.b64encode(gzip.compress(np.ascontiguousarray(voxels).tobytes(), 9, mtime=0)).decode("ascii")


def middle_picture(sample: Sample) -> np.ndarray:
    """The middle axial slice of the first image, uint8 [h, w]; the fullest one of the labels where there are some."""
    (name, volume), *_ = sample.images.items()
    index = len(volume) // 2
    if sample.label is not None and sample.label.any():
        index = int((sample.label > 0).sum((1, 2)).argmax())
    geometry = Geometry(volume.shape, sample.spacing)
    return slice_picture(grey_values(volume, sample.windows[name]), geometry, "axial", index)


def _embedded(content: dict[str, Any]) -> str:
    """JSON that may stand in a script element, whatever names hold."""
    return json.dumps(content).replace("<", "\\u003c").replace("&", "\\u0026")
