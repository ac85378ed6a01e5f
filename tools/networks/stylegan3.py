"""StyleGAN3: a generator whose images move and, as R, turn as a whole, for nothing in it knows where pixels lie.

Karras et al. 2021, "Alias-free generative adversarial networks". T convolves 3x3 and moves; R convolves 1x1 in twice
the channels, with filters that are the same in all directions, and turns as well. Images are [B, channels, S, S] in
[-1, 1] up to what is overshot, S a power of two from 32 to 1024. The discriminator is StyleGAN2's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from tools.layers.alias_free import FilteredLeakyReLU, low_pass, radial_low_pass
from tools.layers.equalised import EqualisedLinear
from tools.layers.modulated import demodulation
from tools.networks.resolutions import sides_of
from tools.networks.style_mapping import StyledGenerator, StyleMapping

MARGIN = 10
"""Pixels beyond the image on each side, in which layers may err."""

CRITICAL = 2
"""Layers at the end whose cutoff is half of their rate, as an image's is."""

FIRST_CUTOFF, FIRST_STOPBAND = 2.0, 2**2.1
"""Of the first layer, in cycles for the side of an image."""

LAST_STOPBAND = 2**0.3
"""Of the last layers, relative to their cutoff."""

TAPS = 6
"""Taps of a filter for each step of its up- or downsampling."""

OUTPUT_SCALE = 0.25
"""Factor of the image."""


@dataclass(frozen=True)
class Signal:
    """What a layer gives (appendix C, Fig. 4).

    Attributes:
        channels: number of channels.
        size: pixels a side, the margins included.
        rate: pixels for the side of an image.
        cutoff: frequency that passes, in cycles for the side of an image.
        half_width: half of the band above it in which the filter falls.
        critical: True if the cutoff is half of the rate.
    """

    channels: int
    size: int
    rate: int
    cutoff: float
    half_width: float
    critical: bool


def signals(
    image_size: int, image_channels: int, num_layers: int = 14, channel_base: int = 16384, channel_max: int = 512
) -> list[Signal]:
    """Return what the layers give, first to last, the image at the end: ``num_layers`` + 1.

    Cutoffs and stopbands grow geometrically until ``CRITICAL`` layers before the end.
    """
    found = []
    last_cutoff = sides_of(image_size)[-1] / 2
    for number in range(num_layers + 1):
        share = min(number / (num_layers - CRITICAL), 1)
        cutoff = FIRST_CUTOFF * (last_cutoff / FIRST_CUTOFF) ** share
        stopband = FIRST_STOPBAND * (last_cutoff * LAST_STOPBAND / FIRST_STOPBAND) ** share
        rate = 2 ** math.ceil(math.log2(min(2 * stopband, image_size)))
        is_image = number == num_layers
        found.append(
            Signal(
                channels=image_channels if is_image else round(min(channel_base / 2 / cutoff, channel_max)),
                size=image_size if number >= num_layers - 1 else rate + 2 * MARGIN,
                rate=rate,
                cutoff=cutoff,
                half_width=max(stopband, rate / 2) - cutoff,
                critical=number >= num_layers - CRITICAL,
            )
        )
    return found


class FourierFeatures(nn.Module):
    """Waves in the plane, moved and turned by the style: what the first layer gets (section 3.2).

    Frequencies are uniform in a disc of radius ``cutoff``, phases in [-1/2, 1/2); both stay as they are drawn. A wave
    that the style turns beyond the rate fades.

    Args:
        signal: channels, size, rate and cutoff of the waves.
        style_dim: size of w.

    Attributes:
        transform: motion of all images, [3, 3], the identity: the inverse of what happens to an image whose side is 1,
            with rows for x (to the right) and y (down).
    """

    def __init__(self, signal: Signal, style_dim: int) -> None:
        super().__init__()
        self.signal = signal
        angle, radius = 2 * math.pi * torch.rand(signal.channels), signal.cutoff * torch.rand(signal.channels).sqrt()
        self.register_buffer("frequencies", torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1))
        self.register_buffer("phases", torch.rand(signal.channels) - 0.5)
        self.register_buffer("transform", torch.eye(3))
        self.affine = EqualisedLinear(style_dim, 4, bias=0.0)
        nn.init.zeros_(self.affine.weight)
        with torch.no_grad():
            self.affine.bias[0] = 1
        self.weight = nn.Parameter(torch.randn(signal.channels, signal.channels))

    def forward(self, w: Tensor) -> Tensor:
        """Styles [B, style_dim] -> [B, channels, size, size]."""
        size, rate, cutoff = self.signal.size, self.signal.rate, self.signal.cutoff
        motion = self.motions(w) @ self.transform
        frequencies = self.frequencies @ motion[:, :2, :2]
        phases = self.phases + (self.frequencies @ motion[:, :2, 2:]).squeeze(2)
        amplitudes = (1 - (frequencies.norm(dim=2) - cutoff) / (rate / 2 - cutoff)).clamp(0, 1)
        place = (torch.arange(size, device=w.device, dtype=w.dtype) + 0.5 - size / 2) / rate
        x, y = frequencies.unbind(2)
        turns = x[:, :, None, None] * place + y[:, :, None, None] * place[:, None] + phases[:, :, None, None]
        waves = torch.sin(2 * math.pi * turns) * amplitudes[:, :, None, None]
        return torch.einsum("bihw,oi->bohw", waves, self.weight / math.sqrt(self.signal.channels))

    def motions(self, w: Tensor) -> Tensor:
        """Motions [B, 3, 3] of styles: the turn (c, s), made of unit length, after the shift (x, y)."""
        c, s, x, y = self.affine(w).unbind(1)
        length = (c**2 + s**2).sqrt()
        c, s, x, y = c / length, s / length, x / length, y / length
        zero, one = torch.zeros_like(c), torch.ones_like(c)
        turn = torch.stack([c, -s, zero, s, c, zero, zero, zero, one], dim=1).view(-1, 3, 3)
        shift = torch.stack([one, zero, -x, zero, one, -y, zero, zero, one], dim=1).view(-1, 3, 3)
        return turn @ shift


