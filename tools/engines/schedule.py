"""Schedules of the learning rate, and the length of a run."""

from __future__ import annotations

from collections.abc import Callable

from tools.engines.processes import rank_and_world_size


def constant_then_linear(constant_epochs: int, max_epochs: int) -> Callable[[int], float]:
    """CycleGAN's schedule as a factor for ``torch.optim.lr_scheduler.LambdaLR`` (Zhu et al. 2017, section 4).

    Args:
        constant_epochs: number of epochs for which the rate stays; over the others it falls linearly, so that it would
            reach 0 in the epoch after the last. As many as ``max_epochs``, or more, and it never falls.
        max_epochs: number of epochs of the whole training.

    Returns:
        epoch, counted from 0 -> factor in (0, 1].
    """
    if constant_epochs < 0:
        raise ValueError(f"constant_epochs is {constant_epochs}, expected 0 or more")
    falling = max_epochs - constant_epochs

    def factor(epoch: int) -> float:
        if epoch < constant_epochs:
            return 1.0
        # a run that is extended later begins with the last epoch's rate, not with 0
        return max(1, max_epochs - epoch) / (falling + 1) if falling > 0 else 1.0

    return factor


def epochs_for(iterations: int, items: int, batch_size: int) -> int:
    """Return how many epochs have at least so many iterations.

    Args:
        iterations: number of iterations that are wanted.
        items: number of items of the training data.
        batch_size: batch size of each process; items that do not fill a batch are left out of an epoch.
    """
    if iterations < 1:
        raise ValueError(f"iterations is {iterations}, expected 1 or more, or nothing for max_epochs")
    of_one_process = -(-items // rank_and_world_size()[1])
    return -(-iterations // max(1, of_one_process // batch_size))
