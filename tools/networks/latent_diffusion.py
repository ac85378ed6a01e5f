"""Latent diffusion: an autoencoder and a denoiser of its latents, as one network (Rombach et al. 2022)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from monai.networks.utils import pixelshuffle, pixelunshuffle
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from tools.networks.partwise import decode_partwise
from tools.networks.patches import checked_patch


class LatentAutoencoder(nn.Module):
    """MONAI's ``AutoencoderKL`` or ``VQVAE`` for samples of images and labels, with the scale of its latents.

    A channel of labels is what ``tools.transforms.channels.Channels`` makes of it: 1 inside of the class, -1 outside.
    The network's own output there is the logit l of the class: the channel is 2 sigmoid(l) - 1 = tanh(l / 2).

    Latents are the means of ``AutoencoderKL``, or what ``VQVAE`` quantises: decoding does so, and the denoiser works
    before it (Rombach et al. 2022, section 3.1: "the quantization layer is absorbed by the decoder").

    With a patch, cubes of so many voxels a side become the channels of one place before the network, and voxels again
    after it (Shi et al. 2016). Its first and last level, which have most of the work, then have patch^3 times fewer
    places; what a latent can hold stays the same for one level less.

    Args:
        network: the autoencoder, of patch^3 times as many channels as a sample has.
        num_images: number of channels that are images, the first; the others are labels.
        patch: side of a patch in voxels; 1 gives the network voxels.

    Raises:
        ValueError: ``patch`` is no whole number above 0.

    Attributes:
        scale: factor of latents with which their deviation over the training set is 1, a buffer [] that is saved with
            the weights; 0 until it is measured.
    """

    def __init__(self, network: nn.Module, num_images: int, patch: int = 1) -> None:
        super().__init__()
        self.network = network
        self.num_images = num_images
        self.patch = checked_patch(patch)
        self.quantises = hasattr(network, "quantize")
        self.register_buffer("scale", torch.zeros(()))

    @property
    def factor(self) -> int:
        """Voxels of a sample along an axis for one of its latent."""
        strides = (layer.stride[0] for layer in self.network.encoder.modules() if isinstance(layer, _ConvNd))
        return self.patch * math.prod(strides)

    @property
    def latent_channels(self) -> int:
        """Number of channels of a latent."""
        return self.network.embedding_dim if self.quantises else self.network.latent_channels

    def latent_shape(self, size: Sequence[int]) -> tuple[int, ...]:
        """Channels and size of the latent of a sample of this size.

        Raises:
            ValueError: a length is not divisible by `factor`.
        """
        if any(length % self.factor for length in size):
            raise ValueError(f"samples have size {list(size)}, expected lengths that {self.factor} divides")
        return self.latent_channels, *(length // self.factor for length in size)

    def forward(self, x: Tensor) -> Tensor:
        """Reconstruction of samples [B, channels, (D,) H, W], by the mean."""
        return self.sample(self.outputs(self.encode(x)[0]))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Mean and deviation of the latents of samples, without the scale; no deviation of those to be quantised."""
        x = pixelunshuffle(x, x.ndim - 2, self.patch) if self.patch > 1 else x
        return (self.network.encode(x), None) if self.quantises else self.network.encode(x)

    def quantised(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """The nearest entries of the codebook, through which gradients pass, and the commitment of z to them."""
        with torch.autocast(z.device.type, enabled=False):  # MONAI turns it off on CUDA alone
            return self.network.quantize(z.float())

    def outputs(self, z: Tensor) -> Tensor:
        """The network's outputs for latents without the scale: images, and logits of labels."""
        return self._voxels(self.network.decode(self.quantised(z)[0] if self.quantises else z))

    def _voxels(self, outputs: Tensor) -> Tensor:
        """Voxels of the network's outputs. Each is averaged with those before it over a patch's length, as MONAI's
        ``SubpixelUpsample`` does it, for places would else be seen as a grid (Sugawara et al. 2018)."""
        if self.patch == 1:
            return outputs
        axes = outputs.ndim - 2
        voxels = F.pad(pixelshuffle(outputs, axes, self.patch), [self.patch - 1, 0] * axes, mode="replicate")
        return (F.avg_pool2d if axes == 2 else F.avg_pool3d)(voxels, self.patch, stride=1)

    def sample(self, outputs: Tensor) -> Tensor:
        """Samples by the network's outputs."""
        images, logits = outputs[:, : self.num_images], outputs[:, self.num_images :]
        return torch.cat([images, torch.tanh(logits / 2)], 1) if logits.shape[1] else outputs

    def to_latent(self, x: Tensor) -> Tensor:
        """Latents of samples, as the denoiser knows them: with the scale."""
        return self.encode(x)[0] * self.measured_scale

    @torch.no_grad()
    def from_latent(self, latent: Tensor, length: int = 0) -> Tensor:
        """Samples of latents with the scale.

        Args:
            latent: latents.
            length: slices that are decoded at a time, with the same result and in less memory, see
                `tools.networks.partwise`; 0, or as many as a volume has, decodes all at once.
        """
        z = latent / self.measured_scale
        if length == 0 or self.factor * z.shape[2] <= length:
            return self.sample(self.outputs(z))
        places = -(-length // self.patch)
        outputs = decode_partwise(self.network, self.quantised(z)[0] if self.quantises else z, places)
        return self.sample(self._voxels(outputs))

    @property
    def measured_scale(self) -> Tensor:
        """The scale.

        Raises:
            ValueError: the scale was not measured yet.
        """
        if self.scale == 0:
            raise ValueError("the autoencoder's latents have no scale yet: it is measured when a denoiser is trained")
        return self.scale


class LatentDiffusion(nn.Module):
    """What samples are made with: a denoiser of latents, which is what ``forward`` calls, and the autoencoder.

    Args:
        autoencoder: the autoencoder with the scale of its latents.
        denoiser: network that is called with noisy latents and ``timesteps`` [B], and further arguments.
    """

    def __init__(self, autoencoder: LatentAutoencoder, denoiser: nn.Module) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self.denoiser = denoiser

    @property
    def num_class_embeds(self) -> int | None:
        """Number of classes of the denoiser, with the one for none; None if it knows none."""
        return getattr(self.denoiser, "num_class_embeds", None)

    def forward(self, x: Tensor, timesteps: Tensor, **condition: Any) -> Tensor:
        """What the denoiser says of noisy latents x [B, channels, (D,) H, W]."""
        return self.denoiser(x, timesteps=timesteps, **condition)

    def decode(self, latent: Tensor, length: int = 0) -> Tensor:
        """Samples of latents, see ``LatentAutoencoder.from_latent``."""
        return self.autoencoder.from_latent(latent, length)
