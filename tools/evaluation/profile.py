"""What is kept of an image, and of a set of images, so that sets larger than memory are read once."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from tools.evaluation.views import views_of
from tools.features.space import FeatureSpace
from tools.files import whole_file
from tools.metrics.layer_profile import LayerProfile
from tools.metrics.layers import LAYERS, halves

logger = logging.getLogger(__name__)

FEATURES, POSITIONS = "features", "positions"


@dataclass
class ImageProfile:
    """One image, reduced.

    Attributes:
        id: id of the image in its set.
        shape: [D, H, W] as it was measured.
        value_range: least and greatest value, in the set's own unit.
        layers: histograms and spectra.
        views: name -> uint8 picture, see `tools.evaluation.views`.
        features: name of a feature space -> float32 [rows, dims].
        positions: name of a feature space of slices -> for every row the place of its axial slice, from 0 at the feet
            to 1 at the head, or NaN for slices of other planes.
    """

    id: str
    shape: tuple[int, int, int]
    value_range: tuple[float, float]
    layers: LayerProfile
    views: dict[str, np.ndarray]
    features: dict[str, np.ndarray] = field(default_factory=dict)
    positions: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def constant(self) -> bool:
        """Whether the image shows nothing: one value throughout."""
        return self.value_range[0] == self.value_range[1]

    def save(self, path: str | os.PathLike) -> None:
        """Write to a .npz file, as a whole."""
        arrays = {
            "shape": np.asarray(self.shape),
            "value_range": np.asarray(self.value_range),
            **{f"layers/{name}": array for name, array in self.layers.state().items()},
            **{f"views/{name}": view for name, view in self.views.items()},
            **{f"{FEATURES}/{name}": rows for name, rows in self.features.items()},
            **{f"{POSITIONS}/{name}": rows for name, rows in self.positions.items()},
        }
        with whole_file(path) as partial:
            np.savez(partial, **arrays)

    @classmethod
    def load(cls, path: str | os.PathLike, name: str) -> ImageProfile:
        """Return what `save` wrote, under the id ``name``; any error of NumPy's for a damaged file."""
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)

        def part(group: str) -> dict[str, np.ndarray]:
            return {k.removeprefix(f"{group}/"): v for k, v in arrays.items() if k.startswith(f"{group}/")}

        return cls(
            name,
            tuple(int(n) for n in arrays["shape"]),
            tuple(float(v) for v in arrays["value_range"]),
            LayerProfile.of_state(part("layers")),
            part("views"),
            part(FEATURES),
            part(POSITIONS),
        )


def profile_of(
    volume: np.ndarray,
    name: str,
    spaces: Sequence[FeatureSpace] = (),
    layers: int = LAYERS,
    spacing: Sequence[float] | None = None,
    value_range: tuple[float, float] | None = None,
    device: torch.device | str = "cpu",
) -> ImageProfile:
    """Measures one image.

    Args:
        volume: [D, H, W] in [-1, 1], axial first, from feet to head.
        name: its id.
        spaces: feature spaces to take features in.
        layers: number of axial layers.
        spacing: (D, H, W) in mm, for pictures in proportion; None takes cubes.
        value_range: least and greatest value in the unit of the file; None takes those of the volume.
        device: device on which features are computed.

    Raises:
        ValueError: the volume is none, holds NaN or infinite values, lies outside [-1, 1], or has fewer slices than
            layers.
    """
    volume = np.ascontiguousarray(volume, np.float32)
    if volume.ndim != 3 or not volume.size:
        raise ValueError(f"{name}: expected a volume [D, H, W], got shape {volume.shape}")
    bad = int((~np.isfinite(volume)).sum())
    if bad:
        raise ValueError(f"{name}: {bad} of {volume.size} voxels are NaN or infinite")
    low, high = float(volume.min()), float(volume.max())
    if low < -1.001 or high > 1.001:
        raise ValueError(f"{name}: values from {low:g} to {high:g}, expected [-1, 1]; scale them to it first")
    volume = volume.clip(-1, 1)
    profile = LayerProfile(layers)
    profile.add(volume)
    # in the precision in which it is kept, so that an image gives the same numbers when it is looked up
    profile = LayerProfile.of_state(profile.state())
    result = ImageProfile(name, volume.shape, value_range or (low, high), profile, views_of(volume, spacing))
    tensor = torch.from_numpy(volume)[None, None].to(device)
    for space in spaces:
        if isinstance(space, torch.nn.Module):
            space.to(device)
        result.features[space.name] = space(tensor).cpu().numpy().astype(np.float32)
        if getattr(space, "rows", "volume") == "slice":
            result.positions[space.name] = np.asarray(space.positions(volume.shape), np.float64)
    return result


