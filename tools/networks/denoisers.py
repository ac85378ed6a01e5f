"""MONAI's U-Nets of diffusion, on voxels or on patches of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from monai.apps.generation.maisi.networks.diffusion_model_unet_maisi import DiffusionModelUNetMaisi
from monai.networks.nets import DiffusionModelUNet
from monai.networks.nets.diffusion_model_unet import WrappedUpsample
from monai.networks.utils import pixelshuffle, pixelunshuffle
from torch import Tensor, nn

from tools.layers.upsample import TAPS, upsampled
from tools.networks.patches import checked_patch
from tools.networks.preconditioning import FlowPreconditioning, PrincipalPreconditioning
from tools.transforms.views import LEVELS, place_of


class _OnPatches:
    """Mixed into one of MONAI's U-Nets: cubes of ``patch`` voxels a side become the channels of one place.

    The first level, which has most of the work, then has patch^3 times fewer places, as vision transformers take
    patches; nothing of a sample is lost by it. With 1 the network is MONAI's, to the last key; so is what it answers,
    but for rounding where volumes are doubled and convolved in one operation.

    A flow's network may be ``preconditioned``: it then only says what a linear guess of the velocity lacks, of samples
    that are the first ``out_channels`` of what it is called with, see `FlowPreconditioning` and, with ``components``,
    `PrincipalPreconditioning`.
    """

    patch: int
    preconditioning: FlowPreconditioning | PrincipalPreconditioning | None

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        patch: int = 1,
        preconditioned: bool = False,
        components: int = 0,
        sample_size: Sequence[int] | None = None,
        **options: Any,
    ) -> None:
        places = checked_patch(patch) ** spatial_dims
        preconditioning: FlowPreconditioning | PrincipalPreconditioning | None = None
        if preconditioned and components > 0:
            preconditioning = PrincipalPreconditioning(out_channels, sample_size, components)
        elif preconditioned:
            preconditioning = FlowPreconditioning(out_channels)
        more = 0 if preconditioning is None else preconditioning.seen - out_channels
        super().__init__(
            spatial_dims=spatial_dims,
            in_channels=(in_channels + more) * places,
            out_channels=out_channels * places,
            **options,
        )
        self.patch = patch
        self.preconditioning = preconditioning
        if spatial_dims == 3:
            for block in self.up_blocks:
                # with residual blocks that double there is a normalisation between
                if isinstance(block.upsampler, WrappedUpsample) and hasattr(block.upsampler, "postconv"):
                    block.upsampler = FusedUpsample(block.upsampler)

    def forward(self, x: Tensor, timesteps: Tensor, *conditions: Any, **named: Any) -> Tensor:
        if self.preconditioning is None:
            return self._on_patches(x, timesteps, *conditions, **named)
        channels = self.preconditioning.channels
        seen, guess, deviation = self.preconditioning(x[:, :channels], timesteps, *self.place(named))
        seen = torch.cat([seen, x[:, channels:]], 1) if x.shape[1] > channels else seen
        return guess + deviation * self._on_patches(seen, timesteps, *conditions, **named)

    def guess(self, x: Tensor, timesteps: Tensor, **named: Any) -> Tensor | None:
        """The linear guess of the velocity, to which the network's own answer is added; None where there is none."""
        if self.preconditioning is None:
            return None
        return self.preconditioning(x[:, : self.preconditioning.channels], timesteps, *self.place(named))[1]

    def unit(self, x: Tensor, timesteps: Tensor, **named: Any) -> Tensor | float:
        """Deviation of what a linear guess leaves, the unit of the network's own answer; 1 where there is no guess."""
        if self.preconditioning is None:
            return 1.0
        return self.preconditioning.unit(x[:, : self.preconditioning.channels], timesteps, *self.place(named))

    def place(self, named: Mapping[str, Any]) -> tuple[Tensor, ...]:
        """What the linear guess is told of the samples' place, of the arguments that the network is called with."""
        return ()

    def _on_patches(self, x: Tensor, timesteps: Tensor, *conditions: Any, **named: Any) -> Tensor:
        if self.patch == 1:
            return super().forward(x, timesteps, *conditions, **named)
        axes = x.ndim - 2
        made = super().forward(pixelunshuffle(x, axes, self.patch), timesteps, *conditions, **named)
        return pixelshuffle(made, axes, self.patch)


