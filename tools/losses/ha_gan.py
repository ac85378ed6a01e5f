"""The objective of HA-GAN (Sun et al., IEEE JBHI 2022, and the code released with it)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from tools.former import former_argument
from tools.losses.hierarchical_gan import HierarchicalObjective, adversarial_loss
from tools.networks.hierarchical_gan import (
    HalfEncoder,
    HierarchicalDiscriminator,
    HierarchicalGenerator,
    SubEncoder,
    embedding_slab,
    encode_by_slabs,
    image_slab,
)


def low_resolution(volume: Tensor) -> Tensor:
    """Volumes [B, 1, S, S, S] at S/4 a side: every fourth voxel, as in the released code."""
    return F.interpolate(volume, scale_factor=0.25, mode="nearest")


class HAGANObjective(HierarchicalObjective):
    """One method per update: D, then G1, G2 and GL, then hE, then the sub-encoder.

    Args:
        generator: G, whose parts are G1, G2 and GL.
        discriminator: D.
        encoder: half-encoder hE.
        sub_encoder: the sub-encoder.
        latent_dim: size L of the latent vector.
        discriminator_class_weight: weight of the auxiliary classifier in D's loss, see `HierarchicalObjective`.
        generator_class_weight: weight of the auxiliary classifier in G's loss.
        checkpointing: True computes GL's activations again in the backward pass, instead of keeping them.
    """

    @former_argument("lean", "checkpointing")
    @former_argument("classification_weight", "discriminator_class_weight", "generator_class_weight")
    def __init__(
        self,
        generator: HierarchicalGenerator,
        discriminator: HierarchicalDiscriminator,
        encoder: HalfEncoder,
        sub_encoder: SubEncoder,
        latent_dim: int = 1024,
        discriminator_class_weight: float = 1.0,
        generator_class_weight: float = 0.1,
        checkpointing: bool = False,
    ) -> None:
        super().__init__(
            generator, discriminator, encoder, latent_dim, discriminator_class_weight, generator_class_weight
        )
        self.sub_encoder = sub_encoder
        self.checkpointing = checkpointing

    def real_logits(self, batch: dict) -> tuple[Tensor, Tensor | None]:
        """D(x_r, x at low resolution)."""
        image, start = batch["image"], batch["start"]
        return self.discriminator(image_slab(image, start), low_resolution(image), start)

    def fake_logits(self, embedding: Tensor, batch: dict) -> tuple[Tensor, Tensor | None]:
        """D(G2(A_r), GL(A)).

        The backward pass undoes first what was done last: here G2; then GL, which saw all of A, and whose activations
        may only then be computed again, volume by volume; and then the slab, whose gradient is mostly zeros.
        """
        slab = embedding_slab(embedding, batch["start"])
        decode_low = self.generator.decode_low
        if self.checkpointing:
            low = torch.cat([checkpoint(decode_low, one, use_reentrant=False) for one in embedding.split(1)])
        else:
            low = decode_low(embedding)
        return self.discriminator(self.generator.decode(slab), low, batch["start"])

    def generator_loss(self, batch: dict) -> dict[str, Tensor]:
        """-log D(G2(G1(z)_r), GL(G1(z))), and the class of what was generated."""
        logit, classes = self.fake_logits(self.embed(batch, "generator"), batch)
        classified = self.classification(classes, batch, self.generator_class_weight)
        return {"adversarial": adversarial_loss(logit, real=True)} | classified

    def sub_encoder_loss(self, batch: dict) -> dict[str, Tensor]:
        """|| x_r - G2(A'_r) ||_1 and || x at low resolution - GL(A') ||_1, the mean of both.

        A' = G1(sub-encoder(hE(x))), where hE sees x slab by slab, as it was trained.
        """
        image = batch["image"]
        with torch.no_grad():
            embedding = encode_by_slabs(self.encoder, image)
        again = self.generator.embed(self.sub_encoder(embedding), batch["label"])
        slab = image_slab(image, batch["start"])
        return {
            "high": F.l1_loss(self.decode(again, batch), slab) / 2,
            "low": F.l1_loss(self.generator.decode_low(again), low_resolution(image)) / 2,
        }
