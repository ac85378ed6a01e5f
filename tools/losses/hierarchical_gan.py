"""What the objectives of CRF-GAN and HA-GAN share: sub-volumes, two players, and the half-encoder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tools.networks.hierarchical_gan import Generator, HalfEncoder, embedding_slab, image_slab

if TYPE_CHECKING:
    from tools.engines.draws import Draws


def adversarial_loss(logits: Tensor, real: bool) -> Tensor:
    """Binary cross-entropy of logits with one label for all of them: real (1) or generated (0).

    MONAI's ``PatchAdversarialLoss`` takes the sigmoid first, which autocast refuses and fp16 would cut off.
    """
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(real)))


class HierarchicalObjective(ABC):
    """Base of both objectives. Every loss takes what ``draw`` returned and gives the terms of its sum by name.

    Args:
        generator: G, whose parts are G1 and G2.
        discriminator: D.
        encoder: half-encoder hE.
        latent_dim: size L of the latent vector.
        discriminator_class_weight: weight of the auxiliary classifier's cross-entropy in D's loss, if D has one; 1 in
            the released code.
        generator_class_weight: the same in G's loss; 0.1 in the released code.
    """

    generating_updates = ("discriminator", "generator")

    def __init__(
        self,
        generator: Generator,
        discriminator: nn.Module,
        encoder: HalfEncoder,
        latent_dim: int = 1024,
        discriminator_class_weight: float = 1.0,
        generator_class_weight: float = 0.1,
    ) -> None:
        self.generator = generator
        self.discriminator = discriminator
        self.encoder = encoder
        self.latent_dim = latent_dim
        self.discriminator_class_weight = discriminator_class_weight
        self.generator_class_weight = generator_class_weight

    def draw(self, batch: dict, draws: Draws) -> dict:
        """Draw all that is random in one iteration, so that the updates themselves are functions.

        Args:
            batch: "image" [B, 1, S, S, S] in [-1, 1] and, for conditional generation, "label" [B].
            draws: the iteration's source of random numbers.

        Returns:
            The image, the label (or None), the sub-volume's first slice "start" in [0, 7S/8], the iteration and the
            number of iterations of the run, and one latent [B, L] for each update that generates.
        """
        image = batch["image"]
        start = draws.integer(0, image.shape[2] - image.shape[2] // 8)
        latents = {f"{update}_latent": draws.normal(len(image), self.latent_dim) for update in self.generating_updates}
        run = {"iteration": draws.iteration, "iterations": draws.iterations}
        return {"image": image, "label": batch.get("label"), "start": start, **run, **latents}

    @abstractmethod
    def real_logits(self, batch: dict) -> tuple[Tensor, Tensor | None]:
        """D's logits, and class logits if it has classes, of the real volumes."""

    @abstractmethod
    def fake_logits(self, embedding: Tensor, batch: dict) -> tuple[Tensor, Tensor | None]:
        """D's logits, and class logits if it has classes, of the volumes that an embedding decodes to."""

    def discriminator_loss(self, batch: dict) -> Iterator[dict[str, Tensor]]:
        """-log D(x_r) and the class of x, then -log(1 - D(G2(G1(z)_r)))."""
        real, classes = self.real_logits(batch)
        classified = self.classification(classes, batch, self.discriminator_class_weight)
        yield {"real": adversarial_loss(real, real=True)} | classified
        fake, _ = self.fake_logits(self.embed(batch, "discriminator"), batch)
        yield {"fake": adversarial_loss(fake, real=False)}

    def encoder_loss(self, batch: dict) -> dict[str, Tensor]:
        """|| x_r - G2(hE(x_r)) ||_1, the mean over voxels."""
        slab = image_slab(batch["image"], batch["start"])
        return {"reconstruction": F.l1_loss(self.generator.decode(self.encoder(slab)), slab)}

    def embed(self, batch: dict, update: str) -> Tensor:
        """The whole embedding G1(z) for an update's latents."""
        return self.generator.embed(batch[f"{update}_latent"], batch["label"])

    def decode(self, embedding: Tensor, batch: dict) -> Tensor:
        """The slab of the volume at the batch's position."""
        return self.generator.decode(embedding_slab(embedding, batch["start"]))

    def classification(self, classes: Tensor | None, batch: dict, weight: float) -> dict[str, Tensor]:
        """Weighted cross-entropy of class logits, nothing without classes."""
        if classes is None:
            return {}
        return {"class": weight * F.cross_entropy(classes, batch["label"])}
