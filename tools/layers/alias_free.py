"""A leaky ReLU that makes no frequencies which its samples cannot hold.

Karras et al. 2021, "Alias-free generative adversarial networks" (StyleGAN3), section 3.2 and appendix C: what is
sampled is enlarged through a low-pass filter, goes through the activation, and is reduced through another one. A filter
that is the same along both axes is a matrix for each axis, of zeros but for a band: two products of matrices enlarge an
image, without zeros being inserted, and two reduce it.
"""

from __future__ import annotations

import numpy as np
import scipy.signal
import scipy.special
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tools.layers.equalised import HE, SLOPE
from tools.layers.filters import resample, resampling_matrix


def low_pass(taps: int, cutoff: float, half_width: float, rate: float) -> Tensor:
    """A windowed sinc (Kaiser), float64 [taps], whose sum is 1.

    Args:
        taps: number of taps.
        cutoff: frequency at which half of the amplitude passes.
        half_width: half of the band in which it falls.
        rate: samples in the unit of length of which cutoff and width are frequencies.
    """
    if taps == 1:
        return torch.from_numpy(np.ones(1))
    return torch.from_numpy(scipy.signal.firwin(taps, cutoff, width=2 * half_width, fs=rate))


def radial_low_pass(taps: int, cutoff: float, half_width: float, rate: float) -> Tensor:
    """The same in two dimensions, float64 [taps, taps], which passes the same frequencies in all directions.

    The transform of a disc, J1(2 pi f_c r) f_c / r, in the Kaiser window of both axes.
    """
    position = (np.arange(taps) - (taps - 1) / 2) / rate
    radius = np.hypot(position[:, None], position[None])
    jinc = scipy.special.j1(2 * np.pi * cutoff * radius) / np.where(radius == 0, 1, radius)
    jinc[radius == 0] = np.pi * cutoff  # its limit
    beta = scipy.signal.kaiser_beta(scipy.signal.kaiser_atten(taps, 2 * half_width / (rate / 2)))
    window = np.kaiser(taps, beta)
    kernel = jinc * np.outer(window, window)
    return torch.from_numpy(kernel / kernel.sum())


class FilteredLeakyReLU(nn.Module):
    """Enlarge, leaky ReLU times sqrt(2), reduce; [B, C, size, size] -> [B, C, size_out, size_out].

    The first pixel that comes out lies where the first that came in lies less the padding, as in Karras et al. 2021.

    Args:
        size: side of what comes in.
        size_out: side of what comes out.
        up: factor by which it is enlarged.
        down: factor by which it is reduced.
        enlarging: filter [a].
        reducing: filter [b], or [b, b].

    Attributes:
        padding: zeros before and after each axis of the enlarged image; negative numbers cut pixels off.
    """

    def __init__(self, size: int, size_out: int, up: int, down: int, enlarging: Tensor, reducing: Tensor) -> None:
        super().__init__()
        total = (size_out - 1) * down + 1 - size * up + len(enlarging) + len(reducing) - 2
        before = (total + up) // 2
        self.padding = (before, total - before)
        matrix = up * resampling_matrix(enlarging, size, up, 1, *self.padding)
        self.down = down
        self.radial = reducing.ndim == 2
        # filters are made again with the network: state dicts need not hold them
        self.register_buffer("enlarge", matrix.float(), persistent=False)
        back = reducing if self.radial else resampling_matrix(reducing, len(matrix), 1, down)
        self.register_buffer("reduce", back.float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        # bands of filters have no room for the few digits of half precision
        with torch.autocast(x.device.type, enabled=False):
            y = on_both_axes(x.to(torch.promote_types(x.dtype, torch.float32)), self.enlarge)
            y = F.leaky_relu(y * HE, SLOPE)
            if x.dtype == torch.float16:
                y = y.clamp(-256, 256)
            y = resample(y, self.reduce, down=self.down) if self.radial else on_both_axes(y, self.reduce)
        return y.to(x.dtype)


def on_both_axes(x: Tensor, matrix: Tensor) -> Tensor:
    """M x M^T for images [B, C, n, n] and a matrix [m, n]: [B, C, m, m]."""
    return ((x @ matrix.T).mT @ matrix.T).mT
