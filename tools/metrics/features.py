"""Feature spaces: maps from volumes to vectors in which distances between sets of images are taken.

A feature space is a callable (usually a `torch.nn.Module`) with

- `__call__(volumes)`: [B, 1, D, H, W] with values in [-1, 1] -> features [B, dims], each row depending on its own
  volume alone;
- `name`: labels every number computed in it. Numbers from spaces with different names are not comparable;
- `note` (optional): what a reader of those numbers has to know.
"""

from __future__ import annotations

import logging
import math

import torch
from monai.networks.nets.resnet import ResNetFeatures
from monai.utils import convert_to_tensor
from torch import nn

logger = logging.getLogger(__name__)

MIN_SIDE = 16


class UntrainedFeatures(nn.Module):
    """MONAI's 3D ResNet-10 with random weights: a feature space that needs no download.

    The features are the means over space of the outputs of the stem and the four stages (64 + 64 + 128 + 256 + 512 =
    1024 dimensions): the early ones see noise and texture, the late ones shape. Distances in this space rank rough
    realism (noise, blur, missing structure), nothing finer, and are not comparable with any published FID or MMD,
    which use trained networks.

    The weights follow from `seed` alone and are the same on every machine; the global random state is untouched. The
    network is frozen and stays in evaluation mode. Volumes pass through one at a time, in float32, so that features
    do not depend on the batch and memory does not grow with it.

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
        super().__init__()
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise ValueError(f"the seed of untrained features must be an integer >= 0, got {seed!r}")
        self.name = f"untrained-resnet10-seed{seed}"
        # The constructor draws weights of its own, which are replaced below.
        with torch.random.fork_rng(devices=[]):
            self.network = ResNetFeatures("resnet10", pretrained=False, spatial_dims=3, in_channels=1)
        _initialize(self.network, seed)
        self.requires_grad_(False)
        self.eval()
        logger.warning("%s: %s", self.name, self.note)

    def train(self, mode: bool = True) -> UntrainedFeatures:
        """Stays in evaluation mode, whatever contains it."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        """Features of volumes.

        Args:
            volumes: [B, 1, D, H, W], B >= 1, at least 16 a side, values in [-1, 1].

        Returns:
            float32 [B, 1024] on the device of the volumes.

        Raises:
            ValueError: for another shape or smaller volumes.
        """
        if volumes.ndim != 5 or volumes.shape[1] != 1 or len(volumes) == 0 or min(volumes.shape[2:]) < MIN_SIDE:
            raise ValueError(
                f"{self.name} takes volumes [batch, 1, depth, height, width] of at least {MIN_SIDE} voxels a side, "
                f"got shape {tuple(volumes.shape)}"
            )
        volumes = convert_to_tensor(volumes, track_meta=False)
        # Full precision without autotuning: TF32 would give other features on a GPU than on a CPU.
        with (
            torch.autocast(volumes.device.type, enabled=False),
            torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False),
        ):
            return torch.cat(
                [
                    torch.cat([stage.mean((2, 3, 4)) for stage in self.network(volume.float())], dim=1)
                    for volume in volumes.split(1)
                ]
            )


def _initialize(network: nn.Module, seed: int) -> None:
    """He initialization by fan-in (He et al. 2015), which keeps the five stages at one scale; biases are zero.

    Uniform rather than normal, because torch's uniform numbers are the generator's bits scaled, equal on every
    machine, while normal ones pass through logarithms and cosines that are not. The fresh batch norms, in evaluation
    mode, are identities.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv3d):
                bound = math.sqrt(6 / module.weight[0].numel())
                module.weight.uniform_(-bound, bound, generator=generator)
                if module.bias is not None:
                    module.bias.zero_()
