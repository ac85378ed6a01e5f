"""Losses of verdicts, and penalties of the discriminator's gradient, that generators from noise share."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from tools.transforms.channels import Channels


def logistic(verdict: Tensor, real: bool) -> Tensor:
    """-log of the probability that the verdict, a logit, gives to images of one kind (Goodfellow et al. 2014).

    Of generated images that are to be taken for real it is the loss of a generator that does not saturate.
    """
    return F.softplus(-verdict if real else verdict).mean()


def r1_penalty(verdict: Tensor, image: Tensor) -> Tensor:
    """1/2 |dD(x)/dx|^2 of real images, the mean over the batch (Mescheder et al. 2018, Eq. 9), without its weight.

    Args:
        verdict: verdicts [B, 1] of the discriminator.
        image: images x [B, C, H, W] that it saw, which require a gradient.
    """
    (gradient,) = torch.autograd.grad(verdict.sum(), image, create_graph=True)
    return gradient.square().flatten(1).sum(dim=1).mean() / 2


def wasserstein(verdict: Tensor, real: bool) -> Tensor:
    """Minus the mean verdict for images that are to be taken for real, and else plus (Arjovsky et al. 2017)."""
    return -verdict.mean() if real else verdict.mean()


def wasserstein_penalty(
    discriminate: Callable[[Tensor], Tensor],
    real: Tensor,
    fake: Tensor,
    share: Tensor,
    target: float = 1.0,
    per_voxel: bool = False,
) -> Tensor:
    """(|dD(x)/dx| - target)^2 / target^2 between real and generated images (Gulrajani et al. 2017, Eq. 3), unweighted.

    Args:
        discriminate: D, images -> verdicts [B, 1], or several of each image, whose sum is meant.
        real: real images, volumes or codes [B, C, ...].
        fake: generated ones alike.
        share: share of the generated image in each mixed one, [B], in [0, 1].
        target: length that the gradient is to have.
        per_voxel: True takes the length over the channels of each voxel by itself, as Kwon et al.'s WGAN does, in the
            place of the length over all of an image.
    """
    mixed = torch.lerp(real, fake.detach().to(real.dtype), share.view(-1, *[1] * (real.ndim - 1))).requires_grad_()
    (gradient,) = torch.autograd.grad(discriminate(mixed).sum(), mixed, create_graph=True)
    square = gradient.square().sum(dim=1) if per_voxel else gradient.square().flatten(1).sum(dim=1)
    length = (square + 1e-15).sqrt()  # whose gradient is not finite at 0
    return ((length - target) / target).square().mean()


def real_sample(batch: dict, channels: Channels | None) -> Tensor:
    """What a discriminator takes for real: "image" [B, images, H, W] with the channels of "label", if there are any.

    Labels of which nothing is known are 0; see `Channels.join`.
    """
    image = batch["image"].float()
    return image if channels is None else channels.join(image, batch.get("label"), batch.get("known"))


def class_of(batch: dict, num_classes: int) -> Tensor | None:
    """Class indices [B] of a batch, None for a family without classes.

    Raises:
        ValueError: classes are missing, or outside [0, num_classes).
    """
    if not num_classes:
        return None
    classes = batch.get("class")
    if classes is None:
        raise ValueError(f"a batch has no 'class', expected a class index in [0, {num_classes}) for each row")
    if not ((classes >= 0) & (classes < num_classes)).all():
        raise ValueError(f"classes are {classes.tolist()}, expected indices in [0, {num_classes})")
    return classes.long()
