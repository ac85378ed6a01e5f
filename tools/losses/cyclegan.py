"""The objective of CycleGAN for one or several MR modalities (Zhu et al. 2017; Crespi et al., section 3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tools.engines.handover import Handover
from tools.former import former_argument
from tools.losses.image_pool import ImagePool
from tools.losses.least_squares import adversarial_loss
from tools.losses.mind import mind_loss
from tools.transforms.window import Window

if TYPE_CHECKING:
    from tools.engines.draws import Draws


class CycleGANObjective:
    """Two updates: both generators together, then all discriminators.

    Least-squares GAN (Mao et al. 2017): a discriminator's label is 1 for real and 0 for generated images. With G from
    MR to CT and F back, the generators' loss is

        (D_CT(G(mr)) - 1)^2 + sum over modalities m of (D_m(F(ct)_m) - 1)^2
        + cycle_weight (|G(F(ct)) - ct| + sum over m of |F(G(mr))_m - mr_m|)
        + cycle_weight identity_weight (|G(ct) - ct| + |F(mr) - mr|)
        + mind_weight (mind(G(mr), mr) + mind(F(ct), ct)),

    each term a mean over pixels. The identity needs a generator that accepts its own output, so it is there with one
    MR modality only. The last line is not in the paper, and off by default (`tools.losses.mind`). The
    discriminators are trained on the images of the generators' update or, half of the time, on an earlier one from a
    pool instead (Shrivastava et al. 2017).

    Nor is it in the paper that D_CT may see each slice twice, in the whole window of HU and in a second, narrow one, as
    a reader does: fat and muscle are 150 HU apart, 7% of a window of 2,000.

    Args:
        generator_mr2ct: G, [B, M * slices, H, W] to [B, slices, H, W].
        generator_ct2mr: F, [B, slices, H, W] to [B, M * slices, H, W].
        discriminator_ct: D_CT, for instance MONAI's ``PatchDiscriminator``; it returns its logits, or a list that ends
            with them. With a ``second_window`` it takes [B, 2 * slices, H, W].
        discriminators_mr: discriminators of the M modalities, in their order.
        crop_size: side in pixels of the random crops that are trained on; None trains on whole images.
        flip: probability of a left-right flip, the same for all modalities of a slice.
        cycle_weight: weight of every modality's cycle loss.
        identity_weight: weight of the identity loss, relative to the cycle loss; 0 for none.
        mind_weight: weight of the MIND loss, the mean over modalities; 0, as in the paper, for none.
        pool_size: number of past images that a pool remembers, 0 for no pool.
        window: lowest and highest HU, -1 and 1 in CT.
        second_window: lowest and highest HU of D_CT's second channel; None, as in the paper, for no such channel.

    Raises:
        ValueError: a window's bounds are not in order.
    """

    @former_argument("structure_weight", "mind_weight")
    def __init__(
        self,
        generator_mr2ct: nn.Module,
        generator_ct2mr: nn.Module,
        discriminator_ct: nn.Module,
        discriminators_mr: Sequence[nn.Module],
        crop_size: int | None = None,
        flip: float = 0.5,
        cycle_weight: float = 10.0,
        identity_weight: float = 0.5,
        mind_weight: float = 0.0,
        pool_size: int = 50,
        window: Sequence[float] = (-1000, 1000),
        second_window: Sequence[float] | None = None,
    ) -> None:
        self.generator_mr2ct = generator_mr2ct
        self.generator_ct2mr = generator_ct2mr
        self.discriminator_ct = discriminator_ct
        self.discriminators_mr = list(discriminators_mr)
        self.crop_size = crop_size
        self.flip = flip
        self.cycle_weight = cycle_weight
        self.identity_weight = identity_weight if len(self.discriminators_mr) == 1 else 0.0
        self.mind_weight = mind_weight
        self.window = Window.of(window)
        self.second_window = None if second_window is None else Window.of(second_window)
        self.pool_ct = ImagePool(pool_size)
        self.pool_mr = ImagePool(pool_size)

    def draw(self, batch: dict, draws: Draws) -> dict:
        """Crop and flip at random, and decide what the pools will do.

        Args:
            batch: "mr" [B, M * slices, S, S] and "ct" [B, slices, S, S] in [-1, 1], of different patients.
            draws: the iteration's source of random numbers.

        Returns:
            Images "mr" and "ct"; for the pools "uniforms_ct" and "uniforms_mr" [B, 2], uniform in [0, 1), on the
            CPU; and the "handover", in which the generators' update leaves its images for the discriminators' update.
        """
        drawn = {name: self.augment(batch[name], draws.choices(len(batch[name]), 3)) for name in ("mr", "ct")}
        uniforms = {f"uniforms_{name}": draws.choices(len(batch[name]), 2) for name in ("ct", "mr")}
        return {**drawn, **uniforms, "handover": Handover(len(batch["mr"]))}

    def augment(self, images: Tensor, uniforms: Tensor) -> Tensor:
        """Crop and flip each image by its own three uniform numbers in [0, 1): y, x and flip."""
        size = self.crop_size or images.shape[-1]
        if size > min(images.shape[-2:]):
            raise ValueError(f"crops of {size} do not fit into images of {tuple(images.shape[-2:])}")
        room = torch.tensor([images.shape[-2] - size + 1, images.shape[-1] - size + 1])
        crops = []
        for image, (y, x, flip) in zip(images, uniforms.unbind(), strict=True):
            top, left = (torch.stack([y, x]) * room).long().tolist()
            crop = image[:, top : top + size, left : left + size]
            crops.append(crop.flip(-1) if flip < self.flip else crop)
        return torch.stack(crops)

    def generators_loss(self, batch: dict) -> dict[str, Tensor]:
        """The loss of G and F, term by term; every term has its weight already."""
        mr, ct = batch["mr"], batch["ct"]
        fake_ct, fake_mr = self.fakes(batch)
        batch["handover"].put(fake_ct, fake_mr)
        cycle_mr, cycle_ct = self.generator_ct2mr(fake_ct), self.generator_mr2ct(fake_mr)
        terms = {
            "adversarial_ct": adversarial_loss(logits_of(self.discriminator_ct, self.seen(fake_ct)), real=True),
            "adversarial_mr": sum(
                adversarial_loss(logits_of(discriminator, fake), real=True)
                for discriminator, fake in zip(self.discriminators_mr, self.split(fake_mr), strict=True)
            ),
            "cycle_ct": self.cycle_weight * F.l1_loss(cycle_ct, ct),
            # the mean over all modalities' pixels times their number is the sum of their means
            "cycle_mr": self.cycle_weight * len(self.discriminators_mr) * F.l1_loss(cycle_mr, mr),
        }
        if self.identity_weight > 0:
            weight = self.cycle_weight * self.identity_weight
            terms["identity_ct"] = weight * F.l1_loss(self.generator_mr2ct(ct), ct)
            terms["identity_mr"] = weight * F.l1_loss(self.generator_ct2mr(mr), mr)
        if self.mind_weight > 0:
            weight = self.mind_weight / len(self.discriminators_mr)
            terms["mind_ct"] = weight * sum(mind_loss(fake_ct, one) for one in self.split(mr))
            terms["mind_mr"] = weight * sum(mind_loss(one, ct) for one in self.split(fake_mr))
        return terms

    def discriminators_loss(self, batch: dict) -> Iterator[dict[str, Tensor]]:
        """(D(real) - 1)^2, then D(fake)^2, halved as in Zhu et al., for one discriminator after the other.

        Half the loss slows the discriminators relative to the generators.
        """
        with torch.no_grad():
            fake_ct, fake_mr = batch["handover"].take(lambda: self.fakes(batch))
        fake_ct = self.pool_ct.exchange(fake_ct, batch["uniforms_ct"])
        fake_mr = self.pool_mr.exchange(fake_mr, batch["uniforms_mr"])
        reals = [self.seen(batch["ct"]), *self.split(batch["mr"])]
        fakes = [self.seen(fake_ct), *self.split(fake_mr)]
        names = ["ct", *(f"mr{number}" for number in range(len(self.discriminators_mr)))]
        discriminators = [self.discriminator_ct, *self.discriminators_mr]
        for name, discriminator, real, fake in zip(names, discriminators, reals, fakes, strict=True):
            yield {name: adversarial_loss(logits_of(discriminator, real), real=True) / 2}
            yield {name: adversarial_loss(logits_of(discriminator, fake), real=False) / 2}

    def fakes(self, batch: dict) -> tuple[Tensor, Tensor]:
        """Generate CT and MR with the generators as they are now."""
        return self.generator_mr2ct(batch["mr"]), self.generator_ct2mr(batch["ct"])

    def seen(self, ct: Tensor) -> Tensor:
        """Return what D_CT sees of CT [B, slices, H, W]: itself and, after it, the second window in [-1, 1]."""
        if self.second_window is None:
            return ct
        return torch.cat([ct, self.second_window.scale(self.window.unscale(ct)).clamp(-1, 1)], dim=1)

    def split(self, mr: Tensor) -> tuple[Tensor, ...]:
        """The modalities of MR images: M tensors [B, slices, H, W]."""
        return mr.chunk(len(self.discriminators_mr), dim=1)


def logits_of(discriminator: nn.Module, images: Tensor) -> Tensor:
    """A discriminator's logits for images; MONAI's ``PatchDiscriminator`` returns its features before them."""
    found = discriminator(images)
    return found[-1] if isinstance(found, list | tuple) else found
