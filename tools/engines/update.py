"""One update of an alternating training algorithm: some networks, an optimizer, one loss."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from tools.engines.private_training import PrivateTraining

Terms = dict[str, Tensor]
"""Terms of a loss by name."""


def all_terms(found: Terms | Iterator[Terms]) -> Terms:
    """All terms of what a loss returned, with their graphs, whether it yields them one after the other or not."""
    terms: Terms = {}
    for some in [found] if isinstance(found, dict) else found:
        terms |= {name: terms[name] + term if name in terms else term for name, term in some.items()}
    return terms


class Update:
    """One line of a paper's algorithm: which networks learn, by which loss and optimizer.

    Args:
        name: name of the update, for logs, messages and checkpoints.
        networks: the networks that are trained, by the names that a checkpoint gives them; all others stand still.
        optimizer: optimizer over the parameters of these networks, and of no others. Several updates may share one:
            each takes a step of its own with it, by its own loss, scale and clipping. One of them has the schedule.
        loss: batch -> terms of the loss by name; their sum is minimised. A generator function may yield them one after
            the other, those in one dictionary that share a graph: each dictionary has its own backward pass, before the
            next is computed, so that one graph is held at a time. What it yields twice under one name is added.
        every: interval in iterations: 1, or more for lazy updates, which begin with the first iteration.
        gain: factor of the gradient; losses are logged without it. None takes ``every``, so that a loss which is
            computed in every n-th iteration only weighs as much as if it were in each: lazy regularisation (Karras et
            al. 2020, appendix B; see ``lazy_adam``). 1 for an update that is meant to be rarer than others.
        max_grad_norm: Euclidean norm to which the gradient, with its gain, is clipped; None does not clip.
        one_by_one: True passes the rows of a batch through the networks one after the other, and takes one step with
            their mean gradient: for a loss that is a mean over rows the same step, in the memory of one row. Not for
            networks that change with every pass, as by spectral normalisation.
        schedule: optimizer -> schedule of its learning rate, for instance a ``torch.optim.lr_scheduler.LambdaLR`` with
            all other arguments given. The trainer steps it after every epoch, and checkpoints have its state.
        start: first iteration in which the update runs, counted from 0, for a loss that begins late.
        rests: batch -> whether the update is left out of an iteration in which it is due, the same in all processes.
            The trainer logs it, 1 or 0, as "<update>/rests".
        private: way in which its gradient is clipped for each row and gets noise; no other update then sees real
            images. None for the ordinary gradient.

    Attributes:
        schedule: schedule of the learning rate, None for a rate that stays.
    """

    def __init__(
        self,
        name: str,
        networks: dict[str, nn.Module],
        optimizer: Optimizer,
        loss: Callable[[dict], Terms | Iterator[Terms]],
        every: int = 1,
        gain: float | None = None,
        max_grad_norm: float | None = None,
        one_by_one: bool = False,
        schedule: Callable[[Optimizer], LRScheduler] | None = None,
        start: int = 0,
        rests: Callable[[dict], bool] | None = None,
        private: PrivateTraining | None = None,
    ) -> None:
        self.name = name
        self.networks = dict(networks)
        self.optimizer = optimizer
        self.loss = loss
        self.every = every
        self.start = start
        self.gain = every if gain is None else gain
        self.max_grad_norm = max_grad_norm
        self.one_by_one = one_by_one
        self.rests = rests
        self.private = private
        self.schedule = None if schedule is None else schedule(optimizer)
        if every < 1:
            raise ValueError(f"update '{name}': every is {every}, expected 1 or more.")
        if start < 0:
            raise ValueError(f"update '{name}': start is {start}, expected an iteration, 0 or more.")
        if not self.gain > 0:
            raise ValueError(f"update '{name}': gain is {gain}, expected a number above 0, or None for {every}.")
        own = {id(p) for network in self.networks.values() for p in network.parameters()}
        strangers = sum(id(p) not in own for p in self.parameters)
        if strangers:
            raise ValueError(
                f"update '{name}': {strangers} of its optimizer's {len(self.parameters)} parameters belong to none "
                "of its networks. Give the optimizer the parameters of the networks that it updates."
            )

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The parameters that the optimizer steps, in its order."""
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def is_due(self, iteration: int) -> bool:
        """Return whether the update runs in an iteration, counted from 0."""
        return iteration >= self.start and (iteration - self.start) % self.every == 0


def lazy_adam(
    params: Iterable, lr: float, betas: Sequence[float] = (0.9, 0.999), *, every: int, **options: Any
) -> Adam:
    """Adam for an update of each iteration that shares it with a lazy one, of every n-th.

    With n = ``every`` it takes n + 1 steps in n iterations. For the same pace and memory as without the lazy update,
    the rate is multiplied by c = n / (n + 1), and the betas are raised to the power of c (Karras et al. 2020,
    "Analyzing and improving the image quality of StyleGAN", appendix B). The lazy update's ``gain`` balances its loss.

    Args:
        params: parameters of the networks.
        lr: learning rate as it would be without the lazy update.
        betas: decay rates of the moments as they would be without the lazy update.
        every: interval n of the lazy update.
        options: further arguments of ``torch.optim.Adam``.
    """
    if every < 1:
        raise ValueError(f"every is {every}, expected 1 or more.")
    share = every / (every + 1)
    first, second = (float(beta) ** share for beta in betas)
    return Adam(params, lr=lr * share, betas=(first, second), **options)


class RepeatedAdam(Adam):
    """Adam that takes several steps on one gradient: as many as the key "repeats" of a group of parameters says.

    So do some auto-encoding GANs, whose code calls the optimizer of the generator twice.

    Args:
        params: groups of parameters, dictionaries, as for ``torch.optim.Adam``.
        lr: learning rate of each step.
        betas: decay rates of the moments.
        repeats: number of steps of the groups that do not say theirs.
        options: further arguments of ``torch.optim.Adam``.

    Raises:
        ValueError: a number of steps below 1.
    """

    def __init__(
        self, params: Iterable, lr: float, betas: Sequence[float] = (0.9, 0.999), repeats: int = 1, **options: Any
    ) -> None:
        super().__init__(params, lr=lr, betas=tuple(betas), **options)
        for group in self.param_groups:
            if group.setdefault("repeats", repeats) < 1:
                raise ValueError(f"repeats is {group['repeats']}, expected 1 or more.")

    def step(self, closure: Callable | None = None) -> Any:
        """Take all steps; with a closure it is evaluated once."""
        loss = super().step(closure)
        for number in range(1, max(group["repeats"] for group in self.param_groups)):
            waiting = [p for group in self.param_groups if group["repeats"] <= number for p in group["params"]]
            gradients = [p.grad for p in waiting]
            for parameter in waiting:  # without a gradient Adam leaves them alone
                parameter.grad = None
            super().step()
            for parameter, gradient in zip(waiting, gradients, strict=True):
                parameter.grad = gradient
        return loss
