"""MONAI's U-Nets of diffusion, on voxels or on patches of them."""

from __future__ import annotations

from typing import Any

from monai.apps.generation.maisi.networks.diffusion_model_unet_maisi import DiffusionModelUNetMaisi
from monai.networks.nets import DiffusionModelUNet
from monai.networks.utils import pixelshuffle, pixelunshuffle
from torch import Tensor

LEAST_NOISE = 0.05
"""Share of noise by which is divided at least, as Li and He have it."""


class _OnPatches:
    """Mixed into one of MONAI's U-Nets: cubes of ``patch`` voxels a side become the channels of one place.

    The first level, which has most of the work, then has patch^3 times fewer places, as vision transformers take
    patches; nothing of a sample is lost by it. With 1 the network is MONAI's, to the last bit and key.

    A velocity holds the noise of every voxel, for which the few channels of a place are narrow; a sample has less in
    it. With ``flow_steps`` the network answers with the sample x instead, of which the velocity of rectified flow
    follows, (x - x_t) / (t/T), where t/T counts as `LEAST_NOISE` at least. The loss stays that of the velocity (Li and
    He 2025, "Back to basics: let denoising generative models denoise", arXiv 2511.13720).
    """

    patch: int
    flow_steps: int | None

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        patch: int = 1,
        flow_steps: int | None = None,
        **options: Any,
    ) -> None:
        if isinstance(patch, bool) or not isinstance(patch, int) or patch < 1:
            raise ValueError(f"patch is {patch!r}, expected a whole number of voxels a side, 1 for none")
        places = patch**spatial_dims
        super().__init__(
            spatial_dims=spatial_dims,
            in_channels=in_channels * places,
            out_channels=out_channels * places,
            **options,
        )
        self.patch = patch
        self.flow_steps = flow_steps

    def forward(self, x: Tensor, timesteps: Tensor, *conditions: Any, **named: Any) -> Tensor:
        axes = x.ndim - 2
        if self.patch == 1:
            made = super().forward(x, timesteps, *conditions, **named)
        else:
            made = super().forward(pixelunshuffle(x, axes, self.patch), timesteps, *conditions, **named)
            made = pixelshuffle(made, axes, self.patch)
        if self.flow_steps is None:
            return made
        noise = (timesteps / self.flow_steps).clamp(min=LEAST_NOISE).view(-1, 1, *[1] * axes)
        return (made.float() - x[:, : made.shape[1]]) / noise  # further channels are what it is told


class PatchUNet(_OnPatches, DiffusionModelUNet):
    """MONAI's ``DiffusionModelUNet`` on patches: samples [B, channels, (D,) H, W] and times [B] in, the same shape out.

    Args:
        spatial_dims: dimensions of a sample, 2 or 3.
        in_channels: channels of the noisy sample.
        out_channels: channels of the answer.
        patch: side of a patch in voxels, by which sides of a sample are divisible as often as levels halve it; 1 works
            on voxels.
        flow_steps: number of steps T of a rectified flow whose velocity follows from the sample with which the network
            answers; None for a network that answers with what is learned itself.
        options: further arguments of ``DiffusionModelUNet``.

    Raises:
        ValueError: ``patch`` is no whole number above 0.
    """


class PatchUNetMaisi(_OnPatches, DiffusionModelUNetMaisi):
    """The same of MONAI's ``DiffusionModelUNetMaisi``, the U-Net of MAISI (Guo et al. 2025): it takes the spacing of
    voxels and the body region of the lowest and the highest slice too.

    Args:
        spatial_dims: dimensions of a sample, 3.
        in_channels: channels of the noisy sample.
        out_channels: channels of the answer.
        patch: side of a patch in voxels; 1 works on voxels.
        flow_steps: number of steps T of a rectified flow whose velocity follows from the sample with which the network
            answers; None for a network that answers with what is learned itself.
        options: further arguments of ``DiffusionModelUNetMaisi``.

    Raises:
        ValueError: ``patch`` is no whole number above 0.
    """
