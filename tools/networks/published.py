"""Latent diffusion as it is published: the networks of one release, all MONAI's, together as one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tools.networks.partwise import decode_partwise


class PublishedDiffusion(nn.Module):
    """What makes an image of noise: a denoiser of latents and an autoencoder; with labels, three networks more.

    It is one module so that one file holds all weights of a release, and one hash names them. Called with latents it
    gives the image; who samples them calls the denoiser (`tools.engines.published`).

    Args:
        denoiser: network that takes noisy latents and their times, MONAI's ``DiffusionModelUNet`` or MAISI's.
        autoencoder: MONAI's ``AutoencoderKL`` or MAISI's; 0 to 1 of what it decodes is the image.
        controlnet: MAISI's ``ControlNetMaisi``, which tells the denoiser of labels; None where there is none.
        mask_denoiser: network that takes noisy latents of label maps; None where there is none.
        mask_autoencoder: autoencoder that decodes label maps, with a channel for each class; None where there is none.
        slab_length: slices along X of an image that are decoded at a time, to save memory, see
            `tools.networks.partwise`; 0 decodes the whole.

    Attributes:
        scale_factor: factor that latents were multiplied by in training, which the weights bring.
        mask_scale_factor: the same of label maps; only with ``mask_denoiser``.
    """

    def __init__(
        self,
        denoiser: nn.Module,
        autoencoder: nn.Module,
        controlnet: nn.Module | None = None,
        mask_denoiser: nn.Module | None = None,
        mask_autoencoder: nn.Module | None = None,
        slab_length: int = 0,
    ) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.autoencoder = autoencoder
        self.controlnet = controlnet
        self.mask_denoiser = mask_denoiser
        self.mask_autoencoder = mask_autoencoder
        self.slab_length = slab_length
        self.register_buffer("scale_factor", torch.ones(()))
        if mask_denoiser is not None:
            self.register_buffer("mask_scale_factor", torch.ones(()))

    def forward(self, latents: Tensor) -> Tensor:
        """Return images [B, 1, ...] in [-1, 1] of latents [B, channels, ...]."""
        latents = latents / self.scale_factor
        if self.slab_length:
            decoded = decode_partwise(self.autoencoder, latents, self.slab_length)
        else:
            decoded = self.autoencoder.decode_stage_2_outputs(latents)
        return 2 * decoded.float().clamp(0, 1) - 1

    def decode_labels(self, latents: Tensor) -> Tensor:
        """Return label maps [B, 1, X, Y, Z], the likeliest channel of each voxel, of latents [B, channels, ...]."""
        decoded = self.mask_autoencoder.decode_stage_2_outputs(latents / self.mask_scale_factor)
        return decoded.argmax(1, keepdim=True)
