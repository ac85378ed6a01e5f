"""The objectives of WGAN, WGAN-GP and 3D-GAN on whole volumes, and what auto-encoding GANs share with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tools.engines.processes import mean_over_processes
from tools.errors import check_choice
from tools.losses.adversarial import logistic, real_sample, wasserstein, wasserstein_penalty
from tools.networks.volume_gan import VolumeGenerator
from tools.transforms.channels import Channels

if TYPE_CHECKING:
    from tools.engines.draws import Draws

VERDICTS = {"wasserstein": wasserstein, "logistic": logistic}
"""Loss of verdicts by its name: (verdicts, whether they are to be real) -> loss."""


class VolumeObjective:
    """Base of these objectives: real volumes with their labels, latents, and distances of volumes.

    Args:
        generator: G.
        discriminator: D.
        channels: channels of a volume; None takes "image" of a batch as it is.
    """

    latents: tuple[str, ...] = ("discriminator", "generator")
    """Updates that generate from latents of their own."""

    shares: tuple[str, ...] = ("share",)
    """Mixing shares that penalties need, [B] each."""

    rows: int | None = None
    """Number of latents of each update; None for as many as there are real volumes."""

    def __init__(self, generator: VolumeGenerator, discriminator: nn.Module, channels: Channels | None = None) -> None:
        self.generator = generator
        self.discriminator = discriminator
        self.channels = channels

    def draw(self, batch: dict, draws: Draws) -> dict:
        """Draw all that is random in one iteration.

        Args:
            batch: "image" [B, images, D, H, W] in [-1, 1]; where `channels` has labels "label", class indices
                [B, 1, D, H, W], and perhaps "known" [B, classes], see ``Channels``.
            draws: the iteration's source of random numbers.

        Returns:
            The volumes "real" [B, channels, D, H, W], "counted", bool as the label channels: where it is known what
            they should be, or None; "<update>_latent" [B, L] and mixing shares [B].
        """
        real, counted = real_sample(batch, self.channels), None
        if self.channels is not None and self.channels.labels:
            counted = self.channels.counted(batch["label"], batch.get("known"))
        drawn = {f"{update}_latent": self.latent(self.rows or len(real), draws) for update in self.latents}
        return {"real": real, "counted": counted, **drawn, **{share: draws.uniform(len(real)) for share in self.shares}}

    def latent(self, rows: int, draws: Draws) -> Tensor:
        """Latent vectors [rows, L] as the generator expects them."""
        return draws.normal(rows, self.generator.latent_dim)

    def distance(
        self, made: Tensor, batch: dict, of: Callable[..., Tensor], weight: float, label_weight: float
    ) -> dict[str, Tensor]:
        """Weighted distance of volumes to the real ones: of images, and of labels where they are known.

        Args:
            made: volumes [B, channels, D, H, W].
            batch: batch as ``draw`` returns it.
            of: distance with a ``reduction``, for instance ``torch.nn.functional.l1_loss``.
            weight: weight of both terms.
            label_weight: weight of the labels' relative to the images'.
        """
        real, images = batch["real"], batch["real"].shape[1] if self.channels is None else self.channels.num_images
        terms = {}
        if images:
            terms["reconstruction"] = weight * of(made[:, :images], real[:, :images])
        if batch["counted"] is not None:
            counted = batch["counted"].to(made.dtype)
            voxels = of(made[:, images:], real[:, images:], reduction="none") * counted
            terms["labels"] = weight * label_weight * voxels.sum() / counted.sum().clamp(min=1)
        return terms


class WassersteinObjective(VolumeObjective):
    """D by the distance of Wasserstein, then G. D is held to be Lipschitz by a penalty, or by clipping.

    Args:
        generator: G.
        discriminator: D.
        channels: channels of a volume; None takes "image" of a batch as it is.
        lipschitz: "penalty" of the gradient (WGAN-GP, Gulrajani et al. 2017); or "clipping" of the weights before each
            step of D (WGAN, Arjovsky et al. 2017, as their released code does), which may leave it by a step's length.
        penalty: weight lambda of the penalty.
        penalty_per_voxel: True penalises the gradient at each voxel by itself, as Kwon et al.'s notebook does. Each of
            262,144 voxels is then to have the slope that the theory asks of the whole volume, so it is off by default.
        clip: limit of the absolute weights with "clipping".
        rows: number of latents of each update, whatever the batch has: for a private training, in which nobody is to
            know how many real volumes there are in it. D then compares each with one of so many samples, which are
            made before. None takes as many as there are real volumes.
    """

    def __init__(
        self,
        generator: VolumeGenerator,
        discriminator: nn.Module,
        channels: Channels | None = None,
        lipschitz: str = "penalty",
        penalty: float = 10.0,
        penalty_per_voxel: bool = False,
        clip: float = 0.01,
        rows: int | None = None,
    ) -> None:
        super().__init__(generator, discriminator, channels)
        check_choice("lipschitz", lipschitz, ("penalty", "clipping"))
        self.lipschitz = lipschitz
        self.penalty = penalty
        self.penalty_per_voxel = penalty_per_voxel
        self.clip = clip
        self.rows = rows

    def draw(self, batch: dict, draws: Draws) -> dict:
        """What `VolumeObjective.draw` draws; with ``rows`` also "made" [B, channels, D, H, W], samples for D's rows."""
        drawn = super().draw(batch, draws)
        if self.rows is None:
            return drawn
        with torch.no_grad():
            made = self.generator(drawn.pop("discriminator_latent"))
        return drawn | {"made": made[torch.arange(len(drawn["real"])) % self.rows]}

    def discriminator_loss(self, batch: dict) -> Iterator[dict[str, Tensor]]:
        """D(G(z)); lambda (|dD/dx| - 1)^2 in between; -D(x)."""
        if self.lipschitz == "clipping":
            clip_weights(self.discriminator, self.clip)
        made = batch.get("made")
        if made is None:
            with torch.no_grad():
                made = self.generator(batch["discriminator_latent"])
        yield {"fake": wasserstein(self.discriminator(made), real=False)}
        if self.lipschitz == "penalty":
            mixed = wasserstein_penalty(
                self.discriminator, batch["real"], made, batch["share"], per_voxel=self.penalty_per_voxel
            )
            yield {"penalty": self.penalty * mixed}
        yield {"real": wasserstein(self.discriminator(batch["real"]), real=True)}

    def generator_loss(self, batch: dict) -> dict[str, Tensor]:
        """-D(G(z))."""
        return {"adversarial": wasserstein(self.discriminator(self.generator(batch["generator_latent"])), real=True)}


