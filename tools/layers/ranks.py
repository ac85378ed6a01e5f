"""Torch's functions for images and for volumes, by the number of their axes besides batch and channels."""

from __future__ import annotations

import torch.nn.functional as F

CONVOLUTION = {2: F.conv2d, 3: F.conv3d}
TRANSPOSED_CONVOLUTION = {2: F.conv_transpose2d, 3: F.conv_transpose3d}
MEAN_POOLING = {2: F.avg_pool2d, 3: F.avg_pool3d}


def check_spatial_dims(spatial_dims: int) -> int:
    """Return the number of axes if there are layers for it.

    Raises:
        ValueError: the number is neither 2 nor 3.
    """
    if spatial_dims not in CONVOLUTION:
        raise ValueError(f"spatial_dims is {spatial_dims}, expected 2 for images or 3 for volumes")
    return spatial_dims
