"""When networks grow, and how far a level has faded in (Karras et al. 2018, appendix A)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import accumulate

from torch.utils.data import DataLoader

from tools.engines.trainer import AlternatingTrainer


class GrowthSchedule:
    """Levels over the epochs of a run: each fades in for as long as it then stays, and the last stays for the rest.

    The paper's phases are of 600,000 images, of 12 million in the run; here they are the same shares of any run. Levels
    begin with an epoch. In an epoch, which has as many iterations at every level, batches are of the level's own size.

    Args:
        max_epochs: number of epochs of the run.
        image_size: side S of the images in the end.
        batch_sizes: size of a batch by the side of a level.
        first_side: side of the first level; 4 in Progressive GAN and 8 in StyleGAN.
        phases: number of phases in the run: 20 in Progressive GAN (12 million images), 41.7 in StyleGAN (25 million).

    Attributes:
        levels: levels, where 0 is 4x4 pixels.
        starts: first epoch of each.

    Raises:
        ValueError: fewer epochs than levels, phases too few for all levels, or no batch size for one.
    """

    def __init__(
        self,
        max_epochs: int,
        image_size: int,
        batch_sizes: Mapping[int | str, int],
        first_side: int = 4,
        phases: float = 20.0,
    ) -> None:
        sides = [first_side * 2**n for n in range((image_size // first_side).bit_length())]
        sizes = {int(side): int(size) for side, size in batch_sizes.items()}
        if sides[-1] != image_size:
            raise ValueError(f"first_side is {first_side}, expected a power of two up to image_size, {image_size}")
        if missing := [side for side in sides if side not in sizes]:
            raise ValueError(f"batch_sizes has none for images of {missing}, only for {sorted(sizes)}")
        if max_epochs < len(sides):
            raise ValueError(
                f"max_epochs is {max_epochs}, expected {len(sides)} or more: one for each of the levels {sides}"
            )
        images = [1.0, *[2.0] * (len(sides) - 2)]
        last = phases - sum(images)
        if last < 2:
            raise ValueError(f"phases is {phases}, expected {sum(images) + 2:g} or more for the levels {sides}")
        images.append(last)
        # images in phases; an epoch has the more of them the larger its batches are
        shares = [share / sizes[side] for share, side in zip(images, sides, strict=True)]
        self.max_epochs = max_epochs
        self.levels = [side.bit_length() - 3 for side in sides]
        self.batch_sizes = [sizes[side] for side in sides]
        self.fades = [0.0, *(1 / share for share in images[1:])]
        ends = [round(max_epochs * end / sum(shares)) for end in accumulate(shares)]
        self.starts = [0]
        for place, end in enumerate(ends[:-1], start=1):  # every level has an epoch at least
            self.starts.append(min(max(end, self.starts[-1] + 1), max_epochs - len(sides) + place))

    def place(self, epoch: int) -> int:
        """Number of an epoch's level among ``levels``."""
        return max(place for place, start in enumerate(self.starts) if start <= epoch)

    def at(self, iteration: int, iterations: int) -> tuple[int, float | None]:
        """Level in an iteration of so many, and the weight alpha of what it adds; None if it has faded in."""
        epoch = iteration * self.max_epochs / iterations
        place = self.place(int(epoch + 1e-9))
        start, end = [*self.starts, self.max_epochs][place : place + 2]
        fading = (end - start) * self.fades[place]
        alpha = (epoch - start) / fading if fading else 1.0
        return self.levels[place], None if alpha >= 1 else max(0.0, alpha)


class Growing:
    """The trainer's ``prepare_epoch``: at a new level optimizers begin anew, and batches have the level's size.

    That is once a level, when it begins; the released code does so once more when it has faded in.

    Args:
        schedule: schedule of the levels.
        loader: batch size -> loader of the training data.
        learning_rates: rates by the side of a level for each optimizer, where they are not that which it has.
    """

    def __init__(
        self,
        schedule: GrowthSchedule,
        loader: Callable[..., DataLoader],
        learning_rates: Mapping[int | str, float] | None = None,
    ) -> None:
        self.schedule = schedule
        self.loader = loader
        self.learning_rates = {int(side): float(rate) for side, rate in (learning_rates or {}).items()}
        self.place = 0

    def first_loader(self) -> DataLoader:
        """The loader of the first level."""
        return self.loader(batch_size=self.schedule.batch_sizes[0])

    def __call__(self, trainer: AlternatingTrainer, epoch: int) -> None:
        place = self.schedule.place(epoch)
        if place == self.place:
            return
        if self.schedule.batch_sizes[place] != self.schedule.batch_sizes[self.place]:
            trainer.set_loader(self.loader(batch_size=self.schedule.batch_sizes[place]))
        self.place = place
        rate = self.learning_rates.get(4 * 2 ** self.schedule.levels[place])
        for update in trainer.updates:
            update.optimizer.state.clear()
            for group in update.optimizer.param_groups if rate else ():
                group["lr"] = rate
