"""What a flow's network need not learn: what follows of a noisy sample by the mean and deviation of the data alone."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

LEAST = 1e-3
"""The least deviation of a channel: that of a class which no sample has is 0, and nothing may be divided by it."""


class FlowPreconditioning(nn.Module):
    """The best linear guess of a rectified flow's velocity, and its error as the unit of what a network adds to it.

    Karras et al. 2022 ("Elucidating the design space of diffusion-based generative models", section 5) ask of a
    denoiser that what goes into its network and what is asked of it have unit variance at every noise level, and that
    its errors are amplified as little as possible. Here is what follows for a flow, whose noisy sample is
    z = (1 - t) x + t n and whose network says x - n, for data of mean m and deviation s in a channel. With
    v = (1 - t)^2 s^2 + t^2, the variance of z,

    | | |
    |---|---|
    | into the network | (z - (1 - t) m) / sqrt(v) |
    | linear guess | m + ((1 - t) s^2 - t) / v (z - (1 - t) m) |
    | deviation of its error | s / sqrt(v) |

    and the velocity is the guess plus the last times the network's answer. For data that are normal and independent the
    guess is exact; an untrained network, whose last layer is zero, so begins with the samples of that model. It is what
    Eq. 7 of the paper is, with its c_skip, c_out, c_in, for the flow's noise and target and with the mean besides.

    Args:
        channels: channels of a sample.
        times: number of the last time, T, at which a sample is noise alone: t is a time over it.

    Attributes:
        mean: mean of each channel over the data, a buffer [channels], saved with the weights; 0 until it is measured.
        deviation: deviation of each channel, alike; 1 until it is measured.
        is_measured: bool [], whether they were.
    """

    def __init__(self, channels: int, times: float = 1000) -> None:
        super().__init__()
        self.times = times
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("deviation", torch.ones(channels))
        self.register_buffer("is_measured", torch.tensor(False))

    @torch.no_grad()
    def measure(self, samples: Iterable[Tensor]) -> None:
        """Take mean and deviation from samples [channels, (D,) H, W], all voxels alike.

        Raises:
            ValueError: there is no sample.
        """
        count, total, squares = 0, 0.0, 0.0
        for sample in samples:
            voxels = sample.flatten(1).double()
            count += voxels.shape[1]
            total = total + voxels.sum(1)
            squares = squares + voxels.square().sum(1)
        if count == 0:
            raise ValueError("there are no samples to measure mean and deviation of")
        mean = total / count
        deviation = (squares / count - mean.square()).clamp(min=LEAST**2).sqrt()
        self.mean.copy_(mean)
        self.deviation.copy_(deviation)
        self.is_measured.fill_(True)

    def forward(self, noisy: Tensor, timesteps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """
        Args:
            noisy: noisy samples z [B, channels, (D,) H, W].
            timesteps: their times [B] in [0, T].

        Returns:
            Input of the network and linear guess of the velocity, both in the shape of the samples, and the deviation
            of the guess's error [B, channels, (1,) 1, 1]; in float32, or float64 where samples are.
        """
        shape = (1, -1, *[1] * (noisy.ndim - 2))
        exact = torch.promote_types(noisy.dtype, torch.float32)
        mean, deviation = (value.to(exact).view(shape) for value in (self.mean, self.deviation))
        t = (timesteps.to(exact) / self.times).view(-1, *[1] * (noisy.ndim - 1))
        variance = ((1 - t) * deviation).square() + t.square()
        centred = noisy.to(exact) - (1 - t) * mean
        guess = mean + ((1 - t) * deviation.square() - t) / variance * centred
        return centred / variance.sqrt(), guess, deviation / variance.sqrt()
