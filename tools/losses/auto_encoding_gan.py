"""The objectives of auto-encoding GANs on whole volumes: VAE-GAN, alpha-GAN and alpha-WGAN-GP, CCE-GAN."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tools.engines.handover import Handover
from tools.errors import check_choice
from tools.losses.adversarial import logistic, wasserstein, wasserstein_penalty
from tools.losses.kl_divergence import kl_divergence
from tools.losses.sinkhorn import sinkhorn_cost
from tools.losses.volume_gan import VERDICTS, VolumeObjective, feature_distance
from tools.networks.volume_gan import VolumeGenerator
from tools.transforms.channels import Channels

if TYPE_CHECKING:
    from tools.engines.draws import Draws


class VAEGANObjective(VolumeObjective):
    """D, then G, then E (Larsen et al. 2016, and the form of it that Kwon et al. compare with).

    Args:
        generator: G.
        discriminator: D.
        encoder: E, a `VariationalEncoder`.
        channels: channels of a volume; None takes "image" of a batch as it is.
        reconstruction: place where a volume and its reconstruction are compared: "voxels", by the squared error as
            Kwon et al. have it, whose baseline this is; or "features" of the middle of D, as Larsen et al. do.
        generator_weight: weight of that in G's loss.
        encoder_weight: weight of that in E's loss.
        label_weight: weight of labels relative to images, with "voxels".
        saturating: True lets G maximise D's loss, as both papers do. By default it minimises -log D, whose gradient
            does not vanish while D wins (Goodfellow et al. 2014).
    """

    latents = ("discriminator", "generator")
    shares = ()

    def __init__(
        self,
        generator: VolumeGenerator,
        discriminator: nn.Module,
        encoder: nn.Module,
        channels: Channels | None = None,
        reconstruction: str = "voxels",
        generator_weight: float = 20.0,
        encoder_weight: float = 10.0,
        label_weight: float = 1.0,
        saturating: bool = False,
    ) -> None:
        super().__init__(generator, discriminator, channels)
        check_choice("reconstruction", reconstruction, ("voxels", "features"))
        self.encoder = encoder
        self.reconstruction = reconstruction
        self.generator_weight = generator_weight
        self.encoder_weight = encoder_weight
        self.label_weight = label_weight
        self.saturating = saturating

    def draw(self, batch: dict, draws: Draws) -> dict:
        """Draw what the base draws, and the "noise" of the codes, the same in all updates: they are of one pass."""
        drawn = super().draw(batch, draws)
        return drawn | {"noise": draws.normal(len(drawn["real"]), self.generator.latent_dim)}

    def encoded(self, batch: dict) -> tuple[Tensor, Tensor, Tensor]:
        """Codes m + s n of the real volumes, with m and log s^2."""
        mean, log_variance = self.encoder(batch["real"])
        return mean + (log_variance / 2).exp() * batch["noise"], mean, log_variance

    def reconstructed(self, made: Tensor, batch: dict, weight: float) -> dict[str, Tensor]:
        """Weighted distance of reconstructions to the real volumes."""
        if self.reconstruction == "voxels":
            return self.distance(made, batch, F.mse_loss, weight, self.label_weight)
        with torch.no_grad():
            features = self.discriminator.middle(batch["real"])
        return {"reconstruction": weight * feature_distance(self.discriminator.middle(made), features)}

    def discriminator_loss(self, batch: dict) -> Iterator[dict[str, Tensor]]:
        """-log D(x); -log(1 - D(G(E(x)))); -log(1 - D(G(z)))."""
        yield {"real": logistic(self.discriminator(batch["real"]), real=True)}
        with torch.no_grad():
            reconstruction = self.generator(self.encoded(batch)[0])
        yield {"reconstruction": logistic(self.discriminator(reconstruction), real=False)}
        with torch.no_grad():
            made = self.generator(batch["discriminator_latent"])
        yield {"fake": logistic(self.discriminator(made), real=False)}

    def generator_loss(self, batch: dict) -> Iterator[dict[str, Tensor]]:
        """The weighted reconstruction and -log D(G(E(x))), then -log D(G(z))."""
        with torch.no_grad():
            code = self.encoded(batch)[0]
        reconstruction = self.generator(code)
        verdict = self.discriminator(reconstruction)
        terms = self.reconstructed(reconstruction, batch, self.generator_weight)
        yield terms | {"adversarial": self.fooling(verdict)}
        yield {"sample": self.fooling(self.discriminator(self.generator(batch["generator_latent"])))}

    def fooling(self, verdict: Tensor) -> Tensor:
        """G's loss of verdicts on what it made."""
        return -logistic(verdict, real=False) if self.saturating else logistic(verdict, real=True)

    def encoder_loss(self, batch: dict) -> dict[str, Tensor]:
        """KL of the codes, the mean over their numbers, and the weighted reconstruction."""
        code, mean, log_variance = self.encoded(batch)
        terms = self.reconstructed(self.generator(code), batch, self.encoder_weight)
        return terms | {"kl": kl_divergence(mean, log_variance)}


