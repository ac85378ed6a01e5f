"""The MIND loss: do two images of different modality show edges at the same places?

MIND is the modality independent neighbourhood descriptor (Heinrich et al. 2012); as a loss of a CycleGAN it is from
Yang et al. 2020.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

NEIGHBOURS = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))

PATCH_STD = 1.0
"""Standard deviation of the Gaussian that weights a patch, in pixels; it is cut off at two of them."""

NOISE = 0.05**2
"""Mean squared difference of patches, in images of [-1, 1], up to which an image counts as flat.

The descriptor of the paper is relative to the local variance alone, and so finds structure in the noise of air, which
a generated CT would then have to repeat.
"""


def mind_loss(first: Tensor, second: Tensor) -> Tensor:
    """Mean absolute difference of the self-similarities of two images, whatever their contrast.

    Yang et al. 2020 (Unsupervised MR-to-CT synthesis using structure-constrained CycleGAN, IEEE Trans. Med. Imaging
    39(12)) add it to a CycleGAN, whose cycle loss alone lets a generator shift, shrink and thicken what the other one
    undoes.

    Args:
        first: images [B, C, H, W] in [-1, 1].
        second: images [B, C, H, W] in [-1, 1]; each channel and pixel shows the same place as in ``first``.

    Returns:
        The loss [], from 0 to 1.
    """
    return F.l1_loss(self_similarity(first), self_similarity(second))


def volume_mind_loss(ct: Tensor, mr: Tensor) -> Tensor:
    """`mind_loss` of CT and one or several MR modalities of the same place, slice by slice, the mean of all.

    By this a CycleGAN's best model can be chosen without pairs: on unseen phantoms it ranks networks much as their
    error in HU does, which FID in an untrained feature space does not. A copy of the MR would be perfect, though; that
    no network makes one is left to the discriminators.

    Args:
        ct: volumes [B, 1, D, H, W] in [-1, 1].
        mr: volumes [B, M, D, H, W] in [-1, 1].

    Returns:
        The loss [], from 0 to 1.
    """
    pairs = zip(ct.float().unbind(2), mr.float().unbind(2), strict=True)
    return torch.stack([mind_loss(one.expand_as(other), other) for one, other in pairs]).mean()


def self_similarity(images: Tensor) -> Tensor:
    """The modality independent neighbourhood descriptor of every pixel (Heinrich et al. 2012, Med. Image Anal.
    16(7), in two dimensions).

    How like the patch around a pixel the patches around its eight neighbours are, exp(-D / V): D is the mean squared
    difference of two patches, V that over the four nearest neighbours, and at least `NOISE`; the most similar of the
    eight becomes 1. Images are continued by their border.

    Args:
        images: images [B, C, H, W] in [-1, 1].

    Returns:
        Descriptors [B, 8 * C, H, W] in [0, 1].
    """
    height, width = images.shape[-2:]
    wide = F.pad(images, (1, 1, 1, 1), mode="replicate")
    shifted = [wide[..., 1 + y : 1 + y + height, 1 + x : 1 + x + width] for y, x in NEIGHBOURS]
    differences = torch.stack([(images - other).square() for other in shifted], dim=2)
    distances = patch_means(differences.flatten(1, 2)).unflatten(1, differences.shape[1:3])
    nearest = [number for number, (y, x) in enumerate(NEIGHBOURS) if y == 0 or x == 0]
    variance = distances[:, :, nearest].mean(2, keepdim=True).clamp_min(NOISE)
    # exp(-(D - least D) / V) is exp(-D / V) over its maximum
    similarity = torch.exp(-(distances - distances.amin(2, keepdim=True)) / variance)
    return similarity.flatten(1, 2)


def patch_means(images: Tensor) -> Tensor:
    """Gaussian-weighted means around every pixel of [B, C, H, W]; images are continued by their border."""
    radius = round(2 * PATCH_STD)
    offsets = torch.arange(-radius, radius + 1, dtype=images.dtype, device=images.device)
    window = torch.softmax(-offsets.square() / (2 * PATCH_STD**2), 0)
    channels = images.shape[1]
    padded = F.pad(images, (radius, radius, radius, radius), mode="replicate")
    rows = F.conv2d(padded, window.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)
    return F.conv2d(rows, window.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)
