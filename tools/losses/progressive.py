"""The objectives of the families that grow: Progressive GAN and StyleGAN."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from tools.layers.growing import doubled, faded, halved
from tools.losses.adversarial import class_of, logistic, r1_penalty, real_sample, wasserstein_penalty
from tools.losses.growth_schedule import GrowthSchedule
from tools.losses.stylegan2 import StyleGAN2Objective
from tools.networks.pggan import PGGANGenerator, ProgressiveDiscriminator
from tools.networks.stylegan import StyleGANGenerator
from tools.transforms.channels import Channels

if TYPE_CHECKING:
    from tools.engines.draws import Draws


def at_level(image: Tensor, times: int, alpha: Tensor | None) -> Tensor:
    """Real images as a level sees them: halved so many times, and as blurred as what is generated while it fades in."""
    image = halved(image, times)
    return image if alpha is None else faded(doubled(halved(image)), image, alpha)


def growth_drawn(
    generator: PGGANGenerator | StyleGANGenerator, schedule: GrowthSchedule, draws: Draws, like: Tensor
) -> tuple[int, Tensor | None]:
    """Level and alpha of an iteration, which the generator remembers."""
    if draws.images is None:
        raise ValueError("it is not known how many images were seen, by which networks grow")
    level, alpha = schedule.at(draws.images)
    generator.growth.reach(level, alpha)
    return level, None if alpha is None else torch.tensor(alpha, dtype=like.dtype).to(like.device, non_blocking=True)


class PGGANObjective:
    """One method per update: D by the distance of Wasserstein with a penalty of its gradient, then G.

    Args:
        generator: G.
        discriminator: D; with classes it has an auxiliary classifier.
        schedule: schedule of the levels.
        channels: channels of the images; None takes "image" of a batch as it is.
        num_classes: number of classes, 0 for none.
        penalty: weight lambda of the penalty.
        drift: weight of D(x)^2, which keeps verdicts near 0.
        class_weight: weight of the auxiliary classifier's cross-entropy.
    """

    def __init__(
        self,
        generator: PGGANGenerator,
        discriminator: ProgressiveDiscriminator,
        schedule: GrowthSchedule,
        channels: Channels | None = None,
        num_classes: int = 0,
        penalty: float = 10.0,
        drift: float = 0.001,
        class_weight: float = 1.0,
    ) -> None:
        self.generator = generator
        self.discriminator = discriminator
        self.schedule = schedule
        self.channels = channels
        self.num_classes = num_classes
        self.penalty = penalty
        self.drift = drift
        self.class_weight = class_weight

    def draw(self, batch: dict, draws: Draws) -> dict:
        """Draw latents and mixing shares, and bring the real images to the level of the iteration.

        Args:
            batch: "image" [B, images, S, S] in [-1, 1]; where `channels` has labels "label", class indices [B, 1, S,
                S], and perhaps "known"; with classes "class" [B].
            draws: the iteration's source of random numbers.
        """
        image = real_sample(batch, self.channels)
        rows = len(image)
        level, alpha = growth_drawn(self.generator, self.schedule, draws, image)
        return {
            "real": at_level(image, self.schedule.last_level - level, alpha),
            "class": class_of(batch, self.num_classes),
            "level": level,
            "alpha": alpha,
            "discriminator_latent": draws.normal(rows, self.generator.latent_dim),
            "generator_latent": draws.normal(rows, self.generator.latent_dim),
            "share": draws.uniform(rows),
        }

    def generate(self, batch: dict, update: str) -> Tensor:
        """Images of the level, for an update's latents."""
        return self.generator.generate(batch[f"{update}_latent"], batch["level"], batch["alpha"], batch["class"])

    def discriminate(self, image: Tensor, batch: dict) -> tuple[Tensor, Tensor | None]:
        """Verdicts [B, 1] and class logits of images of the level."""
        return self.discriminator(image, batch["level"], batch["alpha"])

    def discriminator_loss(self, batch: dict) -> Iterator[dict[str, Tensor]]:
        """D(G(z)); lambda (|dD/dx| - 1)^2 in between; -D(x) + 0.001 D(x)^2; and the class of each."""
        with torch.no_grad():
            image = self.generate(batch, "discriminator")
        verdict, classes = self.discriminate(image, batch)
        yield {"fake": verdict.mean()} | self.classification(classes, batch)
        mixed = wasserstein_penalty(
            lambda mixed: self.discriminate(mixed, batch)[0], batch["real"], image, batch["share"]
        )
        yield {"penalty": self.penalty * mixed}
        verdict, classes = self.discriminate(batch["real"], batch)
        drift = self.drift * verdict.square().mean()
        yield {"real": -verdict.mean(), "drift": drift} | self.classification(classes, batch)

    def generator_loss(self, batch: dict) -> dict[str, Tensor]:
        """-D(G(z)), and the class of what is generated."""
        verdict, classes = self.discriminate(self.generate(batch, "generator"), batch)
        return {"adversarial": -verdict.mean()} | self.classification(classes, batch)

    def classification(self, classes: Tensor | None, batch: dict) -> dict[str, Tensor]:
        """Weighted cross-entropy of the auxiliary classifier, nothing without classes."""
        if classes is None:
            return {}
        return {"class": self.class_weight * F.cross_entropy(classes, batch["class"])}


