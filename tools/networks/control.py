"""Denoisers that make an image of a label map: by a ControlNet beside them, or by more channels."""

from __future__ import annotations

from typing import Any

import torch
from monai.networks.nets import ControlNet
from monai.networks.utils import copy_model_state, pixelunshuffle
from torch import Tensor, nn

from tools.networks.denoisers import PatchUNetMaisi
from tools.networks.preconditioning import FlowPreconditioning, PrincipalPreconditioning


class _Guided(nn.Module):
    """A denoiser that is shown label maps: of what an objective asks of it, all but the answer is the denoiser's."""

    def __init__(self, denoiser: PatchUNetMaisi) -> None:
        super().__init__()
        self.denoiser = denoiser

    @property
    def num_class_embeds(self) -> int | None:
        """Number of the denoiser's classes."""
        return self.denoiser.num_class_embeds

    @property
    def preconditioning(self) -> FlowPreconditioning | PrincipalPreconditioning | None:
        """The denoiser's linear guess, which label maps do not change."""
        return self.denoiser.preconditioning

    def guess(self, x: Tensor, timesteps: Tensor, labels: Tensor, **told: Any) -> Tensor | None:
        """That guess; arguments as of ``forward``."""
        return self.denoiser.guess(x, timesteps, **told)

    def unit(self, x: Tensor, timesteps: Tensor, labels: Tensor, **told: Any) -> Tensor | float:
        """Deviation of what that guess leaves; arguments as of ``forward``."""
        return self.denoiser.unit(x, timesteps, **told)


class ControlledUNet(_Guided):
    """A denoiser that a ControlNet steers (Zhang, Rao, Agrawala 2023): what the ControlNet makes of the noisy sample
    and the label map is added to the denoiser's skip connections and to its middle block.

    The ControlNet's last layers begin at zero, so that at first the denoiser answers as it does alone. It is trained
    while the denoiser stays as it is; who trains says which of the two learns.

    Args:
        denoiser: denoiser of samples alone, on patches or voxels.
        control: ControlNet of the same levels, for the denoiser's patches as channels; its embedding of label maps
            halves them as often as gives these patches.
    """

    def __init__(self, denoiser: PatchUNetMaisi, control: ControlNet) -> None:
        super().__init__(denoiser)
        self.control = control

    def forward(
        self, x: Tensor, timesteps: Tensor, labels: Tensor, class_labels: Tensor | None = None, **told: Any
    ) -> Tensor:
        """
        Args:
            x: noisy samples [B, channels, D, H, W].
            timesteps: times [B].
            labels: label channels [B, classes, D, H, W].
            class_labels: class indices [B], where the denoiser has classes.
            told: further arguments of the denoiser, by name.
        """
        preconditioning = self.denoiser.preconditioning
        seen = x if preconditioning is None else preconditioning(x, timesteps, *self.denoiser.place(told))[0]
        patches = pixelunshuffle(seen, x.ndim - 2, self.denoiser.patch)
        beside, middle = self.control(patches, timesteps, labels, class_labels=class_labels)
        return self.denoiser(
            x,
            timesteps,
            class_labels=class_labels,
            down_block_additional_residuals=tuple(beside),
            mid_block_additional_residual=middle,
            **told,
        )


class ConcatenatedUNet(_Guided):
    """A denoiser that sees the label map as further channels of the noisy sample (Saharia et al. 2022, SR3).

    Args:
        denoiser: denoiser whose in_channels are those of a sample and of a label map.
    """

    def forward(self, x: Tensor, timesteps: Tensor, labels: Tensor, **told: Any) -> Tensor:
        """Arguments as of ``ControlledUNet``."""
        return self.denoiser(torch.cat([x, labels.to(x)], 1), timesteps, **told)


def label_guided(denoiser: PatchUNetMaisi, control: ControlNet | None = None) -> ControlledUNet | ConcatenatedUNet:
    """A denoiser under the control of label maps: by a ControlNet, or by concatenation where there is none."""
    return ConcatenatedUNet(denoiser) if control is None else ControlledUNet(denoiser, control)


def begun_from(network: ControlledUNet) -> ControlledUNet:
    """Begin the ControlNet as the denoiser's encoder, as Zhang et al. have it; what has another shape stays.

    MAISI's ControlNet is not told the spacing, so that its layers for the time are narrower than the denoiser's.
    """
    copy_model_state(network.control, network.denoiser.state_dict())
    return network
