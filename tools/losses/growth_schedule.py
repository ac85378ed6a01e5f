"""When networks grow, and how far a level has faded in (Karras et al. 2018, appendix A)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch.utils.data import DataLoader

from tools.engines.processes import rank_and_world_size
from tools.engines.trainer import AlternatingTrainer


class GrowthSchedule:
    """Levels by the number of images that were seen, whatever the length of the run.

    The first level stays for a while; each of the others fades in and then stays, the last one until the run ends.
    Which images these are, of two dimensions or three, does not matter: level n + 1 has twice the side of level n.

    Args:
        last_level: number of the last level.
        stay: images for which a level stays, 600,000 in the papers.
        fade: images over which a level fades in, likewise.
        batch_size: images of a batch of each process at the last level.
        largest_batch: images up to which batches of earlier levels grow, each twice as large as that of the next level;
            None for batches of one size.
        first_level: number of the first level: 0, of 4x4 pixels, in Progressive GAN, and 1 in StyleGAN.

    Attributes:
        starts: number of images after which each level begins, by its number.

    Raises:
        ValueError: levels, lengths or batches that cannot be.
    """

    def __init__(
        self,
        last_level: int,
        stay: float,
        fade: float,
        batch_size: int,
        largest_batch: int | None = None,
        first_level: int = 0,
    ) -> None:
        if not 0 <= first_level <= last_level:
            raise ValueError(f"first_level is {first_level}, expected 0 to {last_level}, the last level")
        if stay < 1 or fade < 0:
            raise ValueError(f"stay is {stay} and fade is {fade}, expected images: 1 or more, and 0 or more")
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}, expected 1 or more")
        self.stay = stay
        self.fade = fade
        self.first_level = first_level
        self.last_level = last_level
        self.batch_size = batch_size
        self.largest_batch = max(batch_size, largest_batch or 0)
        levels = range(first_level, last_level + 1)
        self.starts = {level: max(0.0, (level - first_level) * (fade + stay) - fade) for level in levels}

    def level(self, images: int) -> int:
        """Level after so many images."""
        return max(level for level, start in self.starts.items() if start <= images)

    def at(self, images: int) -> tuple[int, float | None]:
        """Level after so many images, and the weight alpha of what it adds; None if it has faded in."""
        level = self.level(images)
        seen = images - self.starts[level]
        return level, None if level == self.first_level or seen >= self.fade else seen / self.fade

    def batch_of(self, level: int) -> int:
        """Images of a batch of each process at a level."""
        return min(self.batch_size * 2 ** (self.last_level - level), self.largest_batch)

    def epochs(self, images: int, epoch_length: int) -> int:
        """Number of epochs of so many iterations in which at least so many images are seen, by all processes."""
        processes = rank_and_world_size()[1]
        seen = iterations = 0
        for level in self.starts:
            end = min(images, self.starts.get(level + 1, images))
            steps = max(0, -(-(end - seen) // (processes * self.batch_of(level))))
            seen += steps * processes * self.batch_of(level)
            iterations += int(steps)
        return max(1, -(-iterations // epoch_length))


class Growing:
    """The trainer's ``prepare``: at a new level optimizers begin anew, and batches and rates are the level's own.

    That is once a level, when it begins; the released code does so once more when it has faded in.

    Args:
        schedule: schedule of the levels.
        loader: function from a batch size to a loader of the training data; that of the last level is the trainer's.
        rates: factor of the learning rates by the number of a level, 1 for those that are not named.
    """

    def __init__(
        self,
        schedule: GrowthSchedule,
        loader: Callable[..., DataLoader],
        rates: Mapping[int | str, float] | None = None,
    ) -> None:
        self.schedule = schedule
        self.loader = loader
        self.rates = {int(level): float(rate) for level, rate in (rates or {}).items()}
        self.level: int | None = None
        self._batch = schedule.batch_size
        self._rates: dict[int, list[float]] = {}

    def __call__(self, trainer: AlternatingTrainer, images: int) -> None:
        """Let a trainer be what it is after so many images.

        Raises:
            ValueError: there are fewer images than a batch of the level has.
        """
        level = self.schedule.level(images)
        if level == self.level:
            return
        size = self.schedule.batch_of(level)
        if size != self._batch:
            loader = self.loader(batch_size=size)
            if len(loader) == 0:
                raise ValueError(
                    f"batches of level {level} have {size} images, more than there are to train on, for each process. "
                    f"Give more data, or a smaller --largest_batch, down to {self.schedule.batch_size}."
                )
            trainer.set_loader(loader)
            self._batch = size
        for optimizer in {id(update.optimizer): update.optimizer for update in trainer.updates}.values():
            optimizer.state.clear()
            given = self._rates.setdefault(id(optimizer), [group["lr"] for group in optimizer.param_groups])
            for group, rate in zip(optimizer.param_groups, given, strict=True):
                group["lr"] = rate * self.rates.get(level, 1.0)
        self.level = level
