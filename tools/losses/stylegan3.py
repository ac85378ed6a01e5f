"""The objective of StyleGAN3 (Karras et al. 2021, "Alias-free generative adversarial networks", appendices F and G)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from tools.engines.processes import rank_and_world_size
from tools.layers.filters import resample
from tools.losses.stylegan2 import StyleGAN2Objective
from tools.transforms.channels import Channels

if TYPE_CHECKING:
    from tools.engines.draws import Draws
    from tools.losses.adaptive_augmentation import AdaptiveAugmentation

MAGNITUDE_HALF_LIFE = 20_000
"""Images after which an input's magnitude counts half in its average."""


class StyleGAN3Objective(StyleGAN2Objective):
    """One method per update, in the order in which they take place: G, D, and D's R1, as of `StyleGAN2Objective`.

    There is no noise, no mixing of styles and no path length. In the discriminator's update the averages move: of
    styles and of the magnitudes of the layers' inputs. In the beginning of a training of R the discriminator sees real
    and generated images through a Gaussian that grows finer, or it would look at what is finest before there is a
    whole.

    Args:
        generator: G, a `StyleGAN3Generator`.
        discriminator: D, called with images and perhaps class indices.
        channels: channels of the images; None takes "image" of a batch as it is.
        num_classes: number of classes, 0 for none.
        gamma: weight of R1.
        augmentation: augmentation of what D sees; None for none.
        blur: sigma of the Gaussian in the beginning, in pixels, 10 for R in the paper; 0, as for T, for none.
        blur_images: number of images over which sigma falls to 0, in proportion to the batch in the paper, 200,000
            for one of 32.

    Raises:
        ValueError: a negative weight or sigma, or no images over which it falls.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        channels: Channels | None = None,
        num_classes: int = 0,
        gamma: float = 2.0,
        augmentation: AdaptiveAugmentation | None = None,
        blur: float = 0.0,
        blur_images: int = 200_000,
    ) -> None:
        if not blur >= 0 or not blur_images > 0:
            raise ValueError(f"blur is {blur} and blur_images {blur_images}, expected 0 or more, and more than 0")
        super().__init__(generator, discriminator, channels, num_classes, gamma, 0.0, augmentation=augmentation)
        self.blur = blur
        self.blur_images = blur_images

    def draw(self, batch: dict, draws: Draws) -> dict:
        """As of `StyleGAN2Objective`, with the "blur" of this iteration and what the magnitudes keep, "decay"."""
        drawn = super().draw(batch, draws)
        images = len(drawn["real"]) * rank_and_world_size()[1]
        left = max(0.0, 1 - draws.iteration * images / self.blur_images)
        return drawn | {"blur": self.blur * left, "decay": 0.5 ** (images / MAGNITUDE_HALF_LIFE)}

    def noise_shapes(self) -> list[tuple[int, ...]]:
        """No layer has noise."""
        return []

    def synthesise(self, ws: Tensor, batch: dict, update: str) -> Tensor:
        """Images [B, C, S, S] of styles; magnitudes follow in the discriminator's update alone."""
        return self.generator.synthesis(ws, batch["decay"] if update == "discriminator" else None)

    def verdict(self, image: Tensor, batch: dict, augmentation: str) -> Tensor:
        """D's logits [B, 1] of images as they are shown to it, through the blur and then augmented."""
        return super().verdict(blurred(image, batch["blur"]), batch, augmentation)


def blurred(image: Tensor, sigma: float) -> Tensor:
    """Images through 2^-(r / sigma)^2, cut off at 3 sigma, with zeros around; as they are where that is one pixel."""
    radius = math.floor(3 * sigma)
    if radius < 1:
        return image
    taps = torch.exp2(-((torch.arange(-radius, radius + 1, device=image.device) / sigma) ** 2))
    return resample(image, taps / taps.sum(), padding=(radius, radius))
