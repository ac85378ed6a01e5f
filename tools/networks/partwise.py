"""Decoding a latent slab by slab, without seams: the volume that an autoencoder decodes as a whole, in less memory.

Windows that are decoded by themselves and blended, as `SlidingWindowInferer` does it, are another function: group
normalisation then has a window's mean and variance. MAISI's own splits are exact, but of convolutions one by one,
between which activations are whole. Here an activation at full resolution is in memory once, after a residual block.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from monai.networks.blocks import Convolution, UpSample
from monai.networks.nets.autoencoderkl import AEKLResBlock
from monai.networks.nets.vqvae import VQVAEResidualUnit
from torch import Tensor, nn

from tools.layers.slabs import Kept, Slabs

BLOCK_REACH = 2
"""Slices on each side on which a slice of a residual block's result depends: two convolutions of 3."""


@torch.no_grad()
def decode_partwise(autoencoder: nn.Module, latent: Tensor, length: int = 32) -> Tensor:
    """``autoencoder.decode(latent)`` of MONAI's ``AutoencoderKL``, ``AutoencoderKlMaisi`` or ``VQVAE``, for inference.

    Equal up to rounding. What is held whole is the result of one residual block, and what it is computed from: itself,
    or what is doubled. All else, with the workspace of convolutions, is of a slab. The first convolution of a block is
    computed twice, and that after doubling three times, for the statistics of normalisations.

    Blocks of attention, which depend on all voxels, are computed whole.

    Args:
        autoencoder: the autoencoder, in eval mode.
        latent: latent [B, channels, D, H, W] or [B, channels, H, W]; for a ``VQVAE`` one that is quantised.
        length: slices in a slab, along D or, in 2D, H. Fewer than twice `BLOCK_REACH` cost more time than they save
            memory.

    Returns:
        Decoded volumes or images, [B, channels, ...].
    """
    before = getattr(autoencoder, "post_quant_conv", None)
    with _without_splits(autoencoder.decoder):
        return _through(autoencoder.decoder.blocks, latent if before is None else before(latent), length)


def _through(blocks: Sequence[nn.Module], x: Tensor, length: int) -> Tensor:
    now: Slabs = Kept(x, length)
    for block in blocks:
        if _is_residual(block):
            made = residual_block(block, now)
            # as now depends on nothing else than itself where it is kept, and it has as many channels
            reused = isinstance(now, Kept) and length >= BLOCK_REACH and block.in_channels == block.out_channels
            now = made.kept(into=now.whole if reused else None)
        elif isinstance(block, nn.GroupNorm):
            now = normalised(now, block)
        elif (local := _local(block)) is not None:
            now = now.then(block, *local)
        else:
            now = Kept(block(now.kept().whole), length)
    return now.kept().whole


def residual_block(block: AEKLResBlock, x: Slabs) -> Slabs:
    """x + conv2(silu(norm2(conv1(silu(norm1(x)))))), where x may have its channels changed by a convolution of 1."""
    x = x.remembered()
    h = normalised(x, block.norm1).then(nn.functional.silu).then(block.conv1, reach=1)
    h = normalised(h, block.norm2).then(nn.functional.silu).then(block.conv2, reach=1)
    return h + x.then(block.nin_shortcut)  # in this order: x has its last slab at hand


def normalised(x: Slabs, norm: nn.GroupNorm) -> Slabs:
    """Group normalisation, which in MAISI may change to half precision."""
    x = x.normalised(norm)
    return x.then(Tensor.half) if getattr(norm, "norm_float16", False) else x


def _is_residual(block: nn.Module) -> bool:
    """Return whether this is MONAI's residual block with group normalisation, or MAISI's."""
    return hasattr(block, "nin_shortcut")


def _local(block: nn.Module) -> tuple[int, int] | None:
    """Reach and factor of a block of which a slice depends on some slices of its input; None for any other."""
    if isinstance(block, VQVAEResidualUnit):
        return BLOCK_REACH, 1
    if isinstance(block, UpSample) or hasattr(block, "use_convtranspose"):  # MAISI's
        return 1, 2
    if isinstance(block, Convolution) or hasattr(block, "num_splits"):  # MAISI's
        conv = next(module for module in block.modules() if hasattr(module, "kernel_size"))
        stride, extent = conv.stride[0], conv.dilation[0] * (conv.kernel_size[0] - 1)
        if conv.transposed and extent + conv.output_padding[0] + 1 == stride + 2 * conv.padding[0]:
            return extent, stride
        if not conv.transposed and stride == 1 and extent == 2 * conv.padding[0]:
            return extent // 2, 1
    return None


@contextmanager
def _without_splits(decoder: nn.Module) -> Iterator[None]:
    """Have MAISI's convolutions not split their input, which fails with few slices."""
    splitting = [module for module in decoder.modules() if hasattr(module, "num_splits")]
    before = [module.num_splits for module in splitting]
    try:
        for module in splitting:
            module.num_splits = 1
        yield
    finally:
        for module, number in zip(splitting, before, strict=True):
            module.num_splits = number
