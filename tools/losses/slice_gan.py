"""The objective of Jung et al. (2021): slices turned into another condition, judged alone and as stacks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from tools.engines.handover import Handover
from tools.losses.adversarial import wasserstein_penalty
from tools.networks.slice_gan import AttentionGenerator, SliceDiscriminator, StackDiscriminator, blend

if TYPE_CHECKING:
    from tools.engines.draws import Draws


class SliceGANObjective:
    """Three updates: the discriminator of slices, that of stacks, and, more rarely, the generator.

    With x slices of condition c, y the generator's image and a its saturated attention for another condition t, and
    z = a x + (1 - a) y, the losses are those of a Wasserstein GAN with a penalty of gradients, and

        D of slices:  D2(z) - D2(x) + penalty_weight P(D2) + condition_weight (C(x) - c)^2
        D of stacks:  D3(z) - D3(x) + penalty_weight P(D3)
        G:  -(1 - r) D2(z) - r D3(z) + condition_weight (C(z) - t)^2 + identity_weight mean(|z - x| (1 - a))
            + attention_weight mean(a) + smoothness_weight TV(a),    r = 1 / (slices - 1)

    where C is the condition that D of slices reads, and TV the sum of differences between neighbouring pixels of a
    slice. Other than in the released code: a condition t is uniform in [0, 1], where there the conditions of a batch
    change places, so that no slice is asked for its own and any number of processes draws the same; TV there is the sum
    over a batch of 24 slices with a weight of 1e-5, here a mean over slices; and there the squared errors of conditions
    are divided by the number of slices once more, for which condition_weight is 1.25.

    Args:
        generator: G.
        slice_discriminator: D of slices.
        stack_discriminator: D of stacks.
        penalty_weight: weight of the penalty of gradients.
        condition_weight: weight of the condition in both losses.
        identity_weight: weight of what changes where the attention is elsewhere.
        attention_weight: weight of the attention's mean.
        smoothness_weight: weight of the attention's total variation.
    """

    def __init__(
        self,
        generator: AttentionGenerator,
        slice_discriminator: SliceDiscriminator,
        stack_discriminator: StackDiscriminator,
        penalty_weight: float = 10.0,
        condition_weight: float = 30.0,
        identity_weight: float = 10.0,
        attention_weight: float = 0.1,
        smoothness_weight: float = 2.4e-4,
    ) -> None:
        self.generator = generator
        self.slice_discriminator = slice_discriminator
        self.stack_discriminator = stack_discriminator
        self.penalty_weight = penalty_weight
        self.condition_weight = condition_weight
        self.identity_weight = identity_weight
        self.attention_weight = attention_weight
        self.smoothness_weight = smoothness_weight

    def draw(self, batch: dict, draws: Draws) -> dict:
        """Draw the conditions that are asked for, and where gradients are penalised.

        Args:
            batch: "image" [B, S, H, W] in [-1, 1], S consecutive slices, and "condition" [B] in [0, 1].
            draws: the iteration's source of random numbers.

        Returns:
            "real" [B, S, H, W] and "condition" [B] of the batch; "target" [B], uniform in [0, 1); "slice_shares" [B, S]
            and "stack_shares" [B], shares of what is generated in what is penalised; and the "handover" of the
            generator's slices.
        """
        real = batch["image"].float()
        rows, slices = real.shape[:2]
        return {
            "real": real,
            "condition": batch["condition"].float(),
            "target": draws.uniform(rows),
            "slice_shares": draws.uniform(rows, slices),
            "stack_shares": draws.uniform(rows),
            "handover": Handover(rows),
        }

    def translate(self, batch: dict) -> tuple[Tensor, Tensor]:
        """Slices z under the conditions that are asked for and their saturated attention, [B * S, 1, H, W] each."""
        slices = one_by_one(batch["real"])
        image, attention = self.generator.drawn(with_condition(slices, of_slices(batch["target"], batch["real"])))
        attention = saturated(attention)
        return blend(slices, image, attention), attention

    def fakes(self, batch: dict) -> tuple[Tensor]:
        """Stacks of z [B, S, H, W], without their graphs."""
        with torch.no_grad():
            made, _ = self.translate(batch)
        return (made.view_as(batch["real"]),)

    def slice_discriminator_loss(self, batch: dict) -> Iterator[dict[str, Tensor]]:
        """The loss of D of slices, term by term."""
        real = one_by_one(batch["real"])
        fakes = self.fakes(batch)
        batch["handover"].put(*fakes)
        fake = one_by_one(fakes[0])
        scores, conditions = self.slice_discriminator(real)
        error = F.mse_loss(conditions.float(), of_slices(batch["condition"], batch["real"]))
        yield {"real": -scores.mean(), "condition": self.condition_weight * error}
        yield {"fake": self.slice_discriminator(fake)[0].mean()}
        shares = batch["slice_shares"].flatten()
        penalty = wasserstein_penalty(lambda slices: self.slice_discriminator(slices)[0], real, fake, shares)
        yield {"penalty": self.penalty_weight * penalty}

    def stack_discriminator_loss(self, batch: dict) -> Iterator[dict[str, Tensor]]:
        """The loss of D of stacks, term by term."""
        real = batch["real"][:, None]
        fake = batch["handover"].take(lambda: self.fakes(batch))[0][:, None]
        yield {"real": -self.stack_discriminator(real).mean()}
        yield {"fake": self.stack_discriminator(fake).mean()}
        penalty = wasserstein_penalty(self.stack_discriminator, real, fake, batch["stack_shares"])
        yield {"penalty": self.penalty_weight * penalty}

    def generator_loss(self, batch: dict) -> dict[str, Tensor]:
        """The loss of G, term by term; every term has its weight already."""
        real = one_by_one(batch["real"])
        made, attention = self.translate(batch)
        scores, conditions = self.slice_discriminator(made)
        share = stack_share(batch["real"].shape[1])
        stacks = self.stack_discriminator(made.view_as(batch["real"])[:, None])
        error = F.mse_loss(conditions.float(), of_slices(batch["target"], batch["real"]))
        return {
            "slices": -(1 - share) * scores.mean(),
            "stacks": -share * stacks.mean(),
            "condition": self.condition_weight * error,
            "identity": self.identity_weight * identity_loss(made, real, attention),
            "attention": self.attention_weight * attention.mean(),
            "smoothness": self.smoothness_weight * total_variation(attention),
        }


def one_by_one(stacks: Tensor) -> Tensor:
    """Stacks [B, S, H, W] as slices [B * S, 1, H, W]."""
    return stacks.flatten(0, 1)[:, None]


def of_slices(conditions: Tensor, stacks: Tensor) -> Tensor:
    """Conditions [B] of stacks [B, S, H, W], once for each slice, [B * S]."""
    return conditions.repeat_interleave(stacks.shape[1])


def with_condition(slices: Tensor, conditions: Tensor) -> Tensor:
    """Slices [B, 1, H, W] with their conditions [B] as a second channel, the same everywhere."""
    return torch.cat([slices, conditions.to(slices).view(-1, 1, 1, 1).expand_as(slices)], dim=1)


def stack_share(slices: int) -> float:
    """r, the share of the discriminator of stacks in what the generator hears: 1 / (slices - 1), and a half of two."""
    return 1 / max(2, slices - 1)


def saturated(attention: Tensor) -> Tensor:
    """clamp(0.55 tanh(3 (a - 0.5)) + 0.5, 0, 1): attention that comes closer to 0 and 1 in training, up to 0.002."""
    return (0.55 * torch.tanh(3 * (attention - 0.5)) + 0.5).clamp(0, 1)


def identity_loss(made: Tensor, given: Tensor, attention: Tensor) -> Tensor:
    """mean(|z - x| (1 - a)): 0 where the attention is 1, and where nothing has changed."""
    return ((made - given).abs() * (1 - attention)).mean()


def total_variation(attention: Tensor) -> Tensor:
    """Sum of the differences between neighbouring pixels of a slice [B, 1, H, W], the mean over slices."""
    along = (attention[..., 1:, :] - attention[..., :-1, :]).abs().sum()
    across = (attention[..., :, 1:] - attention[..., :, :-1]).abs().sum()
    return (along + across) / len(attention)
