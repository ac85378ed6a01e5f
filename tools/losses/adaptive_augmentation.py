"""Augmentation whose strength follows the discriminator's verdicts on real images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from tools.engines.processes import mean_over_processes, rank_and_world_size
from tools.losses.augmentation import Augmentation

if TYPE_CHECKING:
    from tools.engines.draws import Draws

SHARE = 0.02
"""Share of a run in which the strength can go from 0 to 1: 500,000 of the paper's 25 million images."""

STEPS = 100
"""Steps that it takes for that at least, so that in a short run it does not jump."""


class AdaptiveAugmentation(nn.Module):
    """Augmentation with a probability p that rises where the discriminator is too sure of real images, and falls else.

    Every few iterations, with r the mean of the signs of D(x) since then, p moves by sign(r - target) * images / speed
    (Karras et al. 2020, "Training generative adversarial networks with limited data", section 3.1), and stays within 0
    and ``limit``. The released code has no upper limit, and lets p grow beyond 1, where it means nothing; near 1 even
    augmentations of whole rotations are seen in what is generated (Fig. 3).

    Args:
        images: number of image channels, which come first.
        labels: number of label channels.
        strengths: factors of the probability of each transformation, see `Augmentation`.
        rotate_max: largest angle in degrees.
        sizes: sizes of transformations, likewise.
        target: value of r that is aimed at.
        interval: iterations between two steps of p.
        speed: images in which p can go from 0 to 1; None takes 2% of the run, but 100 steps at least.
        limit: greatest p.
        start: first p, for instance that of a training whose weights are taken over.

    Attributes:
        probability: p, a buffer.
        seen: sum of signs and number of verdicts since the last step of p, a buffer [2].
    """

    def __init__(
        self,
        images: int,
        labels: int = 0,
        strengths: Mapping[str, float] | None = None,
        rotate_max: float = 180.0,
        sizes: Mapping[str, float] | None = None,
        target: float = 0.6,
        interval: int = 4,
        speed: float | None = None,
        limit: float = 0.8,
        start: float = 0.0,
    ) -> None:
        super().__init__()
        if not 0 <= start <= limit <= 1:
            raise ValueError(f"start is {start} and limit {limit}, expected 0 <= start <= limit <= 1")
        if interval < 1:
            raise ValueError(f"interval is {interval}, expected 1 or more iterations")
        if speed is not None and not speed > 0:
            raise ValueError(f"speed is {speed}, expected a number of images above 0, or None for a share of the run")
        self.augmentation = Augmentation(images, labels, strengths, rotate_max, sizes)
        self.target = target
        self.interval = interval
        self.speed = speed
        self.limit = limit
        self.register_buffer("probability", torch.tensor(float(start), dtype=torch.float64))
        self.register_buffer("seen", torch.zeros(2))

    def draw(self, rows: int, draws: Draws) -> Tensor:
        """What happens to each row, see `Augmentation.draw`."""
        return self.augmentation.draw(draws.choices(rows, self.augmentation.number), float(self.probability))

    def forward(self, x: Tensor, parameters: Tensor) -> Tensor:
        """Images and labels [B, C, S, S] after what was drawn for each."""
        return self.augmentation(x, parameters)

    @torch.no_grad()
    def observe(self, verdict: Tensor) -> None:
        """Count the signs of verdicts [B, 1] on real images."""
        signs = verdict.detach().float().sign()
        self.seen += torch.stack([signs.sum(), signs.new_tensor(float(signs.numel()))]).to(self.seen)

    @torch.no_grad()
    def adapt(self, rows: int, draws: Draws) -> None:
        """Move p, where it is time for that.

        Args:
            rows: number of rows of this process's batch.
            draws: random numbers of the iteration that begins.
        """
        if draws.iteration % self.interval:
            return
        total, number = mean_over_processes(self.seen).tolist()
        if number == 0:
            return
        images = rows * rank_and_world_size()[1] * self.interval
        step = images / self.images_to_one(images, draws.iterations)
        direction = (total / number > self.target) - (total / number < self.target)
        self.probability.add_(direction * step).clamp_(0, self.limit)
        self.seen.zero_()

    def images_to_one(self, images: int, iterations: int | None) -> float:
        """Images in which p can go from 0 to 1, where a step of it is of so many, and a run of so many iterations."""
        if self.speed is not None:
            return self.speed
        if iterations is None:
            raise ValueError("speed is None, and the length of the run is not known; give a number of images")
        return max(SHARE * images * iterations / self.interval, STEPS * images)
