"""What a flow's network need not learn: what follows of a noisy sample by the mean and covariance of the data alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from tools.layers.cosines import BANDS, along_axes, band_of, cosines, per_band
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
        channels: channels of a sample.
        seen: number of channels of the network's input.
    """

    def __init__(self, channels: int, times: float = 1000) -> None:
        super().__init__()
        self.times = times
        self.channels = channels
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

    def unit(self, noisy: Tensor, timesteps: Tensor) -> Tensor:
        """The last of what `forward` returns, alone."""
        return self(noisy, timesteps)[2]


class PrincipalPreconditioning(nn.Module):
    """The same for samples that are placed alike: the guess knows the mean sample, how whole samples vary about it, by
    the data's first principal components, and how smooth the rest is, by its spectrum.

    A sample is taken to be x = m + W c + r, with the mean sample m, components W that are scaled by their deviations,
    independent standard normal numbers c, and a rest r that is normal and stationary: in the basis of cosines (DCT-II,
    orthonormal, which takes no end of a sample for its beginning) its coefficients are independent, of a variance P
    that follows from their frequency. Of a noisy z = (1 - t) x + t n, with D = (1 - t)^2 P + t^2 at each frequency,

    | | |
    |---|---|
    | components | c = (1 - t) (I + (1 - t)^2 W' W / D)^-1 W' (z - (1 - t) m) / D, their best guess |
    | centre | b = m + W c |
    | sample | b + (1 - t) P / D (z - (1 - t) b), its best guess: the rest by Wiener's filter |
    | into the network | (z - (1 - t) b) over its deviation, and the guess of the sample, in the channels' units |
    | linear guess | b + ((1 - t) P - t) / D (z - (1 - t) b) |

    where z, m and W are meant in that basis, and with which the guess is exact for such data: the posterior mean of
    x - n. That much of what a network learns at high noise is this linear guess Wang and Vastola 2024 found ("The
    unreasonable effectiveness of Gaussian score approximation for diffusion models"). A network finds it slowly: since
    it has to average over the whole sample to see the components, while it has not found them, all samples get nearly
    the same size, place and brightness; and since it has to learn that neighbours are alike, while it has not learnt
    it, samples keep noise that no scan has.

    A sample may be a box of what was measured, on voxels of its own: with the places of its faces the box is taken out
    of the mean and the components too, which may so be kept on fewer voxels, and have no details beyond those. Voxels
    of a box are taken to be no shorter than those that were measured.

    Args:
        channels: channels of a sample.
        size: voxels along each axis on which mean and components are kept.
        components: number of principal components.
        times: number of the last time, T.

    Attributes:
        mean: mean sample m, a buffer [channels, *size]; 0 until it is measured.
        components: W, a buffer [components, channels, *size], from the greatest on; 0 until they are measured, as are
            those beyond half of the samples' number.
        spectrum: P on these voxels, a buffer [channels, `BANDS`], by frequency, see `band_of`; 1 until it is measured.
        is_measured: bool [], whether they were.
        channels: channels of a sample.
        seen: number of channels of the network's input.
    """

    def __init__(self, channels: int, size: Sequence[int], components: int, times: float = 1000) -> None:
        super().__init__()
        self.times = times
        self.channels = channels
        self.seen = 2 * channels
        self.register_buffer("mean", torch.zeros(channels, *size))
        self.register_buffer("components", torch.zeros(components, channels, *size))
        self.register_buffer("spectrum", torch.ones(channels, BANDS))
        self.register_buffer("is_measured", torch.tensor(False))

    @torch.no_grad()
    def measure(self, samples: Iterable[Tensor]) -> None:
        """Take mean, components and spectrum from samples [channels, (D,) H, W]; those on other voxels are resized.

        Raises:
            ValueError: there is no sample.
        """
        every, lost, finest = [], 0.0, self.mean.shape[1:]
        for sample in samples:
            kept = sample.float().to(self.mean.device)
            if kept.shape != self.mean.shape:
                whole = Box(kept.shape[1:], self.mean.shape[1:], torch.zeros(1, 3).to(kept), torch.ones(1, 3).to(kept))
                finest = kept.shape[1:]
                lost = lost + self._power(kept)
                kept = whole.of(kept[None])[0]
                lost = lost - self._power(kept)
            every.append(kept)
        if not every:
            raise ValueError("there are no samples to measure mean and components of")
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
        own = sum(self._power(one) for one in rest) / max(len(taken) - 1 - number, 1)
        self.spectrum.copy_(self._filled(own + lost / len(every), finest))
        self.is_measured.fill_(True)

    def _power(self, sample: Tensor) -> Tensor:
        """Sums of squares in the bands, float64 [channels, BANDS], on the voxels that are kept."""
        size = sample.shape[1:]
        finer = math.prod(size) / math.prod(self.mean.shape[1:])
        squares = along_axes(sample[None], cosines(size, sample))[0].double().square() / finer
        return per_band(squares.flatten(1), self._bands(size).to(sample.device))

    def _bands(self, size: Sequence[int]) -> Tensor:
        """The nearest band of each frequency of a whole sample on these voxels."""
        coarser = torch.tensor([[kept / n for kept, n in zip(self.mean.shape[1:], size, strict=True)]])
        return band_of(size, coarser)[0].round().long().flatten()

    def _filled(self, power: Tensor, size: Sequence[int]) -> Tensor:
        """Variances of the bands of their sums of squares over samples of this size; bands without frequencies between
        others get what is between theirs, and those beyond the same."""
        bands = self._bands(size).to(power.device)
        count = per_band(torch.ones(1, len(bands), dtype=torch.float64, device=power.device), bands)[0]
        has = count.nonzero().flatten()
        logs = (power[:, has] / count[has]).clamp(min=LEAST**2).log()
        places = torch.arange(BANDS, device=power.device)
        after = torch.searchsorted(has, places).clamp(max=len(has) - 1)
        before = torch.where(has[after] > places, (after - 1).clamp(min=0), after)
        share = (places - has[before]) / (has[after] - has[before]).clamp(min=1)
        return torch.lerp(logs[:, before], logs[:, after], share.clamp(0, 1).to(logs)).exp()

    def __str__(self) -> str:
        """What of the variance is whose, in words."""
        sizes = self.components.square().flatten(1).sum(1)
        rest = self._variances(self.mean.shape[1:], None).sum()
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
        with torch.autocast(noisy.device.type, enabled=False):
            noisy, t, box = self._placed(noisy, timesteps, first, last)
            basis, p, d, w = self._model(noisy, t, box)
            t_ = t.view(-1, *[1] * (noisy.ndim - 1))
            mean, spread, over_voxels = (
                self.mean.to(noisy),
                (1, -1, *[1] * (noisy.ndim - 2)),
                tuple(range(2, noisy.ndim)),
            )

            expected = mean[None] if box is None else box.of(mean[None] - AIR) + AIR
            seen = along_axes(noisy - (1 - t_) * expected, basis)
            low = (..., *(slice(n) for n in w.shape[3:]))  # the frequencies that components have
            over_d = w / d[low][:, None]
            inner = (1 - t).square()[:, None, None] * over_d.flatten(2) @ w.flatten(2).transpose(1, 2)
            weighed = (1 - t)[:, None] * (over_d * seen[low][:, None]).flatten(2).sum(2)
            found = torch.linalg.solve(inner + torch.eye(w.shape[1]).to(noisy), weighed)
            about = (w * found.view(*found.shape, *[1] * (noisy.ndim - 1))).sum(1)  # [B, channels, *low]

            rest = seen.clone()
            rest[low] -= (1 - t_) * about
            guesses = torch.cat([(1 - t_) * p / d * rest, ((1 - t_) * p - t_) / d * rest])
            guesses[low] += torch.cat([about, about])
            sample, guess = along_axes(guesses, [one.T for one in basis]).chunk(2)
            centre = expected + along_axes(about, [one[:n].T for one, n in zip(basis, w.shape[3:], strict=True)])

            variance = self.components.to(noisy).square().flatten(2).mean(2).sum(0).view(spread) + p.mean(
                over_voxels, keepdim=True
            )
            into = torch.cat(
                [
                    (noisy - (1 - t_) * centre) / d.mean(over_voxels, keepdim=True).sqrt(),
                    (expected + sample - mean.flatten(1).mean(1).view(spread)) / variance.sqrt(),
                ],
                1,
            )
            return into, expected + guess, self._left(t, p, d, w)

    def unit(self, noisy: Tensor, timesteps: Tensor, first: Tensor | None = None, last: Tensor | None = None) -> Tensor:
        """The last of what `forward` returns, alone."""
        with torch.autocast(noisy.device.type, enabled=False):
            noisy, t, box = self._placed(noisy, timesteps, first, last)
            return self._left(t, *self._model(noisy, t, box)[1:])

    def _placed(
        self, noisy: Tensor, timesteps: Tensor, first: Tensor | None, last: Tensor | None
    ) -> tuple[Tensor, Tensor, Box | None]:
        """Samples, t, and the box that they are; None for all of what was measured."""
        exact = torch.promote_types(noisy.dtype, torch.float32)
        noisy, t = noisy.to(exact), timesteps.to(exact) / self.times
        if first is not None:
            return noisy, t, Box(self.mean.shape[1:], noisy.shape[2:], first.to(exact), last.to(exact))
        if noisy.shape[1:] != self.mean.shape:
            raise ValueError(
                f"samples are {tuple(noisy.shape[1:])}, and the network knows the mean of "
                f"{tuple(self.mean.shape)}, channels and voxels; only such can be made"
            )
        return noisy, t, None

    def _model(self, noisy: Tensor, t: Tensor, box: Box | None) -> tuple[list[Tensor], Tensor, Tensor, Tensor]:
        """The basis, and in it P [1 or B, channels, *size], D [B, channels, *size] and W [1 or B, components, channels,
        *low], of as many frequencies as components have."""
        basis = cosines(noisy.shape[2:], noisy)
        p = self._variances(noisy.shape[2:], box).to(noisy)
        t = t.view(-1, *[1] * (noisy.ndim - 1))
        components = self.components.to(noisy)
        w = along_axes(components, basis)[None] if box is None else box.coefficients(components, basis)
        return basis, p, (1 - t).square() * p + t.square(), w

    def _left(self, t: Tensor, p: Tensor, d: Tensor, w: Tensor) -> Tensor:
        """About the deviation of the guess's error [B, channels, (1,) 1, 1]."""
        own = w.square().flatten(3).sum(3).transpose(1, 2)  # [1 or B, channels, components]
        # the variance that components leave open, as if there were no other part
        whole = (1 - t).square()[:, None] * own.sum(1) + t.square()[:, None]
        of_components = (own / math.prod(p.shape[2:]) / whole.clamp(min=1e-12)[:, None]).sum(2)
        of_rest = (p / d).flatten(2).mean(2)
        return (of_rest + of_components).sqrt().view(*of_rest.shape, *[1] * (p.ndim - 2))

    def _variances(self, size: Sequence[int], box: Box | None) -> Tensor:
        """P of each frequency, [1 or B, channels, *size]."""
        coarser = torch.ones(1, len(size)) if box is None else box.coarser
        band = band_of(size, coarser.to(self.spectrum))
        low = band.floor().long().clamp(max=BANDS - 2)
        logs = self.spectrum.log()
        found = torch.lerp(logs[:, low], logs[:, low + 1], band - low)  # [channels, B, *size]
        found = found.transpose(0, 1).exp() / coarser.prod(1).to(found).view(-1, *[1] * (len(size) + 1))
        if box is None:
            return found
        for axis, n in enumerate(size):  # voxels of a box are means by a triangle as wide as two, see `axis_weights`
            passed = torch.sinc(torch.arange(n).to(found) / (2 * n)) ** 4
            found = found * passed.view(-1, *[1] * (len(size) - 1 - axis))
        return found