class SetProfile:
    """A set of images, reduced: grows by features and a picture or two per image only.

    Args:
        name: name of the set, for messages and tables.
        ids: ids of its images. They decide which half an image belongs to, see `tools.metrics.layers.halves`.
        layers: number of axial layers.
        seed: seed of the halves.

    Attributes:
        images: number of images that were added.
        shapes: shape -> ids.
        value_range: least and greatest value over all images, in the set's own unit.
        constant: ids of images that show nothing.
    """

    PICTURED = 4  # images whose views are kept

    def __init__(self, name: str, ids: Sequence[str], layers: int = LAYERS, seed: int = 0) -> None:
        self.name = name
        self._first = set(halves(ids, seed)[0]) if len(ids) > 1 else set(ids)
        self.images = 0
        self.shapes: dict[tuple[int, ...], list[str]] = {}
        self.value_range = (np.inf, -np.inf)
        self.constant: list[str] = []
        self.views: dict[str, dict[str, np.ndarray]] = {}
        self.half_profiles = (LayerProfile(layers), LayerProfile(layers))
        self._features: dict[str, list[np.ndarray]] = {}
        self._positions: dict[str, list[np.ndarray]] = {}
        self._in_first: list[bool] = []

    def add(self, image: ImageProfile) -> None:
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
        first = image.id in self._first
        half = self.half_profiles[0 if first else 1]
        half += image.layers
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
        for name, rows in image.features.items():
            self._features.setdefault(name, []).append(rows)
            if name in image.positions:
                self._positions.setdefault(name, []).append(image.positions[name])
        self.images += 1

    @property
    def layer_profile(self) -> LayerProfile:
        """Layer profile of the whole set."""
        return self.half_profiles[0] + self.half_profiles[1]

    def features(self, space: str) -> np.ndarray:
        """[rows, dims] of all images."""
        return np.concatenate(self._features[space])

    def groups(self, space: str) -> np.ndarray:
        """Number of the image of every row of `features`."""
        return np.repeat(np.arange(self.images), [len(rows) for rows in self._features[space]])

    def positions(self, space: str) -> np.ndarray | None:
        """Place of the axial slice of every row of `features`; None for a space of volumes."""
        return np.concatenate(self._positions[space]) if space in self._positions else None

    def half(self, space: str) -> np.ndarray:
        """True for every row of `features` whose image is in the first half."""
        return np.asarray(self._in_first)[self.groups(space)]


def _size(shape: Sequence[int]) -> str:
    return " x ".join(str(n) for n in shape)


def sets_of(
    profiles: Mapping[str, Sequence[ImageProfile]], layers: int = LAYERS, seed: int = 0
) -> dict[str, SetProfile]:
    """Sets by name from the profiles of their images."""
    sets = {}
    for name, images in profiles.items():
        sets[name] = SetProfile(name, [image.id for image in images], layers, seed)
        for image in images:
            sets[name].add(image)
    return sets


def saved_profiles(folder: Path) -> list[ImageProfile]:
    """All profiles in a folder, by file name."""
    return [ImageProfile.load(path, path.stem) for path in sorted(folder.glob("[!.]*.npz"))]
