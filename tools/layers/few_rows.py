"""Fully connected layers of many weights for few rows."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class FewRowsLinear(nn.Linear):
    """A fully connected layer that mixed precision leaves alone.

    The product of a few rows with many weights takes as long as reading these, and rounding them to half precision
    first, and their gradient back, takes longer. Arguments, weights and state dict are those of ``nn.Linear``.
    """

    def forward(self, x: Tensor) -> Tensor:
        """[B, in_features] -> [B, out_features], of the weights' type."""
        if torch.jit.is_scripting() or x.is_meta:
            return F.linear(x, self.weight, self.bias)
        with torch.autocast(x.device.type, enabled=False):
            return F.linear(x.to(self.weight.dtype), self.weight, self.bias)
