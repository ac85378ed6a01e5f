"""Schedules of the learning rate."""

from __future__ import annotations

from collections.abc import Callable


def constant_then_linear(constant_epochs: int, max_epochs: int) -> Callable[[int], float]:
    """CycleGAN's schedule as a factor for ``torch.optim.lr_scheduler.LambdaLR`` (Zhu et al. 2017, section 4).

    Args:
        constant_epochs: how many epochs the rate stays; over the others it falls linearly, so that it would reach 0 in
            the epoch after the last.
        max_epochs: of the whole training.

    Returns:
        epoch, counted from 0 -> factor in (0, 1].
    """
    if not 0 <= constant_epochs <= max_epochs:
        raise ValueError(f"{constant_epochs} constant epochs of {max_epochs}: expected between 0 and all of them")
    falling = max_epochs - constant_epochs
    # never negative: the scheduler also asks for the epoch after the last
    return lambda epoch: min(1.0, max(0.0, (max_epochs - epoch) / (falling + 1)))