class AutoEncodingObjective(VolumeObjective):
    """What the alpha forms and CCE-GAN share: D against reconstructions xr = G(E(x)) and samples xh = G(z).

    Args:
        generator: G.
        discriminator: D.
        encoder: E, volume to code.
        channels: channels of a volume; None takes "image" of a batch as it is.
        adversarial: "wasserstein", with a penalty of D's gradient, or "logistic".
        reconstruction_weight: weight of |x - G(E(x))|.
        penalty: weight lambda of gradient penalties, with "wasserstein".
        label_weight: weight of labels relative to images in the reconstruction.
    """

    latents = ("generator",)
    shares = ("reconstruction_share", "fake_share")

    def __init__(
        self,
        generator: VolumeGenerator,
        discriminator: nn.Module,
        encoder: nn.Module,
        channels: Channels | None = None,
        adversarial: str = "wasserstein",
        reconstruction_weight: float = 10.0,
        penalty: float = 10.0,
        label_weight: float = 1.0,
    ) -> None:
        super().__init__(generator, discriminator, channels)
        check_choice("adversarial", adversarial, VERDICTS)
        self.encoder = encoder
        self.adversarial = adversarial
        self.verdict_loss = VERDICTS[adversarial]
        self.reconstruction_weight = reconstruction_weight
        self.penalty = penalty
        self.label_weight = label_weight

    def draw(self, batch: dict, draws: Draws) -> dict:
        """Draw what the base draws, and the "handover" by which later updates get what G's has made."""
        drawn = super().draw(batch, draws)
        return drawn | {"handover": Handover(len(drawn["real"]))}

    def reconstructed(self, made: Tensor, batch: dict) -> dict[str, Tensor]:
        """Weighted L1 distance of reconstructions to the real volumes."""
        return self.distance(made, batch, F.l1_loss, self.reconstruction_weight, self.label_weight)

    @torch.no_grad()
    def made(self, batch: dict) -> tuple[Tensor, Tensor]:
        """Reconstructions and samples for D, where G's update has left none."""
        return self.generator(self.encoder(batch["real"])), self.generator(batch["generator_latent"])

    def discriminator_loss(self, batch: dict) -> Iterator[dict[str, Tensor]]:
        """-2 D(x) + D(xr) + D(xh), with a penalty between x and each; or the same of cross-entropies, without."""
        reconstruction, sample = batch["handover"].take(lambda: self.made(batch))
        real = batch["real"]
        yield {"real": 2 * self.verdict_loss(self.discriminator(real), True)}
        for name, made in (("reconstruction", reconstruction), ("fake", sample)):
            yield {name: self.verdict_loss(self.discriminator(made), False)}
            if self.adversarial == "wasserstein":
                mixed = wasserstein_penalty(self.discriminator, real, made, batch[f"{name}_share"])
                yield {"penalty": self.penalty * mixed}


class AlphaGANObjective(AutoEncodingObjective):
    """E and G together, then D, then the discriminator C of codes (Rosca et al. 2017; Kwon et al. 2019).

    With zh = E(x), xr = G(zh) and xh = G(z). Kwon et al. make new volumes for D's update after G's, from another batch
    of real ones; here D sees those of G's update, from before its step, which saves their second making.

    Args:
        generator: G.
        discriminator: D.
        encoder: E, volume to code.
        code_discriminator: C.
        channels: channels of a volume; None takes "image" of a batch as it is.
        adversarial: "wasserstein", alpha-WGAN-GP, which Kwon et al. propose; or "logistic", Rosca et al.'s alpha-GAN.
        reconstruction_weight: weight of |x - G(E(x))|.
        penalty: weight lambda of the penalties of both discriminators, with "wasserstein".
        label_weight: weight of labels relative to images in the reconstruction.
    """

    shares = (*AutoEncodingObjective.shares, "code_share")

    def __init__(
        self,
        generator: VolumeGenerator,
        discriminator: nn.Module,
        encoder: nn.Module,
        code_discriminator: nn.Module,
        channels: Channels | None = None,
        adversarial: str = "wasserstein",
        reconstruction_weight: float = 10.0,
        penalty: float = 10.0,
        label_weight: float = 1.0,
    ) -> None:
        super().__init__(
            generator, discriminator, encoder, channels, adversarial, reconstruction_weight, penalty, label_weight
        )
        self.code_discriminator = code_discriminator

    def draw(self, batch: dict, draws: Draws) -> dict:
        """Draw what the base draws, and the "codes" by which C's update gets those of E's."""
        drawn = super().draw(batch, draws)
        return drawn | {"codes": Handover(len(drawn["real"]))}

    def generator_loss(self, batch: dict) -> Iterator[dict[str, Tensor]]:
        """Of E and G: 10 |x - xr| - C(zh) - D(xr), then -D(xh); with "logistic" -log of each verdict's probability."""
        code = self.encoder(batch["real"])
        reconstruction = self.generator(code)
        yield self.reconstructed(reconstruction, batch) | {
            "code": self.verdict_loss(self.code_discriminator(code), True),
            "adversarial": self.verdict_loss(self.discriminator(reconstruction), True),
        }
        sample = self.generator(batch["generator_latent"])
        batch["handover"].put(reconstruction, sample)
        batch["codes"].put(code)
        yield {"sample": self.verdict_loss(self.discriminator(sample), True)}

    def code_discriminator_loss(self, batch: dict) -> dict[str, Tensor]:
        """C(zh) - C(z) with a penalty in between, or cross-entropies."""
        (code,) = batch["codes"].take(lambda: self.codes(batch))
        latent = batch["generator_latent"]
        terms = {
            "real": self.verdict_loss(self.code_discriminator(latent), True),
            "fake": self.verdict_loss(self.code_discriminator(code), False),
        }
        if self.adversarial == "wasserstein":
            mixed = wasserstein_penalty(self.code_discriminator, latent, code, batch["code_share"])
            terms["penalty"] = self.penalty * mixed
        return terms

    @torch.no_grad()
    def codes(self, batch: dict) -> tuple[Tensor]:
        """Codes for C, where E's update has left none."""
        return (self.encoder(batch["real"]),)


