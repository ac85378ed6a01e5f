"""Networks with random weights as feature spaces, which need no download."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

import numpy as np
import torch
from monai.networks.nets.resnet import ResNetFeatures
from torch import nn

from tools.features.network import SLICES_AT_ONCE, NetworkFeatures

logger = logging.getLogger(__name__)


class UntrainedFeatures(NetworkFeatures):
    """MONAI's 3D ResNet-10 with random weights: a feature space that needs no download.

    The features are the means over space of the outputs of the stem and the four stages (64 + 64 + 128 + 256 + 512 =
    1024 dimensions): the early ones see noise and texture, the late ones shape. Distances in this space rank rough
    realism (noise, blur, missing structure), nothing finer, and are not comparable with any published FID or MMD,
    which use trained networks.

    The weights follow from `seed` alone and are the same on every machine; the global random state is untouched.

    Args:
        seed: seed of the weights, >= 0.

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
    """Features as `UntrainedFeatures`, with the 2D network and a row for every axial slice, from the lowest up.

    Args:
        seed: seed of the weights, >= 0.

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