class StyleGANObjective(StyleGAN2Objective):
    """The logistic losses of StyleGAN2, without path lengths and with R1 in every step, of networks that grow.

    Args:
        generator: G.
        discriminator: D; with classes it gives a verdict for each.
        schedule: schedule of the levels.
        channels: channels of the images; None takes "image" of a batch as it is.
        num_classes: number of classes, 0 for none.
        gamma: weight of R1.
        style_mixing: probability that an image has two styles; the second begins at a layer that is in use.
    """

    def __init__(
        self,
        generator: StyleGANGenerator,
        discriminator: ProgressiveDiscriminator,
        schedule: GrowthSchedule,
        channels: Channels | None = None,
        num_classes: int = 0,
        gamma: float = 10.0,
        style_mixing: float = 0.9,
    ) -> None:
        super().__init__(generator, discriminator, channels, num_classes, gamma, style_mixing)
        self.schedule = schedule
        self.level = schedule.first_level

    def draw(self, batch: dict, draws: Draws) -> dict:
        """Draw what StyleGAN2's objective does, and bring the real images to the level of the iteration."""
        self.level, alpha = growth_drawn(self.generator, self.schedule, draws, batch["image"].float())
        drawn = super().draw(batch, draws)
        real = at_level(drawn["real"], self.schedule.last_level - self.level, alpha)
        return drawn | {"real": real, "level": self.level, "alpha": alpha}

    def num_ws(self) -> int:
        """Number of layers in use."""
        return 2 * self.level + 2

    def noise_shapes(self) -> list[tuple[int, ...]]:
        """Shape of the noise of each layer in use."""
        return self.generator.synthesis.noise_shapes[: self.num_ws()]

    def synthesise(self, ws: Tensor, batch: dict, update: str) -> Tensor:
        """Images of the level."""
        return self.generator.synthesis(ws, batch["level"], batch["alpha"], self.noise(batch, update))

    def verdict(self, image: Tensor, batch: dict, augmentation: str) -> Tensor:
        """D's logits [B, 1] of images of the level."""
        return self.discriminator(image, batch["level"], batch["alpha"], batch["class"])[0]

    def real_loss(self, batch: dict) -> dict[str, Tensor]:
        """-log D(x) + gamma / 2 |dD(x)/dx|^2."""
        image = batch["real"].detach().requires_grad_()
        verdict = self.verdict(image, batch, "real")
        return {"real": logistic(verdict, real=True), "r1": self.gamma * r1_penalty(verdict, image)}
