"""Feature spaces: maps from volumes to vectors in which distances between sets of images are taken.

A feature space is a callable (usually a `torch.nn.Module`) with

- `__call__(volumes)`: float [B, 1, D, H, W], axial first, values in [-1, 1] -> float32 features [n, dims], in the order
  of the volumes, those of one volume depending on it alone;
- `rows`: "volume" for one row per volume, "slice" for one per slice;
- `dims`: the number of features;
- `name`: labels every number computed in it. Numbers from spaces with different names are not comparable;
- `note` (optional): what a reader of those numbers has to know;
- `positions(shape)` (of slices): for every row of a volume [D, H, W] the place of its axial slice, from 0 at the lowest
  to 1 at the highest, NaN for rows of other planes;
- `normalise_by` (optional): a function of the real set's features that gives the map to apply to both sets before any
  distance is taken.

`tools.metrics.spaces.make_space` makes one by name.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

import numpy as np
import torch
from monai.networks.nets.resnet import ResNetFeatures
from monai.utils import convert_to_tensor
from torch import nn

logger = logging.getLogger(__name__)

MIN_SIDE = 16
SLICES_AT_ONCE = 16  # through a 2D network; bounds memory


class NetworkFeatures(nn.Module):
    """A frozen network as a feature space; what all of them share.

    The network stays in evaluation mode and needs no gradients. Volumes pass through one at a time, in float32, so that
    features do not depend on the batch and memory does not grow with it.

    A feature space adds `rows_of(volume)`: [1, 1, D, H, W] -> [rows, dims].

    Args:
        name: see the module.
        min_side: of the volumes, in voxels; of a space of slices that of the slices.
    """

    rows = "volume"
    dims: int

    def __init__(self, name: str, min_side: int = MIN_SIDE) -> None:
        super().__init__()
        self.name = name
        self.min_side = min_side

    def freeze(self) -> None:
        """Call when the networks are in place."""
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> NetworkFeatures:
        """Stays in evaluation mode, whatever contains it."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        """Features of volumes.

        Args:
            volumes: [B, 1, D, H, W], B >= 1, at least `min_side` a side, values in [-1, 1].

        Returns:
            float32 [n, dims] on the device of the volumes.

        Raises:
            ValueError: for another shape or smaller volumes.
        """
        check_volumes(volumes, self.name, self.min_side, of_slices=self.rows == "slice")
        volumes = convert_to_tensor(volumes, track_meta=False)
        # Full precision without autotuning: TF32 would give other features on a GPU than on a CPU.
        with (
            torch.autocast(volumes.device.type, enabled=False),
            torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False),
        ):
            return torch.cat([self.rows_of(volume.float()) for volume in volumes.split(1)])


class UntrainedFeatures(NetworkFeatures):
    """MONAI's 3D ResNet-10 with random weights: a feature space that needs no download.

    The features are the means over space of the outputs of the stem and the four stages (64 + 64 + 128 + 256 + 512 =
    1024 dimensions): the early ones see noise and texture, the late ones shape. Distances in this space rank rough
    realism (noise, blur, missing structure), nothing finer, and are not comparable with any published FID or MMD,
    which use trained networks.

    The weights follow from `seed` alone and are the same on every machine; the global random state is untouched.

    Args:
        seed: of the weights, >= 0.

    Attributes:
        name: "untrained-resnet10-seed<seed>".
        dims: 1024.

    Example::

        features = UntrainedFeatures()
        frechet_distance(features(real), features(synthetic))
    """

    dims = 1024
    note = (
        "features of an untrained network: distances rank rough realism only and are not comparable with the FID or "
        "MMD of any paper"
    )

    def __init__(self, seed: int = 0) -> None:
        super().__init__(f"untrained-resnet10-seed{_checked_seed(seed)}")
        self.network = _untrained_resnet10(3, seed)
        self.freeze()
        logger.warning("%s: %s", self.name, self.note)

    def rows_of(self, volume: torch.Tensor) -> torch.Tensor:
        """[1, 1, D, H, W] -> [1, 1024]."""
        return torch.cat([stage.mean((2, 3, 4)) for stage in self.network(volume)], dim=1)


class UntrainedSliceFeatures(NetworkFeatures):
    """As `UntrainedFeatures`, with the 2D network and a row for every axial slice, from the lowest up.

    Args:
        seed: of the weights, >= 0.

    Attributes:
        name: "untrained-slices-resnet10-seed<seed>".
        dims: 1024.
    """

    rows = "slice"
    dims = UntrainedFeatures.dims
    note = UntrainedFeatures.note

    def __init__(self, seed: int = 0) -> None:
        super().__init__(f"untrained-slices-resnet10-seed{_checked_seed(seed)}")
        self.network = _untrained_resnet10(2, seed)
        self.freeze()
        logger.warning("%s: %s", self.name, self.note)

    @staticmethod
    def positions(shape: Sequence[int]) -> np.ndarray:
        """The place of every axial slice, see the module."""
        return (np.arange(shape[0]) + 0.5) / shape[0]

    def rows_of(self, volume: torch.Tensor) -> torch.Tensor:
        """[1, 1, D, H, W] -> [D, 1024]."""
        return torch.cat(
            [
                torch.cat([stage.mean((2, 3)) for stage in self.network(slices)], dim=1)
                for slices in volume[0, 0, :, None].split(SLICES_AT_ONCE)
            ]
        )


def check_volumes(volumes: torch.Tensor, name: str, min_side: int, of_slices: bool = False) -> None:
    """Raises ValueError unless the volumes are [B, 1, D, H, W], B >= 1, of at least `min_side` voxels a side, or if
    ``of_slices`` with axial slices that are.
    """
    sides = volumes.shape[3 if of_slices else 2 :]
    if volumes.ndim != 5 or volumes.shape[1] != 1 or 0 in volumes.shape or min(sides) < min_side:
        what = "rows and columns" if of_slices else "voxels a side"
        raise ValueError(
            f"{name} takes volumes [batch, 1, depth, height, width] of at least {min_side} {what}, got shape "
            f"{tuple(volumes.shape)}"
        )


def _checked_seed(seed: int) -> int:
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"the seed of untrained features must be an integer >= 0, got {seed!r}")
    return seed


def _untrained_resnet10(spatial_dims: int, seed: int) -> ResNetFeatures:
    # The constructor draws weights of its own, which are replaced below.
    with torch.random.fork_rng(devices=[]):
        network = ResNetFeatures("resnet10", pretrained=False, spatial_dims=spatial_dims, in_channels=1)
    _initialize(network, seed)
    return network


def _initialize(network: nn.Module, seed: int) -> None:
    """He initialization by fan-in (He et al. 2015), which keeps the five stages at one scale; biases are zero.

    Uniform rather than normal, because torch's uniform numbers are the generator's bits scaled, equal on every
    machine, while normal ones pass through logarithms and cosines that are not. The fresh batch norms, in evaluation
    mode, are identities.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, (nn.Conv2d, nn.Conv3d)):
                bound = math.sqrt(6 / module.weight[0].numel())
                module.weight.uniform_(-bound, bound, generator=generator)
                if module.bias is not None:
                    module.bias.zero_()
