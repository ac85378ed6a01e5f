"""The objective of Bu et al. (2021): nodules painted into holes, adversarial loss and L1."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from tools.engines.handover import Handover
from tools.losses.cyclegan import logits_of
from tools.losses.least_squares import adversarial_loss
from tools.networks.nodule_gan import NoduleGenerator
from tools.transforms.holes import painting_input

if TYPE_CHECKING:
    from tools.engines.draws import Draws


class NoduleGANObjective:
    """Two updates: the generator, then the discriminator of patches.

    With x a crop around a nodule, h its hole, s the nodule's diameter and G(x, h, s) the crop with what was painted,

        G:  (D(G, h, s) - 1)^2 + l1_weight mean over the hole of |G - x|
        D:  ((D(x, h, s) - 1)^2 + D(G, h, s)^2) / 2

    The abstract says "adversarial" and no more: the least-squares loss (Mao et al. 2017) and halving D's are CycleGAN's
    and pix2pix's. L1 is the mean over the hole, for outside of it nothing can differ, with a weight of 10; where a
    tenth of a crop is hole that is pix2pix's 100 of a mean over the crop.

    The margin of a hole around its nodule is drawn anew each time, so that the hole does not tell the nodule's size,
    which the generator is told instead.

    Args:
        generator: G.
        discriminator: D, such as MONAI's ``PatchDiscriminator``, of three channels: crop, hole and diameter.
        spacing: side of a voxel in mm.
        margin: least and greatest margin of a hole around its nodule, in mm.
        l1_weight: weight of L1.
        flip: probability with which each axis of a crop is turned.

    Raises:
        ValueError: margins that are not two lengths in order.
    """

    def __init__(
        self,
        generator: NoduleGenerator,
        discriminator: nn.Module,
        spacing: float,
        margin: Sequence[float] = (1.0, 3.0),
        l1_weight: float = 10.0,
        flip: float = 0.5,
    ) -> None:
        if len(margin) != 2 or not 0 <= margin[0] <= margin[1]:
            raise ValueError(f"margin is {list(margin)}, expected two lengths in mm, the lower first")
        self.generator = generator
        self.discriminator = discriminator
        self.spacing = spacing
        self.margin = tuple(margin)
        self.l1_weight = l1_weight
        self.flip = flip

    def draw(self, batch: dict, draws: Draws) -> dict:
        """Turn crops, and draw margins and noise.

        Args:
            batch: "image" [B, 1, S, S, S] in [-1, 1], crops in whose middle there is a nodule, and "diameter" [B], its
                diameter in mm.
            draws: the iteration's source of random numbers.

        Returns:
            "real" [B, 1, S, S, S]; "given" [B, 4, S, S, S], what the generator takes; and the "handover" of what it
            painted.
        """
        crops = batch["image"].float()
        turns = draws.choices(len(crops), 3) < self.flip
        real = torch.stack(
            [crop.flip([1 + axis for axis in range(3) if turn[axis]]) for crop, turn in zip(crops, turns, strict=True)]
        )
        low, high = self.margin
        margin = low + (high - low) * draws.uniform(len(real))
        noise = draws.normal(*real.shape)
        given = painting_input(real, batch["diameter"].float(), margin, noise, self.spacing)
        return {"real": real, "given": given, "handover": Handover(len(real))}

    def logits(self, crops: Tensor, given: Tensor) -> Tensor:
        """D's logits of crops [B, 1, S, S, S], beside the hole and the diameter."""
        return logits_of(self.discriminator, torch.cat([crops.to(given), given[:, 1:3]], dim=1))

    def generator_loss(self, batch: dict) -> dict[str, Tensor]:
        """The loss of G, term by term; every term has its weight already."""
        real, given = batch["real"], batch["given"]
        made = self.generator(given)
        batch["handover"].put(made)
        hole = given[:, 1:2]
        differences = ((made.float() - real).abs() * hole).flatten(1).sum(1) / hole.flatten(1).sum(1).clamp(min=1)
        return {
            "adversarial": adversarial_loss(self.logits(made, given), real=True),
            "l1": self.l1_weight * differences.mean(),
        }

    def discriminator_loss(self, batch: dict) -> Iterator[dict[str, Tensor]]:
        """(D(real) - 1)^2, then D(painted)^2, halved."""
        with torch.no_grad():
            (made,) = batch["handover"].take(lambda: (self.generator(batch["given"]),))
        yield {"real": adversarial_loss(self.logits(batch["real"], batch["given"]), real=True) / 2}
        yield {"fake": adversarial_loss(self.logits(made, batch["given"]), real=False) / 2}
