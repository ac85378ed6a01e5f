"""What a flow's network need not learn: what follows of a noisy sample by the mean and covariance of the data alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

LEAST = 1e-3
"""The least deviation of a channel: that of a class which no sample has is 0, and nothing may be divided by it."""

MOST = 512
"""Samples of which principal components are computed, evenly taken from all there are."""


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
        seen: number of channels of the network's input.
    """

    def __init__(self, channels: int, times: float = 1000) -> None:
        super().__init__()
        self.times = times
        self.seen = channels
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

    def __str__(self) -> str:
        """Mean and deviation of each channel, in words."""
        mean, deviation = ([round(v, 4) for v in values.tolist()] for values in (self.mean, self.deviation))
        return f"mean {mean} and deviation {deviation} by channel"

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


class PrincipalPreconditioning(nn.Module):
    """The same for samples of one size that are placed alike: the guess knows the mean sample, and how whole samples
    vary about it, by the data's first principal components.

    A sample is taken to be x = m + W c + r, with the mean sample m, components W that are scaled by their deviations,
    independent standard normal numbers c, and a rest r that is normal and independent, of deviation s in a channel. Of
    a noisy z = (1 - t) x + t n, with d = (1 - t)^2 s^2 + t^2,

    | | |
    |---|---|
    | components | c = (1 - t) (I + (1 - t)^2 W' W / d)^-1 W' (z - (1 - t) m) / d, their best guess |
    | centre | b = m + W c |
    | into the network | (z - (1 - t) b) / sqrt(d), and b less each channel's mean, over its deviation |
    | linear guess | b + ((1 - t) s^2 - t) / d (z - (1 - t) b) |

    with which the guess is exact for such data: the posterior mean of x - n. Without components it is
    `FlowPreconditioning`'s about a mean sample. That much of what a network learns at high noise is this linear guess
    Wang and Vastola 2024 found ("The unreasonable effectiveness of Gaussian score approximation for diffusion models").
    A network finds it slowly, since it has to average over the whole sample; and while it has not found it, all samples
    get nearly the same size, place and brightness.

    Args:
        channels: channels of a sample.
        size: voxels of a sample along each axis.
        components: number of principal components.
        times: number of the last time, T.

    Attributes:
        mean: mean sample m, a buffer [channels, *size]; 0 until it is measured.
        components: W, a buffer [components, channels, *size], from the greatest on; 0 until they are measured, as are
            those that fewer samples do not have.
        deviation: s, a buffer [channels]; 1 until it is measured.
        is_measured: bool [], whether they were.
        seen: number of channels of the network's input.
    """

    def __init__(self, channels: int, size: Sequence[int], components: int, times: float = 1000) -> None:
        super().__init__()
        self.times = times
        self.seen = 2 * channels
        self.register_buffer("mean", torch.zeros(channels, *size))
        self.register_buffer("components", torch.zeros(components, channels, *size))
        self.register_buffer("deviation", torch.ones(channels))
        self.register_buffer("is_measured", torch.tensor(False))

    @torch.no_grad()
    def measure(self, samples: Iterable[Tensor]) -> None:
        """Take mean and components from samples [channels, (D,) H, W].

        Raises:
            ValueError: there is no sample.
        """
        every = list(samples)
        if not every:
            raise ValueError("there are no samples to measure mean and components of")
        taken = torch.stack([every[i * len(every) // MOST] for i in range(MOST)] if len(every) > MOST else every)
        mean = taken.mean(0, dtype=torch.float64)
        about = (taken - mean.to(taken)).flatten(1)
        # of fewer samples than voxels: their products have the eigenvalues of the covariance, and n times fewer numbers
        values, vectors = torch.linalg.eigh((about @ about.T).double() / max(len(taken) - 1, 1))
        number = min(len(self.components), len(taken) - 1)
        order = values.argsort(descending=True)[:number]
        directions = torch.nn.functional.normalize(vectors[:, order].T.to(about) @ about)
        rest = (about - about @ directions.T @ directions).view_as(taken)
        self.mean.copy_(mean)
        scaled = values[order].clamp(min=0).sqrt().to(about)[:, None] * directions
        self.components[:number] = scaled.view(number, *self.mean.shape)
        own = rest.square().transpose(0, 1).flatten(1).mean(1) * (len(taken) / max(len(taken) - 1 - number, 1))
        self.deviation.copy_(own.clamp(min=LEAST**2).sqrt())
        self.is_measured.fill_(True)

    def __str__(self) -> str:
        """What of the variance is whose, in words."""
        sizes = self.components.square().flatten(1).sum(1)
        rest = self.deviation.square().sum() * math.prod(self.mean.shape[1:])
        share = float(sizes.sum() / (sizes.sum() + rest))
        return f"a mean and {len(self.components)} principal components, which are {share:.0%} of their variance"

    def forward(self, noisy: Tensor, timesteps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """
        Args:
            noisy: noisy samples z [B, channels, (D,) H, W].
            timesteps: their times [B] in [0, T].

        Returns:
            Input of the network [B, 2 channels, (D,) H, W], linear guess of the velocity in the shape of the samples,
            and about the deviation of the guess's error [B, channels, (1,) 1, 1]; in float32, or float64 where samples
            are.

        Raises:
            ValueError: samples of another size.
        """
        if noisy.shape[1:] != self.mean.shape:
            raise ValueError(
                f"samples are {tuple(noisy.shape[1:])}, and the network knows the mean of {tuple(self.mean.shape)}, "
                "channels and voxels; only such can be made"
            )
        exact = torch.promote_types(noisy.dtype, torch.float32)
        with torch.autocast(noisy.device.type, enabled=False):
            return self._forward(noisy.to(exact), timesteps.to(exact) / self.times)

    def _forward(self, noisy: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, components = self.mean.to(noisy), self.components.to(noisy).flatten(2)
        spread = (1, -1, *[1] * (noisy.ndim - 2))
        s = self.deviation.to(noisy)
        d = ((1 - t)[:, None] * s).square() + t[:, None].square()  # [B, channels]
        t_ = t.view(-1, *[1] * (noisy.ndim - 1))
        d_, s_ = d.view(*d.shape, *spread[2:]), s.view(spread)

        weighed = ((noisy - (1 - t_) * mean) / d_).flatten(2)
        products = torch.einsum("kcn,lcn->ckl", components, components)
        inner = (1 - t).square()[:, None, None] * torch.einsum("ckl,bc->bkl", products, 1 / d)
        inner = inner + torch.eye(len(components)).to(noisy)
        seen = (1 - t)[:, None] * torch.einsum("kcn,bcn->bk", components, weighed)
        found = torch.linalg.solve(inner, seen)
        centre = mean + torch.einsum("bk,kcn->bcn", found, components).view_as(noisy)

        rest = noisy - (1 - t_) * centre
        guess = centre + ((1 - t_) * s_.square() - t_) / d_ * rest
        # the variance that components leave open, as if there were no other part
        own = torch.diagonal(products, dim1=1, dim2=2)  # [channels, components]
        whole = (1 - t).square()[:, None] * own.sum(0) + t.square()[:, None]
        left = s.square() / d + torch.einsum("ck,bk->bc", own / math.prod(mean.shape[1:]), 1 / whole.clamp(min=1e-12))
        level, unit = mean.flatten(1).mean(1), (own.sum(1) / math.prod(mean.shape[1:]) + s.square()).sqrt()
        beside = (centre - level.view(spread)) / unit.view(spread)
        return torch.cat([rest / d_.sqrt(), beside], 1), guess, left.sqrt().view_as(d_)
