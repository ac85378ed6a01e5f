"""InceptionV3, trained on photographs, on slices of three planes: the classic feature space of the FID."""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from tools.features.network import SLICES_AT_ONCE, NetworkFeatures
from tools.features.weights import WeightFile, load_weights
from tools.transforms.flat import is_flat

INCEPTION = WeightFile(
    "inception_v3_google-0cc3c7bd.pth",
    "0cc3c7bd75056d25e46cba549dc184522069b81e9787eff6df84f397bd52a5ef",
    "https://download.pytorch.org/models/inception_v3_google-0cc3c7bd.pth",
    "torchvision's InceptionV3, trained on ImageNet",
)

AXES = {"axial": 0, "coronal": 1, "sagittal": 2}
INPUT_SIDE = 299


class InceptionFeatures(NetworkFeatures):
    """Pooled features of torchvision's InceptionV3 (Szegedy et al. 2016) on slices, one row per slice.

    A slice in [-1, 1] is resized to 299 x 299 (bilinear, averaging where it shrinks) and given as all three channels.
    That is what torchvision's preprocessing of a grey image comes to: ImageNet's means and deviations are applied, then
    undone by the network's `transform_input`.

    Rows are ordered by volume, then plane, then position. The planes make up one set.

    Args:
        weights: the file or its folder; None looks in torch.hub's folder and downloads it there.
        planes: planes out of "axial", "coronal" and "sagittal".
        slices: largest number of slices per plane, the middles of as many parts of equal thickness.
        check_hash: False accepts other weights of this network.

    Attributes:
        name: "inception-v3-<first 8 digits of the weights' SHA-256>-<planes>-<slices>".
        dims: 2048.

    Raises:
        ValueError: unknown planes, or weights of another network or with another hash.
        FileNotFoundError: the weights are not there, see `WeightFile.locate`.
        ImportError: torchvision is missing.
    """

    rows = "slice"
    dims = 2048
    note = (
        "features of a classifier of photographs, with torchvision's weights: not comparable with a FID that uses the "
        "TensorFlow weights; slices of one volume are not independent samples"
    )

    def __init__(
        self,
        weights: str | os.PathLike | None = None,
        planes: Sequence[str] = tuple(AXES),
        slices: int = 16,
        check_hash: bool = True,
    ) -> None:
        planes = (planes,) if isinstance(planes, str) else tuple(planes)
        if not planes or len(set(planes)) < len(planes) or not set(planes) <= AXES.keys():
            raise ValueError(f"planes are {planes}, expected some of {tuple(AXES)}, each once")
        if isinstance(slices, bool) or not isinstance(slices, int) or slices < 1:
            raise ValueError(f"slices is {slices!r}, expected 1 or more per plane")
        network = _inception_v3()
        path, digest = INCEPTION.locate(weights, check_hash)
        super().__init__(f"inception-v3-{digest[:8]}-{'+'.join(planes)}-{slices}", min_side=1)
        self.planes = planes
        self.slices = slices
        load_weights(network, path)
        self.classifier, network.fc = network.fc, nn.Identity()
        self.network = network
        self.freeze()

    def rows_of(self, volume: torch.Tensor) -> torch.Tensor:
        """[1, 1, D, H, W] -> [slices of all planes, 2048]."""
        if is_flat(volume.shape) and self.planes != ("axial",):
            raise ValueError(f"{self.name} looks at several planes, and a 2D image has one; choose planes='axial'")
        return torch.cat(
            [
                self.network(self.prepared(part))
                for plane in self.planes
                for part in self.slices_of(volume[0, 0], plane).split(SLICES_AT_ONCE)
            ]
        )

    def positions(self, shape: Sequence[int]) -> np.ndarray:
        """The place of every row's axial slice, NaN for those of other planes."""
        places = []
        for plane in self.planes:
            chosen = self._chosen(shape[AXES[plane]])
            places.append((chosen + 0.5) / shape[0] if plane == "axial" else np.full(len(chosen), np.nan))
        return np.concatenate(places)

    def _chosen(self, thickness: int) -> np.ndarray:
        """Numbers of the slices that are taken of so many."""
        count = min(self.slices, thickness)
        return ((np.arange(count) + 0.5) * thickness / count).astype(int)

    def slices_of(self, volume: torch.Tensor, plane: str) -> torch.Tensor:
        """[D, H, W] -> [slices, side, side], the chosen slices of a plane in order."""
        volume = volume.movedim(AXES[plane], 0)
        return volume[torch.from_numpy(self._chosen(len(volume)))]

    @staticmethod
    def prepared(slices: torch.Tensor) -> torch.Tensor:
        """[n, h, w] in [-1, 1] -> [n, 3, 299, 299] in [-1, 1]."""
        resized = nn.functional.interpolate(
            slices[:, None], (INPUT_SIDE, INPUT_SIDE), mode="bilinear", align_corners=False, antialias=True
        )
        return resized.expand(-1, 3, -1, -1)

    @torch.no_grad()
    def probabilities(self, features: torch.Tensor) -> torch.Tensor:
        """Class probabilities [n, 1000] that follow from features [n, 2048], for `tools.metrics.inception_score`."""
        return self.classifier(features.to(self.classifier.weight)).softmax(1)


def _inception_v3() -> nn.Module:
    """torchvision's network, without values: its parameters are on the meta device until weights are loaded."""
    try:
        from torchvision.models import inception_v3
    except ImportError as error:
        raise ImportError(f"Inception features need torchvision ({error}): pip install torchvision") from error
    except RuntimeError:
        # Where torchvision's compiled operators do not fit torch, describing them to torch fails, and the import with
        # it. Inception needs none of them, so it is imported without these descriptions.
        sys.modules["torchvision._meta_registrations"] = types.ModuleType("torchvision._meta_registrations")
        from torchvision.models import inception_v3
    with torch.device("meta"):
        return inception_v3(weights=None, init_weights=False, aux_logits=True, transform_input=False)