class AliasFreeLayer(nn.Module):
    """Input of unit magnitude, a convolution that a style modulates, bias, filtered leaky ReLU.

    The magnitude is an average over training of the mean square of the input. Weights are brought to unit mean square
    for each output channel, styles for each sample, which demodulation makes the same but for its epsilon; styles of
    the whole batch in the released code, where so a sample depends on its neighbours.

    Args:
        before: signal that comes in.
        after: signal that goes out.
        kernel_size: side of the convolution, 3 or 1.
        radial: True reduces by a filter that is the same in all directions, but where the signal is critical.
        style_dim: size of w.
    """

    def __init__(self, before: Signal, after: Signal, kernel_size: int, radial: bool, style_dim: int) -> None:
        super().__init__()
        self.style = EqualisedLinear(style_dim, before.channels, bias=1.0)
        self.weight = nn.Parameter(torch.randn(after.channels, before.channels, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(after.channels))
        self.register_buffer("magnitude", torch.ones([]))
        rate = 2 * max(before.rate, after.rate)
        up, down = rate // before.rate, rate // after.rate
        reduce = radial_low_pass if radial and not after.critical else low_pass
        self.activation = FilteredLeakyReLU(
            before.size + kernel_size - 1,
            after.size,
            up,
            down,
            low_pass(TAPS * up, before.cutoff, before.half_width, rate),
            reduce(TAPS * down, after.cutoff, after.half_width, rate),
        )

    def forward(self, x: Tensor, w: Tensor, decay: float | None = None) -> Tensor:
        """
        Args:
            x: features [B, channels, size, size] of ``before``.
            w: styles [B, style_dim].
            decay: share of the average magnitude that stays; None leaves it as it is.

        Returns:
            Features of ``after``.
        """
        gain = unit_magnitude(self.magnitude, x, decay)
        weight = self.weight * self.weight.square().mean((1, 2, 3), keepdim=True).rsqrt()
        style = self.style(w)
        style = style * style.square().mean(1, keepdim=True).rsqrt()
        y = F.conv2d(x * (style * gain).to(x.dtype)[:, :, None, None], weight, padding=weight.shape[-1] - 1)
        y = y * demodulation(weight, style).to(y.dtype)[:, :, None, None]
        return self.activation(y + self.bias.to(y.dtype).view(-1, 1, 1))


class ToImage(nn.Module):
    """A 1x1 convolution whose weights a style scales, without demodulation, filter or activation.

    Args:
        in_channels: channels of the last features.
        image_channels: channels of the image.
        style_dim: size of w.
    """

    def __init__(self, in_channels: int, image_channels: int, style_dim: int) -> None:
        super().__init__()
        self.style = EqualisedLinear(style_dim, in_channels, bias=1.0)
        self.weight = nn.Parameter(torch.randn(image_channels, in_channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(image_channels))
        self.register_buffer("magnitude", torch.ones([]))

    def forward(self, x: Tensor, w: Tensor, decay: float | None = None) -> Tensor:
        """Features [B, in_channels, S, S] -> [B, image_channels, S, S]; arguments as of ``AliasFreeLayer``."""
        style = self.style(w) * (unit_magnitude(self.magnitude, x, decay) / math.sqrt(x.shape[1]))
        return F.conv2d(x * style.to(x.dtype)[:, :, None, None], self.weight, self.bias)


def unit_magnitude(average: Tensor, x: Tensor, decay: float | None) -> Tensor:
    """Factor that gives an input its unit magnitude, 1 / sqrt(average of its mean square).

    Args:
        average: average, which moves towards ``x`` of all processes.
        x: input.
        decay: share of the average that stays; None for all of it.
    """
    if decay is not None:
        with torch.no_grad():
            square = x.float().square().mean()
            if dist.is_available() and dist.is_initialized():
                dist.all_reduce(square)
                square /= dist.get_world_size()
            average.lerp_(square.to(average), 1 - decay)
    # a copy, for the average may move before the backward pass
    return average.clone().rsqrt()


class AliasFreeSynthesis(nn.Module):
    """Styles to an image.

    Args:
        image_size: S.
        image_channels: channels of the image.
        style_dim: size of w.
        rotation: True for R, False for T.
        num_layers: number of layers before the image.
        channel_base: channels of a layer times twice its cutoff, where they are not limited by
        channel_max: greatest number of channels; R has twice as many of both.

    Attributes:
        num_ws: number of styles, ``num_layers`` + 2.
    """

    def __init__(
        self,
        image_size: int,
        image_channels: int,
        style_dim: int = 512,
        rotation: bool = False,
        num_layers: int = 14,
        channel_base: int = 16384,
        channel_max: int = 512,
    ) -> None:
        super().__init__()
        double = 2 if rotation else 1
        planned = signals(image_size, image_channels, num_layers, double * channel_base, double * channel_max)
        self.features = FourierFeatures(planned[0], style_dim)
        self.layers = nn.ModuleList(
            AliasFreeLayer(before, after, 1 if rotation else 3, rotation, style_dim)
            for before, after in zip([planned[0], *planned], planned[:-1], strict=False)
        )
        self.to_image = ToImage(planned[-2].channels, image_channels, style_dim)
        self.num_ws = num_layers + 2

    def forward(self, ws: Tensor, decay: float | None = None) -> Tensor:
        """
        Args:
            ws: styles [B, num_ws, style_dim].
            decay: share of the average magnitudes that stays, in steps that train the discriminator; None leaves them.

        Returns:
            Images [B, image_channels, S, S].

        Raises:
            ValueError: another number of styles.
        """
        if ws.shape[1] != self.num_ws:
            raise ValueError(f"got {ws.shape[1]} styles, expected {self.num_ws}.")
        first, *others, last = ws.unbind(1)
        x = self.features(first)
        for layer, w in zip(self.layers, others, strict=True):
            x = layer(x, w, decay)
        return OUTPUT_SCALE * self.to_image(x, last, decay)


class StyleGAN3Generator(StyledGenerator):
    """G: latent to image.

    Args:
        image_size: side S of the images.
        image_channels: channels of the images.
        num_classes: number of classes, 0 for none.
        latent_dim: size of z.
        style_dim: size of w.
        mapping_layers: dense layers of the mapping.
        rotation: True for R, whose images also turn, False for T.
        num_layers: layers before the image; below 128 pixels 6 to 8 do.
        channel_base: channels of a layer times twice its cutoff; 16384 up to 256 pixels and 32768 from 512 on.
        channel_max: greatest number of channels of a layer.
        average_decay: decay of the average of w.
    """

    def __init__(
        self,
        image_size: int = 256,
        image_channels: int = 1,
        num_classes: int = 0,
        latent_dim: int = 512,
        style_dim: int = 512,
        mapping_layers: int = 2,
        rotation: bool = False,
        num_layers: int = 14,
        channel_base: int = 16384,
        channel_max: int = 512,
        average_decay: float = 0.998,
    ) -> None:
        super().__init__()
        if num_layers <= CRITICAL:
            raise ValueError(f"num_layers is {num_layers}, expected more than {CRITICAL}, 14 in the paper.")
        self.built_with = {
            "image_size": image_size,
            "image_channels": image_channels,
            "num_classes": num_classes,
            "latent_dim": latent_dim,
            "mapping_layers": mapping_layers,
            "rotation": rotation,
            "num_layers": num_layers,
            "channel_base": channel_base,
        }
        self.latent_dim = latent_dim
        self.mapping = StyleMapping(latent_dim, style_dim, num_classes, mapping_layers, average_decay=average_decay)
        self.synthesis = AliasFreeSynthesis(
            image_size, image_channels, style_dim, rotation, num_layers, channel_base, channel_max
        )

    def from_styles(self, ws: Tensor, noise: None = None) -> Tensor:
        """Images [B, image_channels, S, S] of styles [B, num_ws, style_dim] as ``styles`` gives them; layers have no
        noise.
        """
        return self.synthesis(ws)
