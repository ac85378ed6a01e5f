"""An image beside training images when it may have been mirrored, shifted, enlarged, or changed in brightness.

Two images are compared by their normalised cross-correlation, the largest over all shifts (from Fourier transforms, on
a coarse grid), mirror images and a few sizes. It does not change with brightness and contrast. What all training images
share, their mean spectrum, is divided out first ("whitening"), for bodies are alike and copies are found by what is one
person's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from monai.transforms import Resize
from scipy import ndimage

from tools.metrics.copies import Neighbours
from tools.transforms.flat import is_flat

SIDE, FLAT_SIDE = 32, 64
"""Voxels a side of the grid of volumes, and of 2D images."""

ZOOMS = (0.9, 0.95, 1.0, 1.05, 1.1)
"""Sizes in which a sample is compared."""

CANDIDATES = 12
"""Training cases to which the exact correlation is taken, those of the highest bound."""

BORDER = 1 / 6
"""Share of a side over which an image fades out."""

SMOOTH = 0.12
"""Standard deviation of the weights of frequencies, in cycles per voxel of the grid."""

FLOOR = 0.05
"""Share of the mean amplitude below which a frequency is noise, and is not raised further by whitening."""


def coarse(image: np.ndarray) -> np.ndarray:
    """An image [D, H, W] on the grid, averaged where it shrinks: cubes of 32 a side, squares [1, 64, 64] of 2D images.

    Its mean is zero, and it fades out towards the border, for what a shift brings in there is anyone's guess.
    """
    flat = is_flat(image.shape)
    side = FLAT_SIDE if flat else SIDE
    target = (1 if flat else side, side, side)
    mode = "area" if max(image.shape) > side else "trilinear"
    grid = np.asarray(Resize(target, mode=mode)(torch.from_numpy(np.ascontiguousarray(image, np.float32))[None]))[0]
    for axis, size in enumerate(target):
        if size > 1:
            place = np.arange(size) + 0.5
            fade = np.sin(np.pi / 2 * np.clip(np.minimum(place, size - place) / (BORDER * size), 0, 1)) ** 2
            grid = (grid - grid.mean()) * np.expand_dims(fade, [other for other in range(3) if other != axis])
    return (grid - grid.mean()).astype(np.float32)


@dataclass(frozen=True)
class Match:
    """The training cases that a sample is most like.

    Attributes:
        index: number of the case.
        correlation: normalised cross-correlation, at most 1.
        second: correlation with the case which comes next, of another patient.
        how: words for what was done to the sample, such as "mirrored (left-right), shifted by (0, 2, 0), size 1.05".
    """

    index: int
    correlation: float
    second: float
    how: str


class PatternSearch:
    """A search for the training case that a sample is a changed copy of.

    Exact correlations are taken for the dozen cases whose bound is highest: the sum of the products of amplitudes,
    which no shift can exceed.

    Args:
        training: images of the training set, from `coarse`, all of one shape, one at least.
        groups: number of the patient of each, whose other images do not count as second; each its own if None.
        like: search whose frequencies weigh as they do here, so that distances of both can be compared; None weighs
            them by these images.

    Raises:
        ValueError: no image, or images of several shapes.
    """

    def __init__(
        self,
        training: Sequence[np.ndarray],
        groups: Sequence[int] | None = None,
        like: PatternSearch | None = None,
    ) -> None:
        shapes = {image.shape for image in training}
        if len(shapes) != 1:
            raise ValueError(f"training images of shapes {sorted(shapes)}; expected images of one shape")
        self.shape = shapes.pop()
        self.groups = np.arange(len(training)) if groups is None else np.asarray(groups)
        spectra = torch.stack([self._spectrum(image) for image in training])
        mean = spectra.abs().mean(0)
        self._white = self._smooth() / (mean + FLOOR * mean.mean()) if like is None else like._white
        columns = self.shape[-1] // 2 + 1
        # half of a spectrum stands for all of it, but for the first and the last column
        twice = torch.full((columns,), 2.0)
        twice[0] = twice[-1] = 1.0
        self._twice = twice
        self._training = self._unit(spectra)
        self._amplitudes = self._weighted(self._training)

    def neighbours(
        self, samples: Sequence[np.ndarray], own: bool = False, progress=iter
    ) -> tuple[Neighbours, list[Match]]:
        """The nearest cases of samples, with distance sqrt(2 - 2 correlation).

        Args:
            samples: images from `coarse`.
            own: True if the samples are the training cases, in order, none of which is compared with its own patient.
            progress: wrapper of the loop, such as a progress bar.
        """
        indices = progress(range(len(samples)))
        matches = [self.match(samples[i], self.groups[i] if own else None) for i in indices]
        first, second = (
            np.sqrt(np.maximum(0.0, 2 - 2 * np.array([getattr(match, name) for match in matches])))
            for name in ("correlation", "second")
        )
        return Neighbours(first, second, np.array([match.index for match in matches])), matches

    def match(self, sample: np.ndarray, without: int | None = None) -> Match:
        """The case that one sample from `coarse` is most like, leaving out those of the patient ``without``."""
        variants = [(zoom, axes) for zoom in ZOOMS for axes in self._halves()]
        zoomed = {zoom: _zoomed(sample, zoom) for zoom in ZOOMS}
        spectra = self._unit(torch.stack([self._spectrum(np.flip(zoomed[zoom], axes)) for zoom, axes in variants]))
        bounds = self._weighted(spectra) @ self._amplitudes.T
        if without is not None:
            bounds[:, torch.from_numpy(self.groups == without)] = -torch.inf
        best = bounds.amax(0)
        found: dict[int, tuple[float, str]] = {}
        for case in best.topk(min(CANDIDATES, int(torch.isfinite(best).sum()))).indices.tolist():
            for variant in bounds[:, case].topk(2).indices.tolist():
                zoom, axes = variants[variant]
                for flips, correlation, shift in self._correlations(spectra[variant], axes, case):
                    if case not in found or correlation > found[case][0]:
                        found[case] = (correlation, _words(flips, shift, zoom, self.shape))
        order = sorted(found, key=lambda case: -found[case][0])
        others = [case for case in order if self.groups[case] != self.groups[order[0]]]
        return Match(order[0], found[order[0]][0], found[others[0]][0] if others else -1.0, found[order[0]][1])

    def _smooth(self) -> torch.Tensor:
        """Weights of frequencies, so that half a voxel of shift, which the search cannot undo, changes little."""
        axes = [torch.fft.fftfreq(n) for n in self.shape[:-1]] + [torch.fft.rfftfreq(self.shape[-1])]
        squared = sum(f.square().reshape([-1 if i == k else 1 for i in range(3)]) for k, f in enumerate(axes))
        return torch.exp(-squared / (2 * SMOOTH**2))

    def _spectrum(self, image: np.ndarray) -> torch.Tensor:
        return torch.fft.rfftn(torch.from_numpy(np.ascontiguousarray(image, np.float32)))

    def _unit(self, spectra: torch.Tensor) -> torch.Tensor:
        """[n, ...] whitened, and of energy one."""
        spectra = spectra * self._white
        energy = (spectra.abs().square() * self._twice).flatten(1).sum(1)
        return spectra / energy.sqrt().clamp(min=1e-12).reshape(-1, *[1] * (spectra.ndim - 1))

    def _weighted(self, spectra: torch.Tensor) -> torch.Tensor:
        """[n, frequencies] amplitudes whose products sum to the bound."""
        return (spectra.abs() * self._twice.sqrt()).flatten(1)

    def _axes(self) -> list[int]:
        return [axis for axis, size in enumerate(self.shape) if size > 1]

    def _halves(self) -> list[tuple[int, ...]]:
        """Mirror images of different amplitudes: mirroring all axes leaves the amplitudes as they are."""
        axes = self._axes()[:-1]
        return [chosen for count in range(len(axes) + 1) for chosen in combinations(axes, count)]

    def _correlations(self, spectrum: torch.Tensor, axes: tuple[int, ...], case: int):
        """Mirrored axes, largest correlation and its shift, of a variant and of its mirror image along all axes."""
        for conjugate in (False, True):
            mirrored = spectrum.conj() if conjugate else spectrum
            product = self._training[case] * mirrored.conj()
            surface = torch.fft.irfftn(product, s=self.shape) * float(np.prod(self.shape))
            place = int(surface.argmax())
            shift = [int(s) for s in np.unravel_index(place, self.shape)]
            if (
                conjugate
            ):  # the conjugate mirrors about voxel 0, a flip about the middle: one voxel of shift between them
                shift = [s + 1 if n > 1 else s for s, n in zip(shift, self.shape, strict=True)]
            flips = tuple(sorted(set(self._axes()) ^ set(axes))) if conjugate else axes
            yield (
                flips,
                float(surface.flatten()[place]),
                [(s + n // 2) % n - n // 2 for s, n in zip(shift, self.shape, strict=True)],
            )


NAMES = ("head-foot", "front-back", "left-right")


def _words(flips: Sequence[int], shift: Sequence[int], zoom: float, shape: Sequence[int]) -> str:
    words = []
    if flips:
        words.append(f"mirrored ({', '.join(NAMES[axis] for axis in flips)})")
    if any(shift):
        words.append("shifted by " + ", ".join(f"{s / n:+.0%}" for s, n in zip(shift, shape, strict=True)))
    if zoom != 1:
        words.append(f"size {zoom:g}")
    return ", ".join(words) or "as it is"


def _zoomed(image: np.ndarray, zoom: float) -> np.ndarray:
    """An image enlarged about its middle, on the same grid."""
    if zoom == 1:
        return image
    matrix = np.array([1 / zoom if size > 1 else 1.0 for size in image.shape])
    middle = (np.array(image.shape) - 1) / 2
    made = ndimage.affine_transform(image, matrix, middle - matrix * middle, order=1, mode="nearest")
    return made - made.mean()