class FusedUpsample(nn.Module):
    """MONAI's doubling of a volume by nearest neighbour and the convolution behind it as one operation, with MONAI's
    keys, see `tools.layers.upsample.UpsampleConv3d`.

    Args:
        upsample: MONAI's module, whose convolution is taken.
    """

    def __init__(self, upsample: WrappedUpsample) -> None:
        super().__init__()
        self.postconv = upsample.postconv
        self.register_buffer("taps", torch.tensor(TAPS), persistent=False)

    def forward(self, x: Tensor, emb: Tensor | None = None) -> Tensor:
        """[B, channels, D, H, W] -> [B, channels, 2 D, 2 H, 2 W]; the time's embedding is not looked at."""
        return upsampled(x, self.postconv.conv.weight, self.postconv.conv.bias, self.taps)


class PatchUNet(_OnPatches, DiffusionModelUNet):
    """MONAI's ``DiffusionModelUNet`` on patches: samples [B, channels, (D,) H, W] and times [B] in, the same shape out.

    Args:
        spatial_dims: dimensions of a sample, 2 or 3.
        in_channels: channels of the noisy sample.
        out_channels: channels of the answer.
        patch: side of a patch in voxels, by which sides of a sample are divisible as often as levels halve it; 1 works
            on voxels.
        preconditioned: True for a network that learns what a linear guess of a flow's velocity lacks.
        components: principal components that the guess knows; 0 for a guess of each voxel by itself.
        sample_size: voxels of a sample along each axis, which with components all have.
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
        preconditioned: True for a network that learns what a linear guess of a flow's velocity lacks.
        components: principal components that the guess knows; 0 for a guess of each voxel by itself.
        sample_size: voxels along each axis on which these are kept.
        region_numbers: numbers that say where a volume begins or ends in the body, MAISI's 4 or more. Of those that it
            is called with the network reads so many.
        options: further arguments of ``DiffusionModelUNetMaisi``.

    Raises:
        ValueError: ``patch`` is no whole number above 0, or components without the place along all axes.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        patch: int = 1,
        region_numbers: int = 4,
        **options: Any,
    ) -> None:
        super().__init__(spatial_dims, in_channels, out_channels, patch, **options)
        self.region_numbers = region_numbers
        by_components = isinstance(self.preconditioning, PrincipalPreconditioning)
        if by_components and region_numbers != spatial_dims * LEVELS:
            raise ValueError(
                f"region_numbers is {region_numbers}, and the guess by components needs {spatial_dims * LEVELS}: the "
                "place of a sample along all axes; or give components 0"
            )
        for name in ("top_region_index", "bottom_region_index"):
            if getattr(self, f"include_{name}_input") and region_numbers != 4:
                width = self.time_embed[-1].out_features
                setattr(self, f"{name}_layer", self._create_embedding_module(region_numbers, width))

    def place(self, named: Mapping[str, Any]) -> tuple[Tensor, ...]:
        if not isinstance(self.preconditioning, PrincipalPreconditioning):
            return ()
        return place_of(named["bottom_region_index_tensor"]), place_of(named["top_region_index_tensor"])

    def _get_input_embeddings(self, emb: Tensor, top: Tensor, bottom: Tensor, spacing: Tensor) -> Tensor:
        top, bottom = (one if one is None else one[:, : self.region_numbers] for one in (top, bottom))
        return super()._get_input_embeddings(emb, top, bottom, spacing)
