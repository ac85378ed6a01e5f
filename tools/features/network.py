"""A frozen network as a feature space."""

from __future__ import annotations

import torch
from monai.utils import convert_to_tensor
from torch import nn

MIN_SIDE = 16
SLICES_AT_ONCE = 16  # through a 2D network; bounds memory


class NetworkFeatures(nn.Module):
    """A frozen network as a feature space; what all of them share.

    The network stays in evaluation mode and needs no gradients. Volumes pass through one at a time, in float32, so that
    features do not depend on the batch and memory does not grow with it.

    A feature space adds `rows_of(volume)`: [1, 1, D, H, W] -> [rows, dims].

    Args:
        name: name, see the module.
        min_side: least side of the volumes, in voxels; of a space of slices that of the slices.
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
            ValueError: the volumes have another shape or are smaller.
        """
        check_volumes(volumes, self.name, self.min_side, of_slices=self.rows == "slice")
        volumes = convert_to_tensor(volumes, track_meta=False)
        # Full precision without autotuning: TF32 would give other features on a GPU than on a CPU.
        with (
            torch.autocast(volumes.device.type, enabled=False),
            torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False),
        ):
            return torch.cat([self.rows_of(volume.float()) for volume in volumes.split(1)])


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
