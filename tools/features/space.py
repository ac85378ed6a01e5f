"""What a feature space is: a map from images to vectors in which distances between sets of images are taken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import torch

Features = np.ndarray | torch.Tensor


@runtime_checkable
class FeatureSpace(Protocol):
    """A feature space. One of your own inherits from this class, and adds at least a name, `dims` and `__call__`.

    `tools.features.spaces.make_space` makes one by name.

    Attributes:
        name: label of every number that is computed in it. Numbers from spaces with different names are not comparable.
        dims: number of features.
        rows: origin of a row of features: a volume, or every slice that is looked at.
        note: sentence on what a reader of those numbers has to know; "" for none.
    """

    name: str
    dims: int
    rows: Literal["volume", "slice"] = "volume"
    note: str = ""

    def __call__(self, volumes: torch.Tensor) -> torch.Tensor:
        """Features of volumes.

        Args:
            volumes: float [B, 1, D, H, W], axial first, values in [-1, 1].

        Returns:
            float32 [n, dims], in the order of the volumes, those of one volume depending on it alone.
        """
        ...

    def to(self, device: torch.device | str) -> FeatureSpace:
        """The space with its weights, if it has any, on a device."""
        return self

    def positions(self, shape: Sequence[int]) -> np.ndarray | None:
        """Places of the axial slices that give the rows of a volume [D, H, W], from 0 at the feet to 1 at the head.

        Returns:
            float64 [rows], NaN for rows of other planes; None for a space of volumes.
        """
        return None

    def normaliser(self, real: Features) -> Callable[[Features], Features]:
        """The map to apply to the features of both sets before any distance is taken, found from those of the real one.

        Args:
            real: [n, dims].
        """
        return lambda features: features

    def probabilities(self, features: torch.Tensor) -> torch.Tensor | None:
        """Class probabilities [n, classes] that follow from features [n, dims], for the inception score; None where the
        space knows no classes.
        """
        return None
