"""A frozen network as a feature space."""

from __future__ import annotations

import torch
from monai.utils import convert_to_tensor
from torch import nn

from tools.features.space import FeatureSpace
from tools.transforms.flat import as_volume

MIN_SIDE = 16
SLICES_AT_ONCE = 16  # through a 2D network; bounds memory


class NetworkFeatures(nn.Module, FeatureSpace):
    """A frozen network as a feature space; what all of them share.

    The network stays in evaluation mode and needs no gradients. Volumes pass through one at a time, in float32, so that
    features do not depend on the batch and memory does not grow with it.

    A feature space adds `rows_of(volume)`: [1, 1, D, H, W] -> [rows, dims].

    Args:
        name: label of what is computed in it, see `FeatureSpace`.
        min_side: least side of the volumes in voxels; of a space of slices that of the slices.
    """

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
            volumes: [B, 1, D, H, W], B >= 1, at least `min_side` a side, values in [-1, 1]; in a space of slices
                also 2D images [B, 1, H, W].

        Returns:
            float32 [n, dims] on the device of the volumes.

        Raises:
            ValueError: the volumes have another shape or are smaller.
        """
        volumes = checked_volumes(volumes, self.name, self.min_side, of_slices=self.rows == "slice")
        volumes = convert_to_tensor(volumes, track_meta=False)
        # Full precision without autotuning: TF32 would give other features on a GPU than on a CPU.
        with (
            torch.autocast(volumes.device.type, enabled=False),
            torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False),
        ):
            return torch.cat([self.rows_of(volume.float()) for volume in volumes.split(1)])


def checked_volumes(volumes: torch.Tensor, name: str, min_side: int, of_slices: bool = False) -> torch.Tensor:
    """A batch [B, 1, D, H, W], B >= 1; 2D images [B, 1, H, W] have depth one.

    Args:
        volumes: batch that a feature space was given.
        name: name of the space.
        min_side: least number of voxels a side.
        of_slices: True asks it of the axial slices alone.

    Raises:
        ValueError: another shape, or smaller volumes.
    """
    shape = tuple(volumes.shape)
    if volumes.ndim in (4, 5) and shape[0] and shape[1] == 1:
        volumes = as_volume(volumes[:, 0], "the batch")[:, None]
        if min(volumes.shape[3 if of_slices else 2 :]) >= min_side:
            return volumes
    what = "rows and columns" if of_slices else "voxels a side"
    hint = "" if of_slices or volumes.ndim != 5 or volumes.shape[2] != 1 else "; 2D images need a space of slices"
    raise ValueError(
        f"{name} takes volumes [batch, 1, depth, height, width] of at least {min_side} {what}, got shape {shape}{hint}"
    )
