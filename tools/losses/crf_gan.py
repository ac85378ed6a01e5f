"""The objective of CRF-GAN (Shiri et al., section 2.2, Eq. 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tools.engines.handover import Handover
from tools.former import IMPLEMENTATIONS, former_argument
from tools.layers.crf import MeanFieldCRF, axial_nodes, axial_similarity, channel_nodes
from tools.layers.implementation import check_implementation
from tools.losses.hierarchical_gan import HierarchicalObjective, adversarial_loss
from tools.networks.hierarchical_gan import Generator, HalfEncoder, SubVolumeDiscriminator, image_slab

if TYPE_CHECKING:
    from tools.engines.draws import Draws


class CRFGANObjective(HierarchicalObjective):
    """One method per update: D, then G1 and G2, then the CRF, then hE.

    Eq. 1 is a minimax; as in the code released with the paper, and in Goodfellow et al. (2014), the generator
    maximises log D(G(z)) instead of minimising log(1 - D(G(z))), whose gradient vanishes early. The last term of
    L_CRF is printed as log(1 - D(G1(z))), where the mathematics needs log(1 - CRF(G1(z))).

    Args:
        generator: G, whose parts are G1 and G2.
        discriminator: D.
        encoder: half-encoder hE.
        crf: the CRF.
        latent_dim: size L of the latent vector.
        feedback: combination of D and the CRF in G's loss. "blend", the released code's way: cross-entropy of one
            logit, w * CRF + (1 - w) * D. "sum", the sum of Eq. 1: one cross-entropy each.
        crf_weight: weight w at the first iteration.
        crf_iterations: number of iterations over which w falls linearly to 0; None for all iterations of the run.
        crf_nodes: nodes of the CRF. "slices", the axial slices of the embedding: regions, as the paper's text has it.
            "channels", the released code's way, which flattens channels and slices together.
        discriminator_class_weight: weight of the auxiliary classifier in D's loss, see `HierarchicalObjective`.
        generator_class_weight: weight of the auxiliary classifier in G's loss.
        implementation: "optimised" or "reference". Optimised, the CRF is trained on the embeddings of the generator's
            update, from before its step, and on D's logits for them, since D does not change in between. The
            reference is the released code's way: new volumes for the CRF's update, and hE sees the batch at once.
    """

    generating_updates = ("discriminator", "generator", "crf")

    @former_argument("plain", "implementation", values=IMPLEMENTATIONS)
    @former_argument("classification_weight", "discriminator_class_weight", "generator_class_weight")
    def __init__(
        self,
        generator: Generator,
        discriminator: SubVolumeDiscriminator,
        encoder: HalfEncoder,
        crf: MeanFieldCRF,
        latent_dim: int = 1024,
        feedback: str = "blend",
        crf_weight: float = 0.5,
        crf_iterations: int | None = 60_000,
        crf_nodes: str = "slices",
        discriminator_class_weight: float = 1.0,
        generator_class_weight: float = 0.1,
        implementation: str = "optimised",
    ) -> None:
        if feedback not in ("blend", "sum"):
            raise ValueError(f"feedback is {feedback!r}, expected 'blend' or 'sum'.")
        if crf_nodes not in ("slices", "channels"):
            raise ValueError(f"crf_nodes is {crf_nodes!r}, expected 'slices' or 'channels'.")
        check_implementation(implementation)
        if crf_iterations is not None and crf_iterations < 1:
            raise ValueError(f"crf_iterations is {crf_iterations}, expected 1 or more, or None for the whole run.")
        super().__init__(
            generator, discriminator, encoder, latent_dim, discriminator_class_weight, generator_class_weight
        )
        self.crf = crf
        self.feedback = feedback
        self.crf_weight = crf_weight
        self.crf_iterations = crf_iterations
        self.crf_nodes = crf_nodes
        self.reference = implementation == "reference"

    def draw(self, batch: dict, draws: Draws) -> dict:
        """Draw what the base draws, and add the "handover" by which the CRF's update gets the generator's fakes."""
        return super().draw(batch, draws) | {"handover": Handover(len(batch["image"]))}

    def real_logits(self, batch: dict) -> tuple[Tensor, Tensor | None]:
        """D(x_r)."""
        return self.discriminator(image_slab(batch["image"], batch["start"]), batch["start"])

    def fake_logits(self, embedding: Tensor, batch: dict) -> tuple[Tensor, Tensor | None]:
        """D(G2(A_r))."""
        return self.discriminator(self.decode(embedding, batch), batch["start"])

    def generator_loss(self, batch: dict) -> dict[str, Tensor]:
        """-log D(G2(G1(z)_r)) and -log CRF(G1(z)), blended or summed, and the class of the generated slab."""
        embedding = self.embed(batch, "generator")
        logit, classes = self.fake_logits(embedding, batch)
        if not self.reference:
            batch["handover"].put(embedding, logit)
        if self.feedback == "sum":
            terms = {
                "discriminator": adversarial_loss(logit, real=True),
                "crf": adversarial_loss(self.consistency(embedding, logit), real=True),
            }
        else:
            weight = self.crf_weight_at(batch["iteration"], batch["iterations"])
            if weight > 0:
                logit = weight * self.consistency(embedding, logit) + (1 - weight) * logit
            terms = {"adversarial": adversarial_loss(logit, real=True)}
        return terms | self.classification(classes, batch, self.generator_class_weight)

    def crf_loss(self, batch: dict) -> dict[str, Tensor]:
        """-log CRF(hE(x)) - log(1 - CRF(G1(z)))."""
        with torch.no_grad():
            fake_embedding, fake_logit = batch["handover"].take(lambda: self.fakes(batch))
            image = batch["image"]
            # volume by volume: the first layer is the largest tensor of a training step
            parts = [image] if self.reference else image.split(1)
            real_embedding = torch.cat([self.encoder(part) for part in parts])
            real_logit, _ = self.real_logits(batch)
        return {
            "real": adversarial_loss(self.consistency(real_embedding, real_logit), real=True),
            "fake": adversarial_loss(self.consistency(fake_embedding, fake_logit), real=False),
        }

    def fakes(self, batch: dict) -> tuple[Tensor, Tensor]:
        """Embeddings of new volumes and D's logits for them, for the CRF."""
        embedding = self.embed(batch, "crf")
        return embedding, self.fake_logits(embedding, batch)[0]

    def consistency(self, embedding: Tensor, logit: Tensor) -> Tensor:
        """The CRF's logit [B, 1], the mean over its nodes, each of which starts from D's logit."""
        if self.crf_nodes == "channels":
            logits = self.crf(channel_nodes(embedding, self.crf.num_nodes), logit)
        elif self.reference:
            logits = self.crf(axial_nodes(embedding), logit)
        else:
            logits = self.crf.mean_field(axial_similarity(embedding), logit)
        return logits.mean(dim=1, keepdim=True)

    def crf_weight_at(self, iteration: int, iterations: int | None = None) -> float:
        """Weight w of the CRF in the blend at an iteration, counted from 0, of a run of so many.

        Raises:
            ValueError: the weight falls over the run, whose length is not given.
        """
        length = self.crf_iterations or iterations
        if length is None:
            raise ValueError("crf_iterations is None, and the length of the run is not known; give a number")
        return self.crf_weight * max(0.0, 1 - iteration / length)
