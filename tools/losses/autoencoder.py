"""The objective of autoencoders for latent diffusion, by KL or by vector quantisation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tools.engines.handover import Handover
from tools.engines.samples import as_samples
from tools.losses.kl_divergence import kl_divergence
from tools.losses.least_squares import adversarial_loss
from tools.networks.latent_diffusion import LatentAutoencoder
from tools.transforms.channels import Channels

if TYPE_CHECKING:
    from tools.engines.draws import Draws


class AutoencoderObjective:
    """Two updates: the autoencoder, then a discriminator of patches (Esser et al. 2021, Rombach et al. 2022).

    With x a sample, y its reconstruction from a latent z, and D_l(x) the features in layer l of the discriminator, the
    autoencoder's loss is

        |x - y| of images + label_weight cross-entropy of labels
        + kl_weight 1/2 (m^2 + s^2 - log s^2 - 1), with z = m + s n and n ~ N(0, I), or VQ's commitment |z - sg(e)|^2
        + adversarial_weight (D(y) - 1)^2 + feature_weight sum over l of |D_l(x) - D_l(y)|
        + perceptual_weight of a distance in a frozen network,

    each term a mean over voxels, latent numbers or features, so that weights do not depend on sizes: Rombach et al. and
    MONAI's bundles sum the KL term over the latent. Features of the discriminator are matched (Wang et al. 2018, Eq. 4)
    in the place of LPIPS, whose network would have to be downloaded and was trained on photographs. The codebook of
    ``VQVAE`` is moved by its own average, without a loss.

    Labels are learned by binary cross-entropy of each class, as their logits are the network's output: an absolute
    difference would be content with small structures left away, and what a dataset does not label can be left out. The
    discriminator sees images and labels together, so that it judges whether they fit.

    The discriminator's update and the terms that need it begin late, in iteration ``start``: give the update the same.

    Args:
        autoencoder: the autoencoder.
        discriminator: D, for instance MONAI's ``PatchDiscriminator``: returns the features of its layers, the verdict
            last.
        channels: channels of the sample; None takes "image" of a batch as it is.
        kl_weight: weight of the KL term; not used by ``VQVAE``, whose commitment has its own ``commitment_cost``.
        adversarial_weight: weight of the verdict; 0 for none.
        feature_weight: weight of the discriminator's features; 0 for none.
        start: iteration from which on the discriminator is asked, counted from 0.
        label_weight: weight of the labels' cross-entropy.
        perceptual: distance of two images [B, 1, (D,) H, W], for instance
            ``tools.features.medicalnet.MedicalNetDistance``; None for none.
        perceptual_weight: weight of it.

    Raises:
        ValueError: a negative weight or iteration, channels with one channel for all classes, or an autoencoder for
            another number of images.
    """

    def __init__(
        self,
        autoencoder: LatentAutoencoder,
        discriminator: nn.Module,
        channels: Channels | None = None,
        kl_weight: float = 1e-3,
        adversarial_weight: float = 0.1,
        feature_weight: float = 1.0,
        start: int = 0,
        label_weight: float = 1.0,
        perceptual: Callable[[Tensor, Tensor], Tensor] | None = None,
        perceptual_weight: float = 0.3,
    ) -> None:
        weights = {
            "kl_weight": kl_weight,
            "adversarial_weight": adversarial_weight,
            "feature_weight": feature_weight,
            "start": start,
            "label_weight": label_weight,
            "perceptual_weight": perceptual_weight,
        }
        for name, weight in weights.items():
            if not weight >= 0:
                raise ValueError(f"{name} is {weight}, expected 0 or more")
        if channels is not None:
            if channels.labels and channels.encoding != "one_hot":
                raise ValueError(
                    f"the channels' encoding is {channels.encoding}, expected 'one_hot': a class has a logit"
                )
            if channels.num_images != autoencoder.num_images:
                raise ValueError(
                    f"the autoencoder has num_images {autoencoder.num_images}, and the channels {channels.num_images}"
                )
        self.autoencoder = autoencoder
        self.discriminator = discriminator
        self.channels = channels
        self.kl_weight = kl_weight
        self.adversarial_weight = adversarial_weight
        self.feature_weight = feature_weight
        self.start = start
        self.label_weight = label_weight
        self.perceptual = perceptual
        self.perceptual_weight = perceptual_weight

    def draw(self, batch: dict, draws: Draws) -> dict:
        """Draw the noise of the latents.

        Args:
            batch: "image" [B, images, (D,) H, W] in [-1, 1]; where `channels` has labels "label", class indices
                [B, 1, (D,) H, W], and perhaps "known" [B, classes], see ``Channels``.
            draws: the iteration's source of random numbers.

        Returns:
            The "sample" x [B, channels, (D,) H, W], the "noise" n of its latent, "counted", bool as the label channels:
            where it is known what they should be, or None; whether the discriminator is "judging"; and the "handover",
            in which the autoencoder's update leaves y for the discriminator's.
        """
        sample, counted = as_samples(batch, self.channels), None
        if self.channels is not None and self.channels.labels:
            counted = self.channels.counted(batch["label"], batch.get("known"))
        return {
            "sample": sample,
            "noise": draws.normal(len(sample), *self.autoencoder.latent_shape(sample.shape[2:])),
            "counted": counted,
            "judging": draws.iteration >= self.start,
            "handover": Handover(len(sample)),
        }

    def autoencoder_loss(self, batch: dict) -> dict[str, Tensor]:
        """The loss of the autoencoder, term by term; every term has its weight already."""
        x = batch["sample"]
        latent, terms = self.latent(batch)
        outputs = self.autoencoder.outputs(latent)
        y = self.autoencoder.sample(outputs)
        batch["handover"].put(y)
        terms |= self.reconstruction(outputs, batch)
        if batch["judging"] and self.adversarial_weight + self.feature_weight > 0:
            terms |= self.judgement(x, y)
        if self.perceptual is not None and self.perceptual_weight > 0:
            images = range(self.autoencoder.num_images)
            distances = [self.perceptual(y[:, i : i + 1], x[:, i : i + 1]) for i in images]
            terms["perceptual"] = self.perceptual_weight * sum(distances) / len(distances)
        return terms

    def discriminator_loss(self, batch: dict) -> Iterator[dict[str, Tensor]]:
        """(D(x) - 1)^2, then D(y)^2, halved as in Isola et al. 2017."""
        with torch.no_grad():
            (y,) = batch["handover"].take(lambda: (self.autoencoder.sample(self._outputs_again(batch)),))
        yield {"real": adversarial_loss(self.discriminator(batch["sample"])[-1], real=True) / 2}
        yield {"fake": adversarial_loss(self.discriminator(y)[-1], real=False) / 2}

    def latent(self, batch: dict) -> tuple[Tensor, dict[str, Tensor]]:
        """z, which the decoder gets, and the term that keeps latents in bounds."""
        mean, deviation = self.autoencoder.encode(batch["sample"])
        if deviation is None:
            latent, commitment = self.autoencoder.quantised(mean)
            return latent, {"commitment": commitment}
        mean, deviation = mean.float(), deviation.float()
        return mean + deviation * batch["noise"], {"kl": self.kl_weight * kl_divergence(mean, 2 * deviation.log())}

    def reconstruction(self, outputs: Tensor, batch: dict) -> dict[str, Tensor]:
        """|x - y| of images and the cross-entropy of labels. A row weighs as much as any other."""
        images = self.autoencoder.num_images
        outputs, x = outputs.float(), batch["sample"]
        terms = {"image": F.l1_loss(outputs[:, :images], x[:, :images])}
        if batch["counted"] is not None:
            inside = (x[:, images:] + 1) / 2  # one half where nobody knows, which is not counted
            entropy = F.binary_cross_entropy_with_logits(outputs[:, images:], inside, reduction="none").flatten(1)
            counted = batch["counted"].to(entropy.dtype).flatten(1)
            terms["label"] = self.label_weight * ((entropy * counted).sum(1) / counted.sum(1).clamp(min=1)).mean()
        return terms

    def judgement(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """What the discriminator says of y, and how far its features are from those of x."""
        *features, verdict = self.discriminator(y)
        with torch.no_grad():
            *wanted, _ = self.discriminator(x)
        distances = [F.l1_loss(one.float(), other.float()) for one, other in zip(features, wanted, strict=True)]
        return {
            "adversarial": self.adversarial_weight * adversarial_loss(verdict, real=True),
            "features": self.feature_weight * sum(distances),
        }

    def _outputs_again(self, batch: dict) -> Tensor:
        """The network's outputs where the autoencoder's update left none: with its codebook at rest."""
        training = self.autoencoder.training
        try:
            return self.autoencoder.eval().outputs(self.latent(batch)[0])
        finally:
            self.autoencoder.train(training)
