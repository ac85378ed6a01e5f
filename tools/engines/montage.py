"""Handlers that show what an evaluator makes: one montage of mid planes, as a file or in TensorBoard."""

from __future__ import annotations

import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import ignite.distributed as idist
import numpy as np
from ignite.engine import Engine, Events
from monai.data import MetaTensor
from monai.transforms import Orientation
from PIL import Image

from tools.io.provenance import Provenance, png_text
from tools.transforms.flat import as_volume, spacing_of
from tools.transforms.planes import grid, headed, mid_planes, render, resized, save_png
from tools.transforms.window import CT_WINDOW, Window

if TYPE_CHECKING:  # only training needs TensorBoard
    from torch.utils.tensorboard import SummaryWriter

logger = logging.getLogger(__name__)

Ends = Window | Sequence[float] | None
"""Values that are black and white; None for each image's own least and greatest."""


class Montage(ABC):
    """Ignite handler that keeps the mid planes of what an evaluator makes; what all montages share.

    Predictions are taken after every iteration, from the list of dictionaries that decollating and postprocessing
    leave in `engine.state.output`; only their mid planes are kept, by the first process and of its own predictions. A
    row is a subject. Its columns are the planes of each image in ``beside``, of each channel of the prediction and of
    each image in ``after``: three of a volume [channels, D, H, W], axes to S, P, L, one of a 2D image [channels, H, W].

    Args:
        pred_key: key of the prediction.
        window: (low, high) in the units of the predictions; (-1024, 600) HU shows a whole CT, (-1350, 150) the lungs,
            None each image's own range.
        spacing: voxel size along S, P, L in mm; None: that of the image if it is a MetaTensor, otherwise cubes.
        max_volumes: number of subjects that are shown, the first.
        beside: (low, high) by key of images to show at the left of the prediction: what it was made from.
        after: (low, high) by key of images to show at its right, where an item has them: what it should have been.
        names: names of the prediction's channels, its key without them; other images with as many have them too, after
            their key.
        turn: True turns images by their affine until their axes run to S, P, L; one without an affine is left as it is.
        view_size: pixels that the longer side of a plane has at least; smaller ones are enlarged, and columns and rows
            are named. 0 leaves a pixel to a voxel, and no names.
    """

    def __init__(
        self,
        pred_key: str = "pred",
        window: Ends = None,
        spacing: Sequence[float] | None = None,
        max_volumes: int = 8,
        beside: Mapping[str, Ends] | None = None,
        after: Mapping[str, Ends] | None = None,
        names: Sequence[str] | None = None,
        view_size: int = 0,
        turn: bool = False,
    ) -> None:
        if max_volumes < 1:
            raise ValueError(f"max_volumes must be at least 1, got {max_volumes}")
        self.windows = {**(beside or {}), pred_key: window}
        self.after = dict(after or {})
        self.names = names
        self.view_size = view_size
        self.turn = turn
        self.pred_key = pred_key
        self.spacing = spacing
        self.max_volumes = max_volumes
        self.reset()

    def attach(self, evaluator: Engine) -> None:
        """Collect on every iteration of `evaluator` and show when it completes."""
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
            ValueError: the output is not a list of dictionaries with an image under each key.
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
            for key, window in {**self.windows, **known}.items():
                for name, channel, spacing in self._channels(key, item):
                    planes = mid_planes(channel)
                    row += render(planes, window, spacing)
                    columns += [f"{name}, {plane}" for plane in planes] if len(planes) > 1 else [name]
            self._rows.append(row)
            self._titles.append(_name({**item, **given}, self.pred_key))
            self._columns = columns

    def _channels(self, key: str, item: Mapping) -> list[tuple[str, np.ndarray, Sequence[float] | None]]:
        """Name, volume [D, H, W] and spacing of every channel of an image."""
        given = item[key]
        if self.turn and isinstance(given, MetaTensor) and given.ndim == 4:
            given = Orientation(axcodes="SPL", labels=None)(given)
        image = as_volume(given, f"{key!r} of a montage")
        spacing = spacing_of(given) if self.spacing is None else self.spacing
        shown = key.replace("_", " ")
        if key == self.pred_key and self.names is not None:
            names = self.names
        elif self.names is not None and len(image) == len(self.names) > 1:
            names = [f"{shown} {name}" for name in self.names]
        else:
            names = [f"{shown} {number + 1}" for number in range(len(image))] if len(image) > 1 else [shown]
        return [(names[number], channel, spacing) for number, channel in enumerate(image)]

    def picture(self) -> np.ndarray:
        """What was collected, uint8 [H, W]."""
        if self.view_size == 0:
            return grid(self._rows)
        longest = max(max(picture.shape) for row in self._rows for picture in row)
        times = max(1, -(-self.view_size // longest))
        return headed(grid([[_enlarged(p, times) for p in row] for row in self._rows], self._titles), self._columns)

    @abstractmethod
    def save(self, engine: Engine) -> None:
        """Show the montage where it belongs."""


class MontageSaver(Montage):
    """Writes the predictions of an evaluator as one montage of mid planes.

    Args:
        output_dir: folder for the picture, made if need be.
        filename: name of the picture.
        pred_key: key of the prediction.
        window: (low, high) of the predictions, see `Montage`.
        provenance: record of what makes the images; the picture says so in its text chunks.
        **options: options of `Montage`.

    Example::

        {"_target_": "tools.engines.montage.MontageSaver", "output_dir": "@output_dir", "window": [-1350, 150]}
    """

    def __init__(
        self,
        output_dir: str | os.PathLike,
        filename: str = "montage.png",
        pred_key: str = "pred",
        window: Ends = CT_WINDOW,
        provenance: Provenance | None = None,
        **options,
    ) -> None:
        super().__init__(pred_key, window, **options)
        self.path = Path(output_dir) / filename
        self.provenance = provenance

    def save(self, engine: Engine) -> None:
        """Write the picture, if anything was collected."""
        if idist.get_rank() != 0:
            return
        if not self._rows:
            logger.warning("no predictions were made, so no montage is written to %s", self.path)
            return
        text = None if self.provenance is None else png_text(self.provenance.record())
        save_png(self.path, self.picture(), text)
        logger.info("wrote a montage of %d image(s) to %s", len(self._rows), self.path)


class TensorBoardMontage(Montage):
    """Shows the predictions of every validation in TensorBoard as one montage of mid planes.

    Args:
        summary_writer: writer of TensorBoard's events.
        tag: name of the pictures.
        window: values shown black and white.
        max_volumes: number of predictions that are shown, the first.
        **options: options of `Montage`.
    """

    def __init__(
        self,
        summary_writer: SummaryWriter,
        tag: str = "samples",
        window: Ends = (-1.0, 1.0),
        max_volumes: int = 4,
        **options,
    ) -> None:
        super().__init__(window=window, max_volumes=max_volumes, **options)
        self.writer = summary_writer
        self.tag = tag

    def save(self, engine: Engine) -> None:
        """Show the montage at the engine's epoch, which is the trainer's."""
        if self._rows:
            self.writer.add_image(self.tag, self.picture(), engine.state.epoch, dataformats="HW")
            self.writer.flush()


def _enlarged(picture: np.ndarray, times: int) -> np.ndarray:
    return resized(picture, picture.shape[0] * times, picture.shape[1] * times, Image.Resampling.BICUBIC)


def _name(item: Mapping, key: str) -> str:
    """What an item is called: its own name or id, or that of its file."""
    for own in ("name", "id"):
        if isinstance(item.get(own), str):
            return item[own]
    meta = item[key].meta if isinstance(item[key], MetaTensor) else {}
    return Path(str(meta.get("filename_or_obj", ""))).name
