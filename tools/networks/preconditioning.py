"""What a flow's network need not learn: what follows of a noisy sample by the mean and covariance of the data alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from tools.transforms.views import AIR, axis_weights, resampled

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
    """The same for samples that are placed alike: the guess knows the mean sample, and how whole samples vary about it,
    by the data's first principal components.

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

    A sample may be a box of what was measured, on voxels of its own: with the places of its faces the box is taken out
    of the mean and the components too, which may so be kept on fewer voxels.

    Args:
        channels: channels of a sample.
        size: voxels along each axis on which mean and components are kept.
        components: number of principal components.
        times: number of the last time, T.

    Attributes:
        mean: mean sample m, a buffer [channels, *size]; 0 until it is measured.
        components: W, a buffer [components, channels, *size], from the greatest on; 0 until they are measured, as are
            those beyond half of the samples' number.
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
        """Take mean and components from samples [channels, (D,) H, W]; those on other voxels are resized.

        Raises:
            ValueError: there is no sample.
        """
        every, lost = [], torch.zeros(len(self.deviation), dtype=torch.float64)
        for sample in samples:
            kept = sample.float().to(self.mean.device)
            if kept.shape != self.mean.shape:
                whole = Box(kept.shape[1:], self.mean.shape[1:], torch.zeros(1, 3).to(kept), torch.ones(1, 3).to(kept))
                kept = whole.of(kept[None])[0]
                lost += _power(sample) - _power(kept).cpu()
            every.append(kept)
        if not every:
            raise ValueError("there are no samples to measure mean and components of")
        lost /= len(every)
        taken = torch.stack([every[i * len(every) // MOST] for i in range(MOST)] if len(every) > MOST else every)
        mean = taken.mean(0, dtype=torch.float64)
        about = (taken - mean.to(taken)).flatten(1)
        # of fewer samples than voxels: their products have the eigenvalues of the covariance, and n times fewer numbers
        values, vectors = torch.linalg.eigh((about @ about.T).double() / max(len(taken) - 1, 1))
        # of so few samples that components would be all they are, the rest could not be told: half of them at most
        number = min(len(self.components), (len(taken) - 1) // 2)
        order = values.argsort(descending=True)[:number]
        directions = torch.nn.functional.normalize(vectors[:, order].T.to(about) @ about)
        rest = (about - about @ directions.T @ directions).view_as(taken)
        self.mean.copy_(mean)
        scaled = values[order].clamp(min=0).sqrt().to(about)[:, None] * directions
        self.components[:number] = scaled.view(number, *self.mean.shape)
        own = rest.square().transpose(0, 1).flatten(1).mean(1) * (len(taken) / max(len(taken) - 1 - number, 1))
        self.deviation.copy_((own + lost.clamp(min=0).to(own)).clamp(min=LEAST**2).sqrt())
        self.is_measured.fill_(True)

    def __str__(self) -> str:
        """What of the variance is whose, in words."""
        sizes = self.components.square().flatten(1).sum(1)
        rest = self.deviation.square().sum() * math.prod(self.mean.shape[1:])
        share = float(sizes.sum() / (sizes.sum() + rest))
        return f"a mean and {len(self.components)} principal components, which are {share:.0%} of their variance"

    def forward(
        self, noisy: Tensor, timesteps: Tensor, first: Tensor | None = None, last: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """
        Args:
            noisy: noisy samples z [B, channels, (D,) H, W].
            timesteps: their times [B] in [0, T].
            first: places [B, axes] of the samples' first faces in what was measured, from 0 to 1; None takes all of it.
            last: the same of their last faces.

        Returns:
            Input of the network [B, 2 channels, (D,) H, W], linear guess of the velocity in the shape of the samples,
            and about the deviation of the guess's error [B, channels, (1,) 1, 1]; in float32, or float64 where samples
            are.

        Raises:
            ValueError: samples of another size than was measured, without their places.
        """
        exact = torch.promote_types(noisy.dtype, torch.float32)
        with torch.autocast(noisy.device.type, enabled=False):
            noisy, t = noisy.to(exact), timesteps.to(exact) / self.times
            if first is not None:
                box = Box(self.mean.shape[1:], noisy.shape[2:], first.to(exact), last.to(exact))
            elif noisy.shape[1:] == self.mean.shape:
                box = None
            else:
                raise ValueError(
                    f"samples are {tuple(noisy.shape[1:])}, and the network knows the mean of "
                    f"{tuple(self.mean.shape)}, channels and voxels; only such can be made"
                )
            return self._forward(noisy, t, box)

    def _forward(self, noisy: Tensor, t: Tensor, box: Box | None) -> tuple[Tensor, Tensor, Tensor]:
        mean, components = self.mean.to(noisy), self.components.to(noisy)
        spread = (1, -1, *[1] * (noisy.ndim - 2))
        voxels = math.prod(noisy.shape[2:])
        s = self.deviation.to(noisy)
        d = ((1 - t)[:, None] * s).square() + t[:, None].square()  # [B, channels]
        t_ = t.view(-1, *[1] * (noisy.ndim - 1))
        d_, s_ = d.view(*d.shape, *spread[2:]), s.view(spread)

        expected = mean[None] if box is None else box.of(mean[None] - AIR) + AIR
        weighed = (noisy - (1 - t_) * expected) / d_
        weighed = weighed if box is None else box.back(weighed)
        seen = (1 - t)[:, None] * torch.einsum("kcn,bcn->bk", components.flatten(2), weighed.flatten(2))
        again = components[None] if box is None else box.back_and_forth(components)  # [1 or B, components, channels, *]
        products = torch.einsum("bkcn,lcn->bckl", again.flatten(3), components.flatten(2))
        inner = (1 - t).square()[:, None, None] * (products / d[..., None, None]).sum(1)
        found = torch.linalg.solve(inner + torch.eye(len(components)).to(noisy), seen)
        about = torch.einsum("bk,kcn->bcn", found, components.flatten(2)).view(len(noisy), *mean.shape)
        centre = expected + (about if box is None else box.of(about))

        rest = noisy - (1 - t_) * centre
        guess = centre + ((1 - t_) * s_.square() - t_) / d_ * rest
        # the variance that components leave open, as if there were no other part
        own = torch.diagonal(products, dim1=2, dim2=3)  # [1 or B, channels, components]
        whole = (1 - t).square()[:, None] * own.sum(1) + t.square()[:, None]
        left = s.square() / d + (own / voxels / whole.clamp(min=1e-12)[:, None]).sum(2)
        unit = (components.square().flatten(2).mean(2).sum(0) + s.square()).sqrt()
        beside = (centre - mean.flatten(1).mean(1).view(spread)) / unit.view(spread)
        return torch.cat([rest / d_.sqrt(), beside], 1), guess, left.sqrt().view_as(d_)


class Box:
    """Boxes of what is kept on voxels of its own, between faces in shares of its axes.

    Args:
        kept: voxels that are kept along each axis.
        size: voxels of the boxes.
        first: places [B, 3] of the boxes' first faces, from 0 to 1.
        last: the same of their last faces.
    """

    def __init__(self, kept: Sequence[int], size: Sequence[int], first: Tensor, last: Tensor) -> None:
        one = torch.ones(len(first), device=first.device)
        self.weights = [
            axis_weights(kept[i], one / kept[i], size[i], (last - first)[:, i] / size[i], first[:, i]).to(first)
            for i in range(3)
        ]

    def of(self, volumes: Tensor) -> Tensor:
        """Boxes [B, channels, *size] of volumes [1 or B, channels, *kept]."""
        return resampled(self._rows(volumes), *self.weights)

    def back(self, volumes: Tensor) -> Tensor:
        """The transpose of this: boxes [B, channels, *size] become [B, channels, *kept]."""
        return resampled(volumes, *(one.transpose(1, 2) for one in self.weights))

    def back_and_forth(self, volumes: Tensor) -> Tensor:
        """Both after each other, of volumes [number, channels, *kept]: [B, number, channels, *kept]."""
        both = resampled(self._rows(volumes.flatten(0, 1)[None]), *(one.transpose(1, 2) @ one for one in self.weights))
        return both.reshape(len(both), *volumes.shape)

    def _rows(self, volumes: Tensor) -> Tensor:
        return volumes.expand(len(self.weights[0]), *volumes.shape[1:])


def _power(sample: Tensor) -> Tensor:
    return sample.double().square().flatten(1).mean(1)
