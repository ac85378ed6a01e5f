"""The objective of CRF-GAN (Shiri et al., section 2.2, Eq. 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from tools.layers import MeanFieldCRF, axial_nodes
from tools.networks.hierarchical_gan import (
    Generator,
    HalfEncoder,
    SubVolumeDiscriminator,
    embedding_slab,
    image_slab,
)

if TYPE_CHECKING:
    from tools.engines.draws import Draws


def call_it(logits: Tensor, real: bool) -> Tensor:
    """Binary cross-entropy of calling everything in ``logits`` real, or generated."""
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(real)))


class CRFGANObjective:
    """One method per update: D, then G1 and G2, then the CRF, then hE.

    Every method takes what ``draw`` returned and gives the terms of its loss by name; their sum is minimised.
    Eq. 1 is a minimax; as in the code released with the paper, and in Goodfellow et al. (2014), the generator
    maximises log D(G(z)) instead of minimising log(1 - D(G(z))), whose gradient vanishes early. The last term of
    L_CRF is printed as log(1 - D(G1(z))), where the mathematics needs log(1 - CRF(G1(z))).

    Args:
        generator, discriminator, encoder, crf: G (its parts are G1 and G2), D, hE and the CRF.
        latent_dim: size L of the latent vector.
        feedback: how G hears D and the CRF. "blend", the released code's way: cross-entropy of one logit,
            w * CRF + (1 - w) * D. "sum", the plain sum of Eq. 1: one cross-entropy each.
        crf_weight: w at the first iteration.
        crf_iterations: number of iterations over which w falls linearly to 0.
        classification_weight: weight of the auxiliary classifier's cross-entropy, if D has one.
    """

    def __init__(
        self,
        generator: Generator,
        discriminator: SubVolumeDiscriminator,
        encoder: HalfEncoder,
        crf: MeanFieldCRF,
        latent_dim: int = 1024,
        feedback: str = "blend",
        crf_weight: float = 0.5,
        crf_iterations: int = 60_000,
        classification_weight: float = 0.1,
    ) -> None:
        if feedback not in ("blend", "sum"):
            raise ValueError(f"feedback is {feedback!r}, expected 'blend' or 'sum'.")
        self.generator = generator
        self.discriminator = discriminator
        self.encoder = encoder
        self.crf = crf
        self.latent_dim = latent_dim
        self.feedback = feedback
        self.crf_weight = crf_weight
        self.crf_iterations = crf_iterations
        self.classification_weight = classification_weight

    def draw(self, batch: dict, draws: Draws) -> dict:
        """All that is random in one iteration, so that the updates themselves are functions.

        Args:
            batch: "image" [B, 1, S, S, S] in [-1, 1] and, for conditional generation, "label" [B].
            draws: the iteration's source of random numbers.

        Returns:
            image, label (or None), the sub-volume's first slice "start" in [0, 7S/8], and one latent [B, L] for
            each update that generates.
        """
        image = batch["image"]
        start = draws.integer(0, image.shape[2] - image.shape[2] // 8)
        latents = {
            f"{u}_latent": draws.normal(len(image), self.latent_dim) for u in ("discriminator", "generator", "crf")
        }
        return {"image": image, "label": batch.get("label"), "start": start, "iteration": draws.iteration, **latents}

    def discriminator_loss(self, batch: dict) -> dict[str, Tensor]:
        """-log D(x_r) - log(1 - D(G2(G1(z)_r))), and the class of x_r."""
        start = batch["start"]
        real, classes = self.discriminator(image_slab(batch["image"], start), start)
        _, slab = self._generate(batch["discriminator_latent"], batch)
        fake, _ = self.discriminator(slab, start)
        terms = {"real": call_it(real, real=True), "fake": call_it(fake, real=False)}
        return terms | self._classification(classes, batch)

    def generator_loss(self, batch: dict) -> dict[str, Tensor]:
        """-log D(G2(G1(z)_r)) and -log CRF(G1(z)), blended or summed, and the class of the generated slab."""
        embedding, slab = self._generate(batch["generator_latent"], batch)
        verdict, classes = self.discriminator(slab, batch["start"])
        weight = self.crf_weight_at(batch["iteration"])
        if self.feedback == "sum":
            terms = {
                "discriminator": call_it(verdict, real=True),
                "crf": call_it(self._consistency(embedding, verdict), real=True),
            }
        else:
            if weight > 0:
                verdict = weight * self._consistency(embedding, verdict) + (1 - weight) * verdict
            terms = {"adversarial": call_it(verdict, real=True)}
        return terms | self._classification(classes, batch)

    def crf_loss(self, batch: dict) -> dict[str, Tensor]:
        """-log CRF(hE(x)) - log(1 - CRF(G1(z)))."""
        start = batch["start"]
        with torch.no_grad():
            fake_embedding, slab = self._generate(batch["crf_latent"], batch)
            fake_verdict, _ = self.discriminator(slab, start)
            real_embedding = self.encoder(batch["image"])
            real_verdict, _ = self.discriminator(image_slab(batch["image"], start), start)
        return {
            "real": call_it(self._consistency(real_embedding, real_verdict), real=True),
            "fake": call_it(self._consistency(fake_embedding, fake_verdict), real=False),
        }

    def encoder_loss(self, batch: dict) -> dict[str, Tensor]:
        """|| x_r - G2(hE(x_r)) ||_1, the mean over voxels."""
        slab = image_slab(batch["image"], batch["start"])
        return {"reconstruction": F.l1_loss(self.generator.decode(self.encoder(slab)), slab)}

    def crf_weight_at(self, iteration: int) -> float:
        """Weight w of the CRF in the blend at an iteration, counted from 0."""
        return self.crf_weight * max(0.0, 1 - iteration / self.crf_iterations)

    def _generate(self, latent: Tensor, batch: dict) -> tuple[Tensor, Tensor]:
        """The whole embedding and the slab of the volume that starts at the batch's position."""
        embedding = self.generator.embed(latent, batch["label"])
        return embedding, self.generator.decode(embedding_slab(embedding, batch["start"]))

    def _consistency(self, embedding: Tensor, verdict: Tensor) -> Tensor:
        """The CRF's verdict [B, 1]: the mean over its nodes, each of which starts from D's logit."""
        return self.crf(axial_nodes(embedding), verdict).mean(dim=1, keepdim=True)

    def _classification(self, classes: Tensor | None, batch: dict) -> dict[str, Tensor]:
        if classes is None:
            return {}
        return {"class": self.classification_weight * F.cross_entropy(classes, batch["label"])}
