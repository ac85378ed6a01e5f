"""What the processes of one training agree on: decisions, weights, gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

Decision = TypeVar("Decision")


def rank_and_world_size() -> tuple[int, int]:
    """This process and how many there are, (0, 1) without torch.distributed.

    ignite's ``idist`` says the same, but fails once a group was destroyed, as between two trainings of one process.
    """
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


def share_weights(networks: Iterable[nn.Module], device: torch.device) -> None:
    """Give every process the parameters and buffers of process 0; ``device`` is that of the training."""
    if rank_and_world_size()[1] == 1:
        return
    for network in networks:
        for tensor in (*network.parameters(), *network.buffers()):
            shared = tensor.detach().to(device)  # NCCL knows no CPU, on which averages count their updates
            dist.broadcast(shared, src=0)
            tensor.detach().copy_(shared)


def average_over_processes(parameters: Sequence[nn.Parameter], others: Sequence[Tensor]) -> Tensor:
    """Average gradients and other tensors over all processes, in place, by one flattened all-reduce.

    The losses travel with the gradients, so that a loss that is not finite in one process stops all of them, and so do
    the signals that ask for a stop.

    Returns:
        The share of several processes that had a gradient, [parameters]; empty for one process. Where it is 0, the
        gradient is zero now, and has to be None again before the step (see ``forget_unused``).
    """
    world_size = rank_and_world_size()[1]
    if world_size == 1:
        return torch.empty(0, device=parameters[0].device)
    had = torch.tensor([float(parameter.grad is not None) for parameter in parameters])
    had = had.to(parameters[0].device, non_blocking=True)
    for parameter in parameters:
        if parameter.grad is None:  # unused here, but perhaps not in another process
            parameter.grad = torch.zeros_like(parameter)
    tensors = [*(parameter.grad for parameter in parameters), *others, had]
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    dist.all_reduce(flat)
    flat /= world_size
    averages = [a.view_as(t) for a, t in zip(flat.split([t.numel() for t in tensors]), tensors, strict=True)]
    torch._foreach_copy_(tensors, averages)
    return had


def mean_over_processes(values: Tensor) -> Tensor:
    """The mean of what the processes have, in all of them; each has to call this."""
    world_size = rank_and_world_size()[1]
    if world_size > 1:
        values = values.clone()
        dist.all_reduce(values)
        values /= world_size
    return values


def forget_unused(parameters: Sequence[nn.Parameter], had: Sequence[float]) -> None:
    """Take away the gradients of parameters that no process used: optimizers leave those alone that have none."""
    for parameter, share in zip(parameters, had, strict=bool(had)):
        if share == 0:
            parameter.grad = None