class CCEGANObjective(AutoEncodingObjective):
    """D, then G, then E (Xing et al. 2021): codes come back from volumes, and are held by Sinkhorn's cost, not by C.

    G alone learns to bring volumes and codes back, what its loss says of E is not used; E learns to have codes that are
    distributed as latents are.

    Args:
        generator: G.
        discriminator: D.
        encoder: E, volume to code.
        channels: channels of a volume; None takes "image" of a batch as it is.
        reconstruction_weight: weight of |x - G(E(x))|.
        code_weight: weight of |E(x) - E(G(E(x)))|^2.
        latent_weight: weight of |z - E(G(z))|^2.
        sinkhorn_weight: weight of Sinkhorn's cost of z and E(x) in E's loss.
        sinkhorn_points: points of that cost: "numbers", the L numbers of a code, each with its B values in the batch,
            as coded: the cost then looks at each code's numbers as draws from one distribution. "codes", the B codes:
            with the published batch of 4 these are four points in 1000 dimensions, which say little.
        epsilon: entropic regularisation of that cost.
        sinkhorn_iterations: iterations of that cost.
        penalty: weight lambda of the penalty of D's gradient.
        label_weight: weight of labels relative to images in the reconstruction.
    """

    latents = ("generator", "encoder")

    def __init__(
        self,
        generator: VolumeGenerator,
        discriminator: nn.Module,
        encoder: nn.Module,
        channels: Channels | None = None,
        reconstruction_weight: float = 100.0,
        code_weight: float = 50.0,
        latent_weight: float = 50.0,
        sinkhorn_weight: float = 100.0,
        sinkhorn_points: str = "numbers",
        epsilon: float = 0.1,
        sinkhorn_iterations: int = 100,
        penalty: float = 10.0,
        label_weight: float = 1.0,
    ) -> None:
        super().__init__(
            generator, discriminator, encoder, channels, "wasserstein", reconstruction_weight, penalty, label_weight
        )
        check_choice("sinkhorn_points", sinkhorn_points, ("numbers", "codes"))
        self.code_weight = code_weight
        self.latent_weight = latent_weight
        self.sinkhorn_weight = sinkhorn_weight
        self.sinkhorn_points = sinkhorn_points
        self.epsilon = epsilon
        self.sinkhorn_iterations = sinkhorn_iterations

    def generator_loss(self, batch: dict) -> Iterator[dict[str, Tensor]]:
        """100 |x - xr| - D(xr) + 50 |E(x) - E(xr)|^2, then -D(xh) + 50 |z - E(xh)|^2."""
        with torch.no_grad():
            code = self.encoder(batch["real"])
        reconstruction = self.generator(code)
        yield self.reconstructed(reconstruction, batch) | {
            "adversarial": wasserstein(self.discriminator(reconstruction), real=True),
            "code": self.code_weight * F.mse_loss(self.encoder(reconstruction), code),
        }
        latent = batch["generator_latent"]
        sample = self.generator(latent)
        yield {
            "sample": wasserstein(self.discriminator(sample), real=True),
            "latent": self.latent_weight * F.mse_loss(self.encoder(sample), latent),
        }

    def encoder_loss(self, batch: dict) -> dict[str, Tensor]:
        """100 times Sinkhorn's cost of z and E(x)."""
        latent, code = batch["encoder_latent"], self.encoder(batch["real"])
        if self.sinkhorn_points == "numbers":
            latent, code = latent.T, code.T
        cost = sinkhorn_cost(latent, code, self.epsilon, self.sinkhorn_iterations)
        return {"sinkhorn": self.sinkhorn_weight * cost}
