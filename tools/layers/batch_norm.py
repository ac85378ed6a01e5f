"""Batch normalisation that is the same however many processes share a batch, and right after a few batches."""

from __future__ import annotations

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn


class _SharedBatchNorm(nn.modules.batchnorm._BatchNorm):
    """What the classes of this module have besides those of torch, for inputs [B, C, ...]."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.kept = 0.9  # 1 - momentum

    def reset_running_stats(self) -> None:
        super().reset_running_stats()
        self.running_var.zero_()

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            return self.by_batch(x)
        share = 1.0 - torch.pow(self.kept, self.num_batches_tracked)
        mean = self.running_mean / share.clamp(min=1e-6)
        variance = torch.where(share > 0, self.running_var / share.clamp(min=1e-6), torch.ones_like(share))
        return F.batch_norm(x, mean, variance, self.weight, self.bias, False, 0.0, self.eps)

    @torch.jit.unused
    def by_batch(self, x):  # TorchScript, which is not to look into it, does not find the names of its types
        """Normalise by the batch's statistics, and let the running ones follow."""
        processes = dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1
        if processes == 1:
            return super().forward(x)
        from torch.distributed.nn.functional import all_reduce  # its gradient is shared as well

        values = x.float()
        others = [0, *range(2, x.ndim)]
        sums = torch.cat([values.mean(others), values.square().mean(others)])
        mean, square = (all_reduce(sums) / processes).chunk(2)
        variance = square - mean**2
        with torch.no_grad():
            number = x.numel() // x.shape[1] * processes
            self.running_mean.lerp_(mean, 1 - self.kept)
            self.running_var.lerp_(variance * (number / (number - 1)), 1 - self.kept)
            self.num_batches_tracked += 1
        scale = self.weight * (variance + self.eps).rsqrt()
        shift = self.bias - mean * scale
        shape = (-1, *[1] * (x.ndim - 2))
        return torch.addcmul(shift.view(shape), values, scale.view(shape)).to(x.dtype)


class BatchNorm2d(_SharedBatchNorm, nn.BatchNorm2d):
    """``nn.BatchNorm2d`` with two differences; its state dict is the same.

    - Running statistics begin at 0 and are divided by what has gone into them, 1 - 0.9^n after n batches, as Adam's
      moments are. Torch begins with a variance of 1, of which 43% are left after 8 batches: of a network that was
      trained for so long, ten such layers leave nothing.
    - Several processes (torch.distributed) take the statistics of the batch that they share. Torch's own
      ``SyncBatchNorm`` needs GPUs.

    Args:
        channels: number of channels.
    """


class BatchNorm3d(_SharedBatchNorm, nn.BatchNorm3d):
    """``nn.BatchNorm3d`` with the differences of `BatchNorm2d`, for volumes [B, C, D, H, W].

    Args:
        channels: number of channels.
    """


class BatchNorm1d(_SharedBatchNorm, nn.BatchNorm1d):
    """``nn.BatchNorm1d`` with the differences of `BatchNorm2d`, for vectors [B, C].

    Args:
        channels: number of channels.
    """
