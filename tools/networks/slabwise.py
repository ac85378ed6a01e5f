"""Generation of a volume slab by slab, for volumes whose hidden layers do not fit into memory.

The generator of CRF-GAN and HA-GAN is the same function of the whole embedding in inference. What keeps slabs from
being made one by one is group normalisation, whose statistics are those of the whole volume. So every hidden layer is
gone through twice: once to gather them, once to use them. The result equals that of the whole volume within rounding.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from tools.layers.upsample import UpsampleConv3d
from tools.networks.hierarchical_gan import Generator


class SlabwiseGenerator(nn.Module):
    """A trained generator that holds no more of its last hidden layer than a slab.

    The peak is the last stage of G1: its input and its output, [2c, S/4, S/4, S/4], which is kept whole. Decoding
    convolves to the hidden layer, [c, S/2, S/2, S/2], twice.

    Args:
        generator: CRF-GAN's or HA-GAN's.
        length: axial slices of the volume in a slab, 1 or more; fewer take less memory and, as slabs overlap in the
            hidden layer, more time.
    """

    def __init__(self, generator: Generator, length: int = 32) -> None:
        super().__init__()
        if length < 1:
            raise ValueError(f"length is {length}, expected 1 or more slices")
        self.generator = generator
        self.length = length

    def forward(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        """[B, L] and, if there are classes, class indices [B] -> volumes [B, 1, S, S, S] in [-1, 1]."""
        embedding = self.embed(latent, label)
        batch, _, *side = embedding.shape
        volume = embedding.new_empty(batch, 1, *(4 * n for n in side))
        for start, slab in self.decode(embedding):
            volume[:, :, start : start + slab.shape[2]] = slab
        return volume

    @torch.no_grad()
    def embed(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        """G1 with its stages computed by slabs: the embedding [B, 2c, S/4, S/4, S/4]."""
        embed = self.generator.embed
        x = embed.first_features(latent, label)
        for stage in embed.stages:
            x = _stage_by_slabs(stage, x, max(1, self.length // 4))
        return x

    @torch.no_grad()
    def decode(self, embedding: Tensor) -> Iterator[tuple[int, Tensor]]:
        """G2: pairs of an axial slice and the slab [B, 1, length, S, S] that begins there, from first to last.

        Args:
            embedding: result of `embed`.
        """
        (widen, norm, activation), last, squash = self.generator.decode
        hidden_slices = 2 * embedding.shape[2]
        statistics = _Statistics(norm)
        for first, end in _ranges(hidden_slices, max(1, self.length // 2)):
            statistics.add(_slices_of(widen, embedding, first, end))
        for start, end in _ranges(2 * hidden_slices, self.length):
            # under slice i of the volume lie slices (i - 1) // 2 to (i + 1) // 2 of the hidden layer
            below, above = max(0, (start - 1) // 2), min(hidden_slices, end // 2 + 1)
            hidden = activation(statistics.normalise(_slices_of(widen, embedding, below, above)))
            yield start, squash(_slices_of(last, hidden, start - 2 * below, end - 2 * below))


def _ranges(slices: int, length: int) -> Iterator[tuple[int, int]]:
    """[first, end) of consecutive parts of at most ``length`` slices."""
    for first in range(0, slices, length):
        yield first, min(first + length, slices)


def _slices_of(layer: nn.Conv3d, x: Tensor, first: int, end: int) -> Tensor:
    """Axial slices [first, end) of ``layer(x)``, from those slices of ``x`` that they depend on.

    ``layer`` is a 3^3 convolution with padding 1, or one after doubling.
    """
    factor = 2 if isinstance(layer, UpsampleConv3d) else 1
    # one slice more on each side than is under them, so that padding only acts where the volume ends
    below, above = max(0, first // factor - 1), min(x.shape[2], -(-end // factor) + 1)
    return layer(x[:, :, below:above])[:, :, first - factor * below : end - factor * below]


def _stage_by_slabs(stage: nn.Sequential, x: Tensor, length: int) -> Tensor:
    """A convolution, group normalisation and activation of a whole volume, with only the result in full size."""
    layer, norm, activation = stage
    factor = 2 if isinstance(layer, UpsampleConv3d) else 1
    batch, _, *side = x.shape
    result = x.new_empty(batch, layer.out_channels, *(factor * n for n in side))
    statistics = _Statistics(norm)
    for first, end in _ranges(result.shape[2], length):
        slab = _slices_of(layer, x, first, end)
        statistics.add(slab)
        result[:, :, first:end] = slab
    for first, end in _ranges(result.shape[2], length):
        result[:, :, first:end] = activation(statistics.normalise(result[:, :, first:end]))
    return result


class _Statistics:
    """Mean and variance of group normalisation, gathered slab by slab in double precision."""

    def __init__(self, norm: nn.GroupNorm) -> None:
        self.norm = norm
        self.count = 0
        self.sums: Tensor | float = 0.0
        self.squares: Tensor | float = 0.0

    def add(self, slab: Tensor) -> None:
        """[B, C, d, H, W]"""
        grouped = slab.reshape(len(slab), self.norm.num_groups, -1)
        self.count += grouped.shape[2]
        self.sums = self.sums + grouped.sum(2, dtype=torch.float64)
        self.squares = self.squares + grouped.square().sum(2, dtype=torch.float64)

    def normalise(self, slab: Tensor) -> Tensor:
        """[B, C, d, H, W] to the same."""
        mean = self.sums / self.count
        scale = (self.squares / self.count - mean.square() + self.norm.eps).rsqrt()
        mean, scale = (t.repeat_interleave(slab.shape[1] // self.norm.num_groups, dim=1) for t in (mean, scale))
        factor = self.norm.weight * scale
        shift = self.norm.bias - mean * factor
        return slab * _per_channel(factor, slab) + _per_channel(shift, slab)


def _per_channel(values: Tensor, slab: Tensor) -> Tensor:
    return values.to(slab.dtype)[:, :, None, None, None]