class Box:
    """Boxes of what is kept on voxels of its own, between faces in shares of its axes.

    Args:
        kept: voxels that are kept along each axis.
        size: voxels of the boxes.
        first: places [B, 3] of the boxes' first faces, from 0 to 1.
        last: the same of their last faces.

    Attributes:
        coarser: lengths of the boxes' voxels in those that are kept, [B, 3].
    """

    def __init__(self, kept: Sequence[int], size: Sequence[int], first: Tensor, last: Tensor) -> None:
        one = torch.ones(len(first), device=first.device)
        extent = (last - first).clamp(min=1e-3)  # of a box without one there is nothing to say, but it is no error
        self.coarser = extent * torch.tensor(kept).to(first) / torch.tensor(size).to(first)
        self.weights = [
            axis_weights(kept[i], one / kept[i], size[i], (last - first)[:, i] / size[i], first[:, i]).to(first)
            for i in range(3)
        ]

    def of(self, volumes: Tensor) -> Tensor:
        """Boxes [B, channels, *size] of volumes [1 or B, channels, *kept]."""
        return resampled(self._rows(volumes), *self.weights)

    def coefficients(self, volumes: Tensor, basis: Sequence[Tensor]) -> Tensor:
        """Coefficients of boxes of volumes [number, channels, *kept] in a basis of each axis of the boxes:
        [B, number, channels, *low], of as many of the first as there are voxels kept, at most."""
        lowest = [one[:kept] @ axis for one, axis, kept in zip(basis, self.weights, volumes.shape[2:], strict=True)]
        made = resampled(self._rows(volumes.flatten(0, 1)[None]), *lowest)
        return made.reshape(len(made), *volumes.shape[:2], *made.shape[2:])

    def _rows(self, volumes: Tensor) -> Tensor:
        return volumes.expand(len(self.weights[0]), *volumes.shape[1:])
