"""Montages: the three mid planes of volumes in one picture, to judge them at a glance.

Volumes are [D, H, W], axial first: axis 0 runs to the head (S), axis 1 to the back (P), axis 2 to the patient's left
(L), as SimpleITK reads a LUNA16 file. Planes are shown in radiological convention: the patient's left is on the right
of the axial and the coronal plane, the head is up, and the sagittal plane looks to the viewer's left.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import ignite.distributed as idist
import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.data import MetaTensor
from monai.transforms import Orientation
from monai.utils import convert_to_numpy
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from tools.files import whole_file
from tools.io.provenance import Provenance, png_text

logger = logging.getLogger(__name__)

Volume = np.ndarray | torch.Tensor
Planes = tuple[np.ndarray, np.ndarray, np.ndarray]

CT_WINDOW = (-1024.0, 600.0)  # HU; the window that preprocessing maps to [-1, 1]
LUNG_WINDOW = (-1350.0, 150.0)  # HU; level -600, width 1500
GAP = 2  # pixels between planes
HEADING = 22  # pixels above a picture, where its columns are named
VIEWS = ("axial", "coronal", "sagittal")


def triplanar(volume: Volume) -> Planes:
    """The three mid planes of a volume, upright.

    Args:
        volume: [D, H, W], axes to S, P, L.

    Returns:
        axial [H, W], coronal [D, W] and sagittal [D, H] as arrays. First rows are anterior, superior and superior.

    Raises:
        ValueError: the image has another number of axes, is empty, or has NaN or infinite voxels in a plane.
    """
    if volume.ndim != 3 or min(volume.shape) == 0:
        raise ValueError(f"a montage takes volumes [depth, height, width], got shape {tuple(volume.shape)}")
    d, h, w = (side // 2 for side in volume.shape)
    # Cut first, so that a volume on a GPU stays there.
    axial, coronal, sagittal = (convert_to_numpy(plane) for plane in (volume[d], volume[:, h], volume[:, :, w]))
    # Axis 0 runs to the head while rows run down, so the planes that hold it are flipped.
    planes = axial, coronal[::-1], sagittal[::-1]
    if not all(np.isfinite(plane).all() for plane in planes):
        raise ValueError("the volume has NaN or infinite voxels in a mid plane")
    return planes


def triplanar_montage(
    volumes: Sequence[Volume],
    window: tuple[float, float] | None = None,
    titles: Sequence[str] | None = None,
    spacing: Sequence[float] | None = None,
) -> np.ndarray:
    """One row per volume: axial, coronal and sagittal mid plane, centred in black cells of one size.

    Args:
        volumes: list of [D, H, W], axes to S, P, L; sizes may differ.
        window: (low, high) shown as black and white. None: each volume's own least and greatest value.
        titles: a text per volume, written at the upper left of its row.
        spacing: side lengths of the voxels along S, P, L (mm). Planes are resampled to square pixels of the smallest of
            the three, so that thick slices do not look squashed. None: voxels are cubes.

    Returns:
        uint8 [rows * cell, 3 * cell].

    Raises:
        ValueError: there are no volumes, their shapes differ, a voxel is not finite, the window is empty, or the number
            of titles or spacings does not fit.
    """
    return _montage([_render(triplanar(volume), window, spacing) for volume in volumes], titles)


def save_montage(path: str | os.PathLike, volumes: Sequence[Volume], **kwargs) -> Path:
    """Write `triplanar_montage(volumes, **kwargs)` as a PNG at `path`, all or nothing, and return the path."""
    return _save(path, triplanar_montage(volumes, **kwargs))


class MontageSaver:
    """Ignite handler that writes the predictions of an evaluator as one tri-planar montage.

    Predictions are taken after every iteration, from the list of dictionaries that decollating and postprocessing
    leave in `engine.state.output`; only their mid planes are kept. A row is a subject: three planes of each image in
    `beside`, then three of each channel of the prediction and of each image in `after`. The file is written when the
    engine completes, by the first process and from its own predictions.

    Args:
        output_dir: folder for the picture, made if need be.
        filename: name of the picture.
        pred_key: key of the prediction, [channels, D, H, W], axes to S, P, L or as `turn` says.
        window: (low, high) in the units of the predictions; (-1024, 600) HU shows a whole CT, (-1350, 150) the lungs,
            None each volume's own range.
        spacing: mm along S, P, L; None: that of the prediction if it is a MetaTensor, otherwise cubes.
        max_volumes: the first so many are shown.
        provenance: origin of the volumes, which the picture names in its text chunks.
        beside: key -> (low, high) of images [channels, D, H, W] to show at the left of the prediction: what it was
            made from.
        after: key -> (low, high) of images to show at its right, where an item has them: what it should have been.
        names: names of the prediction's channels; its key without them.
        view_size: pixels that the longer side of a plane has at least; smaller ones are enlarged, and columns and rows
            are named. 0 leaves a pixel to a voxel, and no names.
        turn: True turns images by their affine until their axes run to S, P, L; one without an affine is left as it is.

    Example::

        {"_target_": "tools.transforms.montage.MontageSaver", "output_dir": "@output_dir", "window": [-1350, 150]}
    """

    def __init__(
        self,
        output_dir: str | os.PathLike,
        filename: str = "montage.png",
        pred_key: str = "pred",
        window: tuple[float, float] | None = CT_WINDOW,
        spacing: Sequence[float] | None = None,
        max_volumes: int = 8,
        provenance: Provenance | None = None,
        beside: Mapping[str, Sequence[float] | None] | None = None,
        after: Mapping[str, Sequence[float] | None] | None = None,
        names: Sequence[str] | None = None,
        view_size: int = 0,
        turn: bool = False,
    ) -> None:
        if max_volumes < 1:
            raise ValueError(f"max_volumes must be at least 1, got {max_volumes}")
        self.beside = dict(beside or {})
        self.after = dict(after or {})
        self.names = names
        self.view_size = view_size
        self.turn = turn
        self.path = Path(output_dir) / filename
        self.pred_key = pred_key
        self.window = window
        self.spacing = spacing
        self.max_volumes = max_volumes
        self.provenance = provenance
        self.reset()

    def attach(self, evaluator: Engine) -> None:
        """Collect on every iteration of `evaluator` and write when it completes."""
        evaluator.add_event_handler(Events.STARTED, self.reset)
        evaluator.add_event_handler(Events.ITERATION_COMPLETED, self.collect)
        evaluator.add_event_handler(Events.COMPLETED, self.save)

    def reset(self) -> None:
        """Forget what was collected."""
        self._rows: list[list[np.ndarray]] = []
        self._titles: list[str] = []
        self._columns: list[str] = []

    def collect(self, engine: Engine) -> None:
        """Keep the mid planes of the engine's predictions.

        Raises:
            ValueError: the output is not a list of dictionaries with [channels, D, H, W] under `pred_key`.
        """
        if idist.get_rank() != 0 or len(self._rows) >= self.max_volumes:
            return
        output = engine.state.output
        if not isinstance(output, list) or not all(isinstance(o, dict) and self.pred_key in o for o in output):
            keys = [sorted(map(str, o)) for o in output if isinstance(o, dict)] if isinstance(output, list) else None
            raise ValueError(
                f"the montage takes an evaluator's output as a list of dictionaries with {self.pred_key!r} "
                f"(decollate=True), got {type(output).__name__}" + (f" with keys {keys}" if keys else "")
            )
        batch = engine.state.batch if isinstance(engine.state.batch, list) else [{}] * len(output)
        for item, given in list(zip(output, batch, strict=False))[: self.max_volumes - len(self._rows)]:
            row, columns = [], []
            known = {key: window for key, window in self.after.items() if key in item}
            for key, window in {**self.beside, self.pred_key: self.window, **known}.items():
                image = item[key]
                if image.ndim != 4:
                    shape = tuple(image.shape)
                    raise ValueError(
                        f"{key!r} must be [channels, depth, height, width] for a montage, got shape {shape}"
                    )
                if self.turn and isinstance(image, MetaTensor):
                    image = Orientation(axcodes="SPL", labels=None)(image)
                spacing = self.spacing
                if spacing is None and isinstance(image, MetaTensor):
                    spacing = image.pixdim.tolist()
                names = self.names if key == self.pred_key and self.names is not None else None
                for number, channel in enumerate(image):
                    row += _render(triplanar(channel), window, spacing)
                    shown = key.replace("_", " ")
                    columns.append(names[number] if names else f"{shown} {number + 1}" if len(image) > 1 else shown)
            self._rows.append(row)
            self._titles.append(_name({**item, **given}, self.pred_key))
            self._columns = [f"{column}, {view}" for column in columns for view in VIEWS]

    def picture(self) -> np.ndarray:
        """Return what was collected, uint8 [H, W]."""
        if self.view_size == 0:
            return _montage(self._rows)
        longest = max(max(picture.shape) for row in self._rows for picture in row)
        times = max(1, -(-self.view_size // longest))
        rows = [[_enlarged(picture, times) for picture in row] for row in self._rows]
        return _headed(_montage(rows, self._titles), self._columns)

    def save(self, engine: Engine) -> None:
        """Write the picture, if anything was collected."""
        if idist.get_rank() != 0:
            return
        if not self._rows:
            logger.warning("no predictions were made, so no montage is written to %s", self.path)
            return
        text = None if self.provenance is None else png_text(self.provenance.record())
        logger.info("wrote a montage of %d volume(s) to %s", len(self._rows), _save(self.path, self.picture(), text))


def _render(planes: Planes, window: tuple[float, float] | None, spacing: Sequence[float] | None) -> list[np.ndarray]:
    """Planes -> uint8 pictures with square pixels."""
    if window is None:
        window = min(plane.min() for plane in planes), max(plane.max() for plane in planes)
        if window[0] == window[1]:  # one value everywhere is black
            window = window[0], window[0] + 1
    low, high = (float(end) for end in window)
    if not low < high:
        raise ValueError(f"a window is (low, high) with low < high, got ({low:g}, {high:g})")
    spacing = (1.0, 1.0, 1.0) if spacing is None else tuple(float(mm) for mm in spacing)
    if len(spacing) != 3 or not all(np.isfinite(mm) and mm > 0 for mm in spacing):
        raise ValueError(f"spacing must be three positive lengths along S, P, L, got {spacing}")
    s, p, lateral = spacing
    pictures = []
    for plane, (row_mm, column_mm) in zip(planes, ((p, lateral), (s, lateral), (s, p)), strict=True):
        grey = np.clip((plane.astype(np.float64) - low) / (high - low), 0, 1)
        picture = Image.fromarray(np.round(grey * 255).astype(np.uint8))
        rows, columns = plane.shape
        size = round(columns * column_mm / min(spacing)), round(rows * row_mm / min(spacing))
        pictures.append(np.asarray(picture.resize(size, Image.Resampling.BILINEAR)))
    return pictures


def _montage(rows: Sequence[Sequence[np.ndarray]], titles: Sequence[str] | None = None) -> np.ndarray:
    """Rows of pictures -> one picture."""
    if not rows:
        raise ValueError("a montage needs at least one volume, got none")
    if titles is not None and len(titles) != len(rows):
        raise ValueError(f"a montage of {len(rows)} volumes needs as many titles, got {len(titles)}")
    height = max(picture.shape[0] for row in rows for picture in row) + GAP
    width = max(picture.shape[1] for row in rows for picture in row) + GAP
    canvas = np.zeros((height * len(rows), max(map(len, rows)) * width), np.uint8)
    for i, row in enumerate(rows):
        for j, picture in enumerate(row):
            top = i * height + (height - picture.shape[0]) // 2
            left = j * width + (width - picture.shape[1]) // 2
            canvas[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    if titles is None:
        return canvas
    image = Image.fromarray(canvas)
    draw = ImageDraw.Draw(image)
    for i, title in enumerate(titles):
        draw.text((GAP, i * height + GAP), title, fill=255, stroke_width=1, stroke_fill=0)
    return np.array(image)


def _enlarged(picture: np.ndarray, times: int) -> np.ndarray:
    size = picture.shape[1] * times, picture.shape[0] * times
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))


def _headed(picture: np.ndarray, columns: Sequence[str]) -> np.ndarray:
    """A picture of columns of one width, with their names above."""
    image = Image.fromarray(np.pad(picture, ((HEADING, 0), (0, 0))))
    draw = ImageDraw.Draw(image)
    width = picture.shape[1] // len(columns)
    for number, column in enumerate(columns):
        draw.text((number * width + GAP, 3), column, fill=255, font=ImageFont.load_default(13))
    return np.array(image)


def _name(item: Mapping, key: str) -> str:
    """Return what an item is called: its own name or id, or that of its file."""
    for own in ("name", "id"):
        if isinstance(item.get(own), str):
            return item[own]
    meta = item[key].meta if isinstance(item[key], MetaTensor) else {}
    return Path(str(meta.get("filename_or_obj", ""))).name


def _save(path: str | os.PathLike, picture: np.ndarray, text: PngInfo | None = None) -> Path:
    with whole_file(path) as partial:
        Image.fromarray(picture).save(partial, format="PNG", pnginfo=text)
    return Path(path)
