"""The objective of FastGAN (Liu et al., ICLR 2021, section 3.3, and the code released with it)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from monai.losses import SSIMLoss
from torch import Tensor

from tools.engines.handover import Handover
from tools.losses.adversarial import class_of, real_sample
from tools.losses.differentiable_augmentation import DifferentiableAugmentation
from tools.networks.fastgan import LOGITS, Discriminator, Generator, quarter_of, shrunk, small_size
from tools.transforms.channels import Channels

if TYPE_CHECKING:
    from tools.engines.draws import Draws


class FastGANObjective:
    """Two updates: the generator, then the discriminator with its decoders.

    With x real and A a random augmentation, u uniform in [0.8, 1] for each of D's 50 logits:

        G:  -D(A G(z))
        D:  max(0, u - D(A x)) + max(0, u + D(A G(z)))  +  reconstruction_weight (sum over decoders of d(decoded, A x))

    each a mean over logits and images. Decoders draw the augmented image, once from D's features of the image, once
    from those of its small version, and a random quarter of it; d is L1 + 1 - SSIM, each a mean over pixels.

    Other than in the released code: d is LPIPS there, which needs weights of a network trained on photographs
    (`perceptual`); it is summed over a batch of 8 there, and so the weight of its mean is 8; G goes first, so that one
    pass of it serves both updates, where there D does; and the small version of a real image is a mean of pixels.

    Args:
        generator: G.
        discriminator: D.
        channels: channels of the sample; None takes "image" of a batch as it is.
        augmentation: A; None for none.
        reconstruction_weight: weight of the decoders' loss; 0 for none, and then they learn nothing.
        perceptual: distance [B] of images [B, C, H, W] in [-1, 1] in place of L1 and SSIM, such as
            `tools.losses.lpips.LPIPS`.
        latent_dim: length of the latent.
        prepare: function of a batch and the draws that is called first, for instance a
            `tools.engines.views.RandomMirror`; None for none.

    Raises:
        ValueError: the number of channels, classes or pixels of G and D are not the same.
    """

    def __init__(
        self,
        generator: Generator,
        discriminator: Discriminator,
        channels: Channels | None = None,
        augmentation: DifferentiableAugmentation | None = None,
        reconstruction_weight: float = 8.0,
        perceptual: Callable[[Tensor, Tensor], Tensor] | None = None,
        latent_dim: int = 256,
        prepare: Callable[[dict, Draws], dict] | None = None,
    ) -> None:
        classes = 0 if discriminator.classes is None else discriminator.classes.num_embeddings
        if generator.num_classes != classes:
            raise ValueError(f"the generator has {generator.num_classes} classes, and the discriminator {classes}")
        if not reconstruction_weight >= 0:
            raise ValueError(f"reconstruction_weight is {reconstruction_weight}, expected 0 or more")
        self.generator = generator
        self.discriminator = discriminator
        self.channels = channels
        self.augmentation = augmentation
        self.reconstruction_weight = reconstruction_weight
        self.perceptual = perceptual
        self.latent_dim = latent_dim
        self.prepare = prepare
        self.ssim = SSIMLoss(2, data_range=2.0)

    def draw(self, batch: dict, draws: Draws) -> dict:
        """Draw latents, noise, augmentation, margins, and which quarter is decoded.

        Args:
            batch: "image" [B, images, S, S] in [-1, 1]; where `channels` has labels "label" [B, 1, S, S] and perhaps
                "known", see ``Channels``; with classes "class" [B].
            draws: the iteration's source of random numbers.

        Returns:
            The augmented "real" [B, C, S, S]; "class" [B] or None; "latent" [B, latent_dim]; "noise<n>"
            [B, 2, side, side]; "augment_fake", uniform numbers [B, n]; "margin_real" and "margin_fake" [B, 50] in
            [0.8, 1); the "quarter" in 0..3, one for all; and the "handover" of G's images.

        Raises:
            ValueError: classes are missing, or outside of those of the networks.
        """
        if self.prepare is not None:
            batch = self.prepare(batch, draws)
        real = real_sample(batch, self.channels)
        rows = len(real)
        numbers = 0 if self.augmentation is None else self.augmentation.numbers(real.shape[1])
        drawn = {
            "class": class_of(batch, self.generator.num_classes),
            "latent": draws.normal(rows, self.latent_dim),
            "margin_real": 0.8 + 0.2 * draws.uniform(rows, LOGITS),
            "margin_fake": 0.8 + 0.2 * draws.uniform(rows, LOGITS),
            "quarter": draws.integer(0, 3),
            "augment_fake": draws.uniform(rows, numbers),
            "real": self.augment(real, draws.uniform(rows, numbers)),
            "handover": Handover(rows),
        }
        noises = {f"noise{n}": draws.normal(rows, 2, side, side) for n, side in enumerate(self.generator.noise_sizes)}
        return drawn | noises

    def augment(self, images: Tensor, uniforms: Tensor) -> Tensor:
        """A of images [B, C, H, W] by uniform numbers [B, n]."""
        return images if self.augmentation is None else self.augmentation(images, uniforms)

    def fakes(self, batch: dict) -> tuple[Tensor, Tensor]:
        """G's images for the batch's latents, of both sizes."""
        noises = [batch[f"noise{n}"] for n in range(len(self.generator.noise_sizes))]
        return self.generator.images(batch["latent"], batch["class"], noises)

    def fake_logits(self, fakes: Sequence[Tensor], batch: dict) -> Tensor:
        """D of G's images [B, 50], both sizes augmented alike."""
        image, small = (self.augment(one, batch["augment_fake"]) for one in fakes)
        return self.discriminator.see(image, small, batch["class"]).logits

    def realness(self, batch: dict) -> Tensor:
        """Mean of D's logits [B] of a loader's images, without augmentation: what tells whether it has seen them."""
        real = real_sample(batch, self.channels)
        small = shrunk(real, small_size(real.shape[-1]))
        return self.discriminator.see(real, small, class_of(batch, self.generator.num_classes)).logits.mean(1)

    def generator_loss(self, batch: dict) -> dict[str, Tensor]:
        """-D(A G(z)), the mean over logits."""
        fakes = self.fakes(batch)
        batch["handover"].put(*fakes)
        return {"adversarial": -self.fake_logits(fakes, batch).mean()}

    def discriminator_loss(self, batch: dict) -> Iterator[dict[str, Tensor]]:
        """The hinges of real images, with the decoders' loss, and then of generated ones."""
        real = batch["real"]
        seen = self.discriminator.see(real, shrunk(real, small_size(real.shape[-1])), batch["class"])
        terms = {"real": F.relu(batch["margin_real"] - seen.logits).mean()}
        if self.reconstruction_weight > 0:
            drawn = self.discriminator.draw_again(seen, batch["quarter"])
            wanted = (real, real, quarter_of(real, batch["quarter"]))
            again = sum(self.distance(one, of) for one, of in zip(drawn, wanted, strict=True))
            terms["reconstruction"] = self.reconstruction_weight * again
        yield terms
        with torch.no_grad():
            fakes = batch["handover"].take(lambda: self.fakes(batch))
        yield {"fake": F.relu(batch["margin_fake"] + self.fake_logits(fakes, batch)).mean()}

    def distance(self, drawn: Tensor, image: Tensor) -> Tensor:
        """d of what a decoder has drawn [B, C, h, h] and an image, shrunk to that; the mean over the batch."""
        with torch.autocast(drawn.device.type, enabled=False):
            drawn, image = drawn.float(), shrunk(image, drawn.shape[-1]).float()
            if self.perceptual is not None:
                return self.perceptual(drawn, image).mean()
            return F.l1_loss(drawn, image) + self.ssim(drawn + 1, image + 1)  # means of SSIM are taken as positive
