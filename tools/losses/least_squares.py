"""The least-squares GAN's loss."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def adversarial_loss(logits: Tensor, real: bool) -> Tensor:
    """Mean squared difference of logits from one label for all of them, 1 if real (Mao et al. 2017).

    MONAI's ``PatchAdversarialLoss`` gives the same without its activation, but copies its label from the CPU, for which
    a GPU is waited for.
    """
    return F.mse_loss(logits, torch.full_like(logits, float(real)))
