"""What the processes of one training agree on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch.distributed as dist

Decision = TypeVar("Decision")


def rank_and_world_size() -> tuple[int, int]:
    """This process and how many there are, (0, 1) without torch.distributed."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def decided_by_first(decide: Callable[[], Decision]) -> Decision:
    """Return what ``decide`` returns in process 0, in every process; an error there is raised in all."""
    rank, world_size = rank_and_world_size()
    if world_size == 1:
        return decide()
    outcome: list = [None, None]
    if rank == 0:
        try:
            outcome[0] = decide()
        except Exception as error:
            outcome[1] = error
    dist.broadcast_object_list(outcome)
    if outcome[1] is not None:
        raise outcome[1]
    return outcome[0]
