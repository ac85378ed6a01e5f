"""What a discriminator's images go through so that few of them suffice: geometry, grey values, bands, noise, a cutout.

Karras et al. 2020, "Training generative adversarial networks with limited data", appendix B, for images of any number
of channels of two kinds: what changes grey values leaves labels alone, and what moves pixels moves them in all channels
alike. Hue and saturation have no meaning here. Every step is linear in the image, so that R1 can be taken through it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from scipy.signal import firwin
from torch import Tensor, nn

from tools.layers.filters import Filter, mirrored, resample
from tools.losses import octave_bands

STRENGTHS = {
    **dict.fromkeys(
        ("flip", "turn", "shift", "scale", "rotate", "stretch", "translate", "brightness", "contrast"), 1.0
    ),
    **dict.fromkeys(("invert", "bands", "noise", "cutout"), 0.0),
}
"""Factor of the probability of each transformation, in their order: the paper's "bgc" without luma flips."""

SIZES = {
    **{"shift": 0.125, "scale": 0.2, "stretch": 0.2, "translate": 0.125},
    **{"brightness": 0.2, "contrast": 0.5, "bands": 1.0, "noise": 0.1, "cutout": 0.5},
}
"""How far each goes, see the table of `Augmentation`: the paper's. Grey values of CT, which mean something, should move
less."""


