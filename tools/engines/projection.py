"""The style whose image is nearest to a given one (Karras et al. 2020, "Analyzing and improving the image quality of
StyleGAN", appendix D)."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset
from tqdm import tqdm

from tools.engines.style_pictures import panel
from tools.files import whole_file
from tools.io.provenance import Provenance, png_text
from tools.torch_files import write_torch_file
from tools.transforms.channels import Channels
from tools.transforms.planes import grid, headed, save_png

Distance = Callable[[Tensor, Tensor], Tensor]
"""Distances [B] of images [B, C, S, S] in [-1, 1]."""

SMALLEST = 8
"""Side down to which noise and images are halved."""


def distance_of_scales(first: Tensor, second: Tensor) -> Tensor:
    """The mean over scales of the mean squared difference of pixels, [B], of images [B, C, S, S].

    Each scale is the one before halved by the mean of 2 x 2 pixels, down to 8 pixels a side, so that form counts beside
    detail. It stands in the place of the paper's LPIPS, whose network has to be fetched.
    """
    found = []
    while True:
        found.append((first - second).square().mean((1, 2, 3)))
        if first.shape[-1] <= SMALLEST:
            return torch.stack(found).mean(0)
        first, second = F.avg_pool2d(first, 2), F.avg_pool2d(second, 2)


def noise_correlation(noise: Tensor) -> Tensor:
    """How much the neighbours of a noise map [1, 1, side, side] resemble each other, so that it hides no image.

    The sum over scales of the squared means of n(x, y) n(x - 1, y) and of n(x, y) n(x, y - 1), where the map goes round
    at its border; each scale is the one before, halved by the mean of 2 x 2 pixels times 2, down to 8 pixels a side.
    """
    total = noise.new_zeros(())
    while True:
        total = total + sum((noise * noise.roll(1, axis)).mean() ** 2 for axis in (2, 3))
        if noise.shape[-1] <= SMALLEST:
            return total
        noise = F.avg_pool2d(noise, 2) * 2  # of unit variance again


@dataclass(frozen=True)
class Projection:
    """What `Projector` finds.

    Attributes:
        w: style [style_dim].
        noise: noise of each layer, [side, side].
        image: image of both, [C, S, S].
        distance: distance of the image.
        mean_distance: distance of the image of the mean style, with the generator's own noise.
    """

    w: Tensor
    noise: list[Tensor]
    image: Tensor
    distance: float
    mean_distance: float


class Projector:
    """Optimises w and the noise maps of StyleGAN2 until the image is near a target.

    From the mean w on, with Adam: normal noise is added to w, of 0.05 times the deviation of w and the square of what
    falls from 1 to 0 in the first three quarters of the steps; the rate rises in the first twentieth and falls as a
    cosine in the last quarter. After each step noise maps are given mean 0 and variance 1. The loss is the distance
    and 1e5 times `noise_correlation` of all maps.

    Args:
        network: a `StyleGAN2Generator`, which stays as it is.
        steps: steps; 1000 in the paper.
        distance: distance of images.
        learning_rate: greatest rate.
        initial_noise: share of the deviation of w that is added at first.
        noise_weight: weight of the correlation of noise.
        samples: latents of which mean and deviation of w are taken.
        seed: seed of these and of the noise.
        label: class index, for a network with classes.

    Example::

        found = Projector(generator)(slice)  # slice [C, S, S] in [-1, 1]
        found.distance < found.mean_distance
    """

    def __init__(
        self,
        network: nn.Module,
        steps: int = 1000,
        distance: Distance = distance_of_scales,
        learning_rate: float = 0.1,
        initial_noise: float = 0.05,
        noise_weight: float = 1e5,
        samples: int = 10_000,
        seed: int = 0,
        label: int | None = None,
    ) -> None:
        if not hasattr(network.synthesis, "noise_shapes"):
            raise ValueError(f"a {type(network).__name__} has no noise maps: projection is StyleGAN2's")
        if steps < 1 or samples < 2:
            raise ValueError(f"steps is {steps} and samples {samples}, expected 1 or more, and 2 or more")
        self.network = network
        self.steps = steps
        self.distance = distance
        self.learning_rate = learning_rate
        self.initial_noise = initial_noise
        self.noise_weight = noise_weight
        self.samples = samples
        self.seed = seed
        self.label = label

    def rate(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        time = step / self.steps
        fall = min(1.0, (1 - time) / 0.25)
        return self.learning_rate * (0.5 - 0.5 * math.cos(math.pi * fall)) * min(1.0, time / 0.05)

    def spread(self, step: int) -> float:
        """Share of the deviation of w that is added in a step."""
        return self.initial_noise * max(0.0, 1 - step / self.steps / 0.75) ** 2

    @torch.no_grad()
    def statistics(self) -> tuple[Tensor, float]:
        """Mean of w, [1, style_dim], and the root of the mean squared distance from it."""
        average = self.network.mapping.average
        latents = torch.randn(self.samples, self.network.latent_dim, generator=self._generator()).to(average)
        label = None if self.label is None else torch.full((self.samples,), self.label, device=average.device)
        w = self.network.mapping(latents, label)
        mean = w.mean(0, keepdim=True)
        return mean, float((w - mean).square().sum(1).mean().sqrt())

    def __call__(self, target: Tensor, bar: tqdm | None = None) -> Projection:
        """
        Args:
            target: image [C, S, S] in [-1, 1].
            bar: progress bar, which moves with each step.

        Raises:
            ValueError: another shape than that of the network's images.
        """
        generator = self._generator()
        learns = [parameter.requires_grad for parameter in self.network.parameters()]
        self.network.requires_grad_(False)
        try:
            return self._found(target[None], generator, bar)
        finally:
            for parameter, value in zip(self.network.parameters(), learns, strict=True):
                parameter.requires_grad_(value)

    def _found(self, target: Tensor, generator: torch.Generator, bar: tqdm | None) -> Projection:
        mean, deviation = self.statistics()
        target = target.to(mean)
        first = self._image(mean, None)
        if first.shape != target.shape:
            raise ValueError(
                f"the target has shape {tuple(target.shape[1:])}, expected that of the network's images, "
                f"{tuple(first.shape[1:])}"
            )
        w = mean.clone().requires_grad_()
        noise = [
            torch.randn(1, 1, *shape, generator=generator).to(mean).requires_grad_()
            for shape in self.network.synthesis.noise_shapes
        ]
        optimizer = torch.optim.Adam([w, *noise], betas=(0.9, 0.999))
        for step in range(self.steps):
            optimizer.param_groups[0]["lr"] = self.rate(step)
            added = torch.randn(w.shape, generator=generator).to(w) * (deviation * self.spread(step))
            distance = self.distance(self._image(w + added, noise), target).sum()
            loss = distance + self.noise_weight * sum(map(noise_correlation, noise))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                for one in noise:
                    one.sub_(one.mean()).mul_(one.square().mean().rsqrt())
            if bar is not None:
                bar.set_postfix(distance=f"{float(distance.detach()):.4f}")
                bar.update()
        with torch.no_grad():
            image = self._image(w, noise)
            return Projection(
                w.detach()[0].cpu(),
                [one.detach()[0, 0].cpu() for one in noise],
                image[0].cpu(),
                float(self.distance(image, target)),
                float(self.distance(first, target)),
            )

    def _image(self, w: Tensor, noise: Sequence[Tensor] | None) -> Tensor:
        return self.network.from_styles(self.network.styles(w), noise)

    def _generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed)


def save_projections(
    projector: Projector,
    targets: Dataset,
    folder: str | os.PathLike,
    channels: Channels,
    provenance: Provenance | None = None,
) -> list[Path]:
    """Project real slices and write each beside its projection.

    Args:
        projector: projector of one slice after the other.
        targets: items with "image" [images, S, S] in [-1, 1], perhaps "label" and "known" (see `Channels`), and "id".
        folder: folder for `<id>.png` (target, projection, difference), `<id>.pt` ("w" [style_dim] and "noise", a
            list of [side, side]) and `projections.json` with the distances of all.
        channels: channels of the samples, which are the pictures' columns.
        provenance: record of what makes the images, for the pictures' texts.

    Returns:
        The paths of the pictures.
    """
    folder, written, distances = Path(folder), [], {}
    with tqdm(total=len(targets) * projector.steps, desc="Projection", unit="step") as bar:
        for place in range(len(targets)):
            item = targets[place]
            image, label, known = (item.get(key) for key in ("image", "label", "known"))
            one = [None if given is None else torch.as_tensor(given)[None] for given in (image.float(), label, known)]
            target = torch.as_tensor(channels.join(*one))[0]
            found = projector(target, bar)
            rows = [panel(target), panel(found.image), panel((found.image - target).abs() - 1)]
            told = f"projection\ndistance {found.distance:.3g}\nof the mean style {found.mean_distance:.3g}"
            titles = ["target", told, "difference\nwhite: the whole scale"]
            picture = headed(grid(rows, titles), channels.names)
            text = None if provenance is None else png_text(provenance.record())
            written.append(save_png(folder / f"{item['id']}.png", picture, text))
            write_torch_file(folder / f"{item['id']}.pt", {"w": found.w, "noise": found.noise})
            distances[item["id"]] = {"distance": found.distance, "of_mean_style": found.mean_distance}
    with whole_file(folder / "projections.json") as partial:
        partial.write_text(json.dumps(distances, indent=2) + "\n", encoding="utf-8")
    return written