class GAN3DObjective(VolumeObjective):
    """3D-GAN (Wu et al. 2016): cross-entropies, latents uniform in [0, 1], and a discriminator that rests when it wins.

    Args:
        generator: G.
        discriminator: D.
        channels: channels of a volume; None takes "image" of a batch as it is.
        resting_accuracy: share of the batch, real and generated, that D may get right: above it, D is not updated. 1
            lets it never rest. The paper speaks of the last batch; it is the one that D would be updated by, as in
            public ports, so that a resumed run needs no memory.
    """

    shares = ()

    def __init__(
        self,
        generator: VolumeGenerator,
        discriminator: nn.Module,
        channels: Channels | None = None,
        resting_accuracy: float = 0.8,
    ) -> None:
        super().__init__(generator, discriminator, channels)
        self.resting_accuracy = resting_accuracy

    def latent(self, rows: int, draws: Draws) -> Tensor:
        """Latent vectors, uniform in [0, 1)."""
        return draws.uniform(rows, self.generator.latent_dim)

    @torch.no_grad()
    def discriminator_rests(self, batch: dict) -> bool:
        """Return whether D gets so much of the batch of all processes right that it is not updated."""
        real = self.discriminator(batch["real"]) > 0
        fake = self.discriminator(self.generator(batch["discriminator_latent"])) <= 0
        accuracy = mean_over_processes(torch.cat([real, fake]).double().mean())
        return accuracy.item() > self.resting_accuracy

    def discriminator_loss(self, batch: dict) -> Iterator[dict[str, Tensor]]:
        """-log D(x), then -log(1 - D(G(z)))."""
        yield {"real": logistic(self.discriminator(batch["real"]), real=True)}
        with torch.no_grad():
            made = self.generator(batch["discriminator_latent"])
        yield {"fake": logistic(self.discriminator(made), real=False)}

    def generator_loss(self, batch: dict) -> dict[str, Tensor]:
        """-log D(G(z)), which does not saturate (Goodfellow et al. 2014)."""
        return {"adversarial": logistic(self.discriminator(self.generator(batch["generator_latent"])), real=True)}


@torch.no_grad()
def clip_weights(network: nn.Module, limit: float) -> None:
    """Keep all parameters of a network in [-limit, limit]."""
    for parameter in network.parameters():
        parameter.clamp_(-limit, limit)


def feature_distance(made: Tensor, real: Tensor) -> Tensor:
    """1/2 |D_l(x) - D_l(y)|^2, the mean over features (Larsen et al. 2016, Eq. 7, without its constant)."""
    return F.mse_loss(made, real) / 2