class Augmentation(nn.Module):
    """Transformations, each of which a row undergoes with a probability of its own.

    | name | what | parameter, of a size s |
    |---|---|---|
    | flip | left and right | a coin |
    | turn | by a multiple of 90 degrees | uniform in 0 to 3 |
    | shift | by whole pixels | uniform up to s = 0.125 of the side |
    | scale | both axes | 2^N(0, s), s = 0.2 |
    | rotate | before and after the stretch | uniform up to `rotate_max`, each with 1 - sqrt(1 - p) |
    | stretch | one axis by a factor, the other by its inverse | 2^N(0, s), s = 0.2 |
    | translate | by fractions of pixels | N(0, s) of the side, s = 0.125 |
    | brightness | x + b in images | N(0, s), s = 0.2 |
    | contrast | c x in images | 2^N(0, s), s = 0.5 |
    | invert | -x in images | a coin |
    | bands | each of four octave bands of images by a factor of its own, power kept | 2^N(0, s), s = 1 |
    | noise | x + N(0, d) in images | d = s = 0.1 times a half-normal number |
    | cutout | 0 in a square of a part s = 0.5 of the side | uniform centre |

    Flips, turns and shifts move whole pixels. The rest of the geometry is one affine map: images are doubled through
    a low-pass filter, interpolated bilinearly and halved, labels are only interpolated, so that they do not overshoot;
    the filter is symmetric, where the paper's wavelet is not. Beyond the border images are mirrored. What is drawn for
    a row is the same for all its channels but grey values, of which each image has its own. A row that nothing has
    happened to comes back bit for bit.

    Args:
        images: number of image channels, which come first.
        labels: number of label channels.
        strengths: factors of the probability, which override those of ``STRENGTHS``; 0 leaves one out.
        rotate_max: largest angle in degrees.
        sizes: sizes s, which override those of ``SIZES``.

    Raises:
        ValueError: a factor or size has another name, a factor is not in [0, 1], or a size is negative.
    """

    def __init__(
        self,
        images: int,
        labels: int = 0,
        strengths: Mapping[str, float] | None = None,
        rotate_max: float = 180.0,
        sizes: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__()
        self.strengths, self.sizes = STRENGTHS | dict(strengths or {}), SIZES | dict(sizes or {})
        for what, given, known in (("strengths", self.strengths, STRENGTHS), ("sizes", self.sizes, SIZES)):
            if unknown := given.keys() - known.keys():
                raise ValueError(f"{what} has {sorted(unknown)}, expected names of {', '.join(known)}")
        if wrong := {name: value for name, value in self.strengths.items() if not 0 <= value <= 1}:
            raise ValueError(f"strengths are {wrong}, expected numbers in [0, 1]")
        if wrong := {name: value for name, value in self.sizes.items() if not value >= 0}:
            raise ValueError(f"sizes are {wrong}, expected 0 or more")
        self.images = images
        self.labels = labels
        self.rotate_max = rotate_max
        self.register_buffer("bands", octave_bands.band_filters(), persistent=False)
        self.filter = Filter(firwin(12, 0.5, window=("kaiser", 4.0)))

    def draw(self, uniforms: Tensor, probability: float) -> Tensor:
        """What happens to each row.

        Args:
            uniforms: numbers in [0, 1), [B, `number`], on the CPU, where it is decided what is left out.
            probability: p, to be multiplied by the factors.

        Returns:
            Parameters [B, 15 + 6 images]: flip (0 or 1), quarter turns, shift of rows and of columns as a share of the
            side; the six numbers of the map from where a pixel goes to where it comes from, of an image from -1 to 1;
            standard deviation of noise, and a seed for it; 1 for a cutout, and its centre in rows and columns as a
            share of the side; factors of grey values, what is added to them, and the gains of each image's bands.
        """
        columns = iter(uniforms.double().unbind(1))

        def uniform() -> Tensor:
            return next(columns)

        def normal(name: str) -> Tensor:
            return self.sizes[name] * torch.special.ndtri(uniform().clamp(1e-7, 1 - 1e-7))

        def is_on(name: str) -> Tensor:
            return uniform() < self.strengths[name] * probability

        def where_on(name: str, value: Tensor, otherwise: float = 0.0) -> Tensor:
            return torch.where(is_on(name), value, otherwise)

        moved = [
            where_on("flip", (uniform() < 0.5).double()),
            where_on("turn", (uniform() * 4).floor()),
            *torch.where(is_on("shift"), (2 * torch.stack([uniform(), uniform()]) - 1) * self.sizes["shift"], 0.0),
        ]
        once = 1 - math.sqrt(1 - self.strengths["rotate"] * probability)  # so that either happens with probability p
        size = where_on("scale", torch.exp2(normal("scale")), 1.0)
        angles = [
            torch.where(uniform() < once, (2 * uniform() - 1) * math.radians(self.rotate_max), 0.0) for _ in range(2)
        ]
        stretch = where_on("stretch", torch.exp2(normal("stretch")), 1.0)
        place = torch.where(is_on("translate"), torch.stack([normal("translate"), normal("translate")]), 0.0)
        # from back to front: the inverse of what is done first acts last
        inverse = scaling(1 / size, 1 / size) @ rotation(-angles[0]) @ scaling(1 / stretch, stretch)
        inverse = inverse @ rotation(-angles[1]) @ translation(*-2 * place)
        noise = [where_on("noise", normal("noise").abs()), (uniform() * 2**24).floor()]
        cutout = [is_on("cutout").double(), uniform(), uniform()]
        is_bright, is_contrasted, is_inverted = (is_on(name) for name in ("brightness", "contrast", "invert"))
        shifts, factors = [], []
        for _ in range(self.images):
            shift = torch.where(is_bright, normal("brightness"), 0.0)
            factor = torch.where(is_contrasted, torch.exp2(normal("contrast")), 1.0)
            factor = torch.where(is_inverted & (uniform() < 0.5), -factor, factor)
            factors.append(factor)
            shifts.append(shift * factor)
        is_banded = [is_on("bands") for _ in range(octave_bands.NUMBER)]
        gains = []
        for _ in range(self.images):
            chosen = torch.stack([torch.where(banded, torch.exp2(normal("bands")), 1.0) for banded in is_banded], dim=1)
            gains += octave_bands.balanced(chosen).unbind(1)
        drawn = [*moved, *inverse[:, :2].flatten(1).unbind(1), *noise, *cutout, *factors, *shifts, *gains]
        return torch.stack(drawn, dim=1).float()

    @property
    def number(self) -> int:
        """Uniform numbers that a row needs."""
        return 27 + octave_bands.NUMBER + (3 + octave_bands.NUMBER) * self.images

    def forward(self, x: Tensor, parameters: Tensor) -> Tensor:
        """
        Args:
            x: images and labels [B, images + labels, S, S].
            parameters: parameters [B, 15 + 6 images] as ``draw`` gives them, on the CPU.

        Returns:
            Images and labels alike.

        Raises:
            ValueError: another number of channels, or images that are not square.
        """
        if x.shape[1] != self.images + self.labels or x.shape[2] != x.shape[3]:
            raise ValueError(
                f"got {tuple(x.shape)}, expected square images of {self.images} + {self.labels} channels [B, C, S, S]"
            )
        sizes = [4, 6, 2, 3, self.images, self.images, octave_bands.NUMBER * self.images]
        moved, inverse, noise, cutout, factors, shifts, gains = parameters.split(sizes, 1)
        identity = torch.tensor([1.0, 0, 0, 0, 1, 0])
        steps = (
            (moved.ne(0).any(1), self.move, moved),
            (inverse.ne(identity).any(1), self.map, inverse),
            ((factors.ne(1) | shifts.ne(0)).any(1), self.grey, torch.cat([factors, shifts], 1)),
            (gains.ne(1).any(1), self.amplify, gains),
            (noise[:, 0] != 0, self.add_noise, noise),
            (cutout[:, 0] != 0, self.cut, cutout),
        )
        for is_due, step, given in steps:
            rows = is_due.nonzero()[:, 0]
            if len(rows) == len(x):
                x = step(x, given)
            elif len(rows):
                on_device = rows.to(x.device, non_blocking=True)
                x = x.index_copy(0, on_device, step(x.index_select(0, on_device), given[rows]))
        return x

    @staticmethod
    def move(x: Tensor, moved: Tensor) -> Tensor:
        """Flip, turn and shift by whole pixels; ``moved`` [B, 4] as of ``draw``. Beyond the border it is mirrored."""
        side = x.shape[2]
        place = torch.arange(side)
        flip, turns, down, right = (column.view(-1, 1, 1) for column in moved.unbind(1))
        rows = mirrored(place.view(1, -1, 1) - (down * side).round().long(), side)
        columns = mirrored(place.view(1, 1, -1) - (right * side).round().long(), side)
        rows, columns = torch.broadcast_tensors(rows, columns)
        for quarter in (1, 2, 3):  # of a turn to the left, undone
            turned = turns >= quarter
            rows, columns = torch.where(turned, columns, rows), torch.where(turned, side - 1 - rows, columns)
        columns = torch.where(flip == 1, side - 1 - columns, columns)
        index = (rows * side + columns).flatten(1)[:, None].to(x.device, non_blocking=True)
        return x.flatten(2).gather(2, index.expand(-1, x.shape[1], -1)).view_as(x)

    def map(self, x: Tensor, inverse: Tensor) -> Tensor:
        """The affine map, whose inverse are the six numbers [B, 6] of its rows, of coordinates from -1 to 1."""
        with torch.autocast(x.device.type, enabled=False):  # coordinates need the digits of float32
            return self._mapped(x.to(torch.promote_types(x.dtype, torch.float32)), inverse).to(x.dtype)

    def _mapped(self, x: Tensor, inverse: Tensor) -> Tensor:
        inverse = inverse.view(-1, 2, 3).to(x.device, x.dtype, non_blocking=True)
        image, label = x[:, : self.images], x[:, self.images :]
        side, border = x.shape[2], self.filter.size // 2
        wide = F.pad(image, [border] * 4, mode="reflect")
        wide = resample(wide, self.filter.taps, up=2, padding=(0, 0), gain=4)
        wide = wide[:, :, border : border + 2 * side, border : border + 2 * side]
        fine = sampled(wide, inverse, 2 * side, border)
        found = [resample(fine, self.filter.taps, down=2, padding=(-1, 0))]
        if self.labels:
            found.append(sampled(label, inverse, side, 0))
        return torch.cat(found, dim=1)

    def grey(self, x: Tensor, given: Tensor) -> Tensor:
        """Factor and shift of each image channel, [B, 2 images]; labels stay."""
        given = given.to(x.device, x.dtype, non_blocking=True)[:, :, None, None]
        factors, shifts = given.chunk(2, dim=1)
        image = torch.addcmul(shifts, x[:, : self.images], factors)
        return torch.cat([image, x[:, self.images :]], dim=1) if self.labels else image

    def amplify(self, x: Tensor, gains: Tensor) -> Tensor:
        """Gains of the octave bands of each image channel, [B, 4 images]; labels stay."""
        gains = gains.to(x.device, non_blocking=True).unflatten(1, (self.images, octave_bands.NUMBER))
        with torch.autocast(x.device.type, enabled=False):
            image = octave_bands.with_gains(x[:, : self.images], gains, self.bands)
        return torch.cat([image, x[:, self.images :]], dim=1) if self.labels else image

    def add_noise(self, x: Tensor, noise: Tensor) -> Tensor:
        """Noise of a standard deviation, from a seed, [B, 2], in image channels."""
        added = torch.zeros_like(x)
        for row, (deviation, seed) in zip(added, noise.tolist(), strict=True):
            generator = torch.Generator(x.device).manual_seed(int(seed))
            normal = torch.randn(self.images, *x.shape[2:], generator=generator, device=x.device)
            row[: self.images] = deviation * normal.to(x.dtype)
        return x + added

    def cut(self, x: Tensor, cutout: Tensor) -> Tensor:
        """Zeros in a square of a part of the side about a centre, [B, 3] with 1 before it, in all channels."""
        place = (torch.arange(x.shape[2]) + 0.5) / x.shape[2]
        is_near = [(place - centre[:, None]).abs() < self.sizes["cutout"] / 2 for centre in cutout[:, 1:].unbind(1)]
        inside = is_near[0][:, None, :, None] & is_near[1][:, None, None, :]
        return x.masked_fill(inside.to(x.device, non_blocking=True), 0)


def scaling(x: Tensor, y: Tensor) -> Tensor:
    """Matrices [B, 3, 3] that scale columns by x and rows by y, [B] each."""
    return torch.diag_embed(torch.stack([x, y, torch.ones_like(x)], dim=1))


def rotation(angle: Tensor) -> Tensor:
    """Matrices [B, 3, 3] that rotate by an angle [B] in radians."""
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    rows = [cos, -sin, zero, sin, cos, zero, zero, zero, zero + 1]
    return torch.stack(rows, dim=1).view(-1, 3, 3)


def translation(x: Tensor, y: Tensor) -> Tensor:
    """Matrices [B, 3, 3] that move by x columns and y rows, [B] each."""
    matrix = torch.eye(3, dtype=x.dtype).repeat(len(x), 1, 1)
    matrix[:, 0, 2], matrix[:, 1, 2] = x, y
    return matrix


def sampled(x: Tensor, inverse: Tensor, side: int, border: int) -> Tensor:
    """Bilinear samples of images at what an affine map makes of a grid; beyond the border they are mirrored.

    Args:
        x: images [B, C, H, W].
        inverse: maps [B, 2, 3] from coordinates of the grid to those of the image, -1 to 1.
        side: samples of the grid along an axis from -1 to 1.
        border: samples that there are beyond that at each side.

    Returns:
        Samples [B, C, side + 2 border, side + 2 border].
    """
    place = (torch.arange(-border, side + border, device=x.device, dtype=x.dtype) + 0.5) * (2 / side) - 1
    rows, columns = torch.meshgrid(place, place, indexing="ij")
    grid = torch.stack([columns, rows, torch.ones_like(rows)], dim=-1).view(1, -1, 3) @ inverse.mT
    return _Bilinear.apply(x, grid.view(-1, len(place), len(place), 2))


class _Bilinear(torch.autograd.Function):
    """``grid_sample``, of whose gradient torch has no gradient: it is linear in the image, so that is known."""

    @staticmethod
    def forward(ctx, x: Tensor, grid: Tensor) -> Tensor:
        ctx.save_for_backward(grid)
        ctx.shape = x.shape
        return F.grid_sample(x, grid, mode="bilinear", padding_mode="reflection", align_corners=False)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        return _Transposed.apply(gradient, ctx.saved_tensors[0], ctx.shape), None


class _Transposed(torch.autograd.Function):
    """The transpose of `_Bilinear`."""

    @staticmethod
    def forward(ctx, gradient: Tensor, grid: Tensor, shape: torch.Size) -> Tensor:
        ctx.save_for_backward(grid)
        image = gradient.new_zeros(()).expand(shape)  # of which the gradient does not depend
        return torch.ops.aten.grid_sampler_2d_backward(gradient, image, grid, 0, 2, False, [True, False])[0]

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _Bilinear.apply(gradient, ctx.saved_tensors[0]), None, None
