"""Generation of a volume slab by slab, for volumes whose hidden layers do not fit into memory.

The generator of CRF-GAN and HA-GAN is the same function of the whole embedding in inference. What keeps slabs from
being made one by one is group normalisation, whose statistics are those of the whole volume. So every hidden layer is
gone through twice: once to gather them, once to use them. The result equals that of the whole volume within rounding.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from tools.layers.slabs import Kept, Slabs
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
        for layer, norm, activation in embed.stages:
            convolved = convolution(Kept(x, max(1, self.length // 4)), layer).kept()
            x = convolved.normalised(norm).then(activation).kept(into=convolved.whole).whole
        return x

    @torch.no_grad()
    def decode(self, embedding: Tensor) -> Iterator[tuple[int, Tensor]]:
        """G2: pairs of an axial slice and the slab [B, 1, length, S, S] that begins there, from first to last.

        Args:
            embedding: result of `embed`.
        """
        (widen, norm, activation), last, squash = self.generator.decode
        hidden = convolution(Kept(embedding, max(1, self.length // 2)), widen).normalised(norm).then(activation)
        volume = convolution(hidden, last).then(squash)
        for start in range(0, volume.slices, self.length):
            yield start, volume.slab(start, min(start + self.length, volume.slices))


def convolution(x: Slabs, layer: nn.Conv3d) -> Slabs:
    """A 3^3 convolution with padding 1, or one after doubling."""
    return x.then(layer, reach=1, factor=2 if isinstance(layer, UpsampleConv3d) else 1)
