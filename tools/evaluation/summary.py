"""What is kept of an image, and of a set of images, so that sets larger than memory are read once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from tools.evaluation.units import Unit
from tools.evaluation.views import views_of
from tools.features.space import FeatureSpace
from tools.metrics.layer_summary import LayerSummary
from tools.metrics.layers import default_layers, split
from tools.transforms.flat import as_volume

OVERSHOOT = 1.001
"""Largest magnitude that rounding of values in [-1, 1] is taken for; more is refused, not clipped."""


@dataclass(frozen=True)
class Rows:
    """Features of an image in a space.

    Attributes:
        features: float32 [rows, dims].
        positions: float64 [rows], for every row the place of its axial slice, from 0 at the feet to 1 at the head, NaN
            for slices of other planes; None in a space of volumes.
    """

    features: np.ndarray
    positions: np.ndarray | None = None

    def state(self) -> dict[str, np.ndarray]:
        """All of it as arrays, for `of_state`."""
        return {"features": self.features, **({} if self.positions is None else {"positions": self.positions})}

    @classmethod
    def of_state(cls, state: Mapping[str, np.ndarray]) -> Rows:
        """The features that `state` was taken of."""
        return cls(state["features"], state.get("positions"))


@dataclass(frozen=True)
class ImageSummary:
    """One image, reduced.

    Attributes:
        id: name of the image in its set.
        shape: size [D, H, W] as it was measured; D is 1 for a 2D image.
        value_range: least and greatest value, in the set's own unit.
        layers: histograms and spectra.
        views: uint8 pictures by name, see `tools.evaluation.views`.
        rows: features by name of the space.
    """

    id: str
    shape: tuple[int, int, int]
    value_range: tuple[float, float]
    layers: LayerSummary
    views: dict[str, np.ndarray]
    rows: dict[str, Rows] = field(default_factory=dict)

    @property
    def constant(self) -> bool:
        """Whether the image shows nothing: one value throughout."""
        return self.value_range[0] == self.value_range[1]

    def state(self) -> dict[str, np.ndarray]:
        """All of it but the id as arrays, for `of_state`."""
        return {
            "shape": np.asarray(self.shape),
            "value_range": np.asarray(self.value_range),
            **{f"layers/{name}": array for name, array in self.layers.state().items()},
            **{f"views/{name}": view for name, view in self.views.items()},
            **{f"rows/{part}/{name}": a for name, rows in self.rows.items() for part, a in rows.state().items()},
        }

    @classmethod
    def of_state(cls, state: Mapping[str, np.ndarray], name: str) -> ImageSummary:
        """The summary that `state` was taken of, under the id ``name``."""

        def part(group: str) -> dict[str, np.ndarray]:
            return {k.removeprefix(f"{group}/"): v for k, v in state.items() if k.startswith(f"{group}/")}

        features, positions = part("rows/features"), part("rows/positions")
        return cls(
            name,
            tuple(int(n) for n in state["shape"]),
            tuple(float(v) for v in state["value_range"]),
            LayerSummary.of_state(part("layers")),
            part("views"),
            {space: Rows(rows, positions.get(space)) for space, rows in features.items()},
        )


def summary_of(
    image: np.ndarray,
    name: str,
    spaces: Sequence[FeatureSpace] = (),
    layers: int | None = None,
    spacing: Sequence[float] | None = None,
    value_range: tuple[float, float] | None = None,
    device: torch.device | str = "cpu",
) -> ImageSummary:
    """Measure one image.

    Args:
        image: volume [D, H, W] in [-1, 1], axial first, from feet to head, or 2D image [H, W] or [1, H, W].
        name: id of the image.
        spaces: feature spaces to take features in.
        layers: number of axial layers; None takes ten of a volume and one of a 2D image.
        spacing: voxel size (D, H, W) in mm, for pictures in proportion; None takes cubes.
        value_range: least and greatest value in the unit of the file; None takes those of the image.
        device: device on which features are computed.

    Raises:
        ValueError: the image is none, holds NaN or infinite values, lies outside [-1, 1], or has fewer slices than
            layers.
    """
    volume = as_volume(np.ascontiguousarray(image, np.float32)[None], name)[0]
    bad = int((~np.isfinite(volume)).sum())
    if bad:
        raise ValueError(f"{name}: {bad} of {volume.size} voxels are NaN or infinite")
    low, high = float(volume.min()), float(volume.max())
    if low < -OVERSHOOT or high > OVERSHOOT:
        raise ValueError(f"{name}: values from {low:g} to {high:g}, expected [-1, 1]; scale them to it first")
    volume = volume.clip(-1, 1)
    summary = LayerSummary(default_layers(len(volume)) if layers is None else layers)
    summary.add(volume)
    # in the precision in which it is kept, so that an image gives the same numbers when it is looked up
    summary = LayerSummary.of_state(summary.state())
    tensor = torch.from_numpy(volume)[None, None].to(device)
    rows = {}
    for space in spaces:
        features = space.to(device)(tensor).cpu().numpy().astype(np.float32)
        positions = space.positions(volume.shape)
        rows[space.name] = Rows(features, None if positions is None else np.asarray(positions, np.float64))
    return ImageSummary(name, volume.shape, value_range or (low, high), summary, views_of(volume, spacing), rows)


def signed_volume(image: torch.Tensor, what: str) -> torch.Tensor:
    """One channel of what an evaluator gives, as a volume [D, H, W] in [-1, 1], to which it is clipped.

    Args:
        image: volume [1, D, H, W], or 2D image [1, H, W], of which D is 1 then.
        what: name of the image, for messages.

    Raises:
        ValueError: the image has more than a channel, or another number of axes.
    """
    volume = as_volume(torch.as_tensor(image).detach().float(), what)
    if len(volume) != 1:
        raise ValueError(f"{what} has {len(volume)} channels, expected one; got shape {tuple(image.shape)}")
    return volume[0].clamp(-1, 1)


def summary_of_tensor(
    volume: torch.Tensor,
    name: str,
    spaces: Sequence[FeatureSpace],
    layers: int | None,
    spacing: Sequence[float] | None,
    unit: Unit,
) -> ImageSummary:
    """Measure a volume of `signed_volume` on its device, see `summary_of`; its range is told in a unit."""
    array = np.asarray(volume.cpu())
    ends = unit.value(float(array.min())), unit.value(float(array.max()))
    return summary_of(array, name, spaces, layers, spacing, ends, volume.device)


class SetSummary:
    """A set of images, reduced: grows by features and a picture or two per image only.

    Args:
        name: name of the set, for messages and tables.
        ids: ids of its images. They decide which half an image belongs to, see `tools.metrics.layers.split`.
        seed: random seed of the split.

    Attributes:
        images: number of images that were added.
        shapes: ids by shape.
        value_range: least and greatest value over all images, in the set's own unit.
        constant: ids of images that show nothing.
        views: pictures of the first images by id.
    """

    PICTURED = 4  # images whose views are kept

    def __init__(self, name: str, ids: Sequence[str], seed: int = 0) -> None:
        self.name = name
        self._first = set(split(ids, seed)[0]) if len(ids) > 1 else set(ids)
        self.images = 0
        self.shapes: dict[tuple[int, ...], list[str]] = {}
        self.value_range = (np.inf, -np.inf)
        self.constant: list[str] = []
        self.views: dict[str, dict[str, np.ndarray]] = {}
        self._split: tuple[LayerSummary, LayerSummary] | None = None
        self._rows: dict[str, list[Rows]] = {}
        self._in_first: list[bool] = []

    def add(self, image: ImageSummary) -> None:
        """Add an image.

        Raises:
            ValueError: its slices have another size than those before.
        """
        known = next(iter(self.shapes), None)
        if known is not None and image.shape[1:] != known[1:]:
            raise ValueError(
                f"{self.name}: {image.id} has slices of {_size(image.shape[1:])} and {self.shapes[known][0]} of "
                f"{_size(known[1:])}; resample them to one size (image_size)"
            )
        if self._split is None:
            self._split = (LayerSummary(image.layers.layers), LayerSummary(image.layers.layers))
        first = image.id in self._first
        part = self._split[0 if first else 1]
        part += image.layers
        self._in_first.append(first)
        self.shapes.setdefault(tuple(image.shape), []).append(image.id)
        self.value_range = (
            min(self.value_range[0], image.value_range[0]),
            max(self.value_range[1], image.value_range[1]),
        )
        if image.constant:
            self.constant.append(image.id)
        if len(self.views) < self.PICTURED:
            self.views[image.id] = image.views
        for space, rows in image.rows.items():
            self._rows.setdefault(space, []).append(rows)
        self.images += 1

    @property
    def split_layers(self) -> tuple[LayerSummary, LayerSummary]:
        """Layers of the two halves.

        Raises:
            ValueError: the set is empty.
        """
        if self._split is None:
            raise ValueError(f"the {self.name} set has no image")
        return self._split

    @property
    def layer_summary(self) -> LayerSummary:
        """Layers of the whole set."""
        first, second = self.split_layers
        return first + second

    def features(self, space: str) -> np.ndarray:
        """[rows, dims] of all images."""
        return np.concatenate([rows.features for rows in self._rows[space]])

    def groups(self, space: str) -> np.ndarray:
        """For every row of `features` the number of its image."""
        return np.repeat(np.arange(self.images), [len(rows.features) for rows in self._rows[space]])

    def positions(self, space: str) -> np.ndarray | None:
        """For every row of `features` the place of its axial slice; None for a space of volumes."""
        found = [rows.positions for rows in self._rows[space]]
        return None if found[0] is None else np.concatenate(found)

    def in_first(self, space: str) -> np.ndarray:
        """For every row of `features` whether its image is in the first half."""
        return np.asarray(self._in_first)[self.groups(space)]


def sets_of(summaries: Mapping[str, Sequence[ImageSummary]], seed: int = 0) -> dict[str, SetSummary]:
    """Sets by name from the summaries of their images."""
    sets = {}
    for name, images in summaries.items():
        sets[name] = SetSummary(name, [image.id for image in images], seed)
        for image in images:
            sets[name].add(image)
    return sets


def _size(shape: Sequence[int]) -> str:
    return " x ".join(str(n) for n in shape)
