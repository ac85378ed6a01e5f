"""The training loop of every family: an ordered list of updates on each batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
import torch.distributed as dist
from ignite.engine import Events
from monai.engines import SupervisedTrainer
from monai.engines.utils import IterationEvents
from monai.handlers import LrScheduleHandler, MLFlowHandler
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from tools.engines.draws import Draws
from tools.engines.ema import ExponentialMovingAverage
from tools.engines.handover import Handover
from tools.engines.lock import release_folders
from tools.engines.passes import Passes
from tools.engines.processes import rank_and_world_size
from tools.engines.stopping import StopSignals, received_by_any, shield_workers
from tools.engines.update import Update

OVERFLOWS = 20
"""Steps in a row that an update may lose to overflow in fp16: a scale that begins at 65536 is below 0.1 by then."""

PRECISIONS = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


class AlternatingTrainer(SupervisedTrainer):
    """A ``monai.engines.SupervisedTrainer`` that runs a list of updates, one after the other, on each batch.

    ``network`` is the one that inference uses. Federated clients (``monai.fl.client.MonaiAlgo``) take and give its
    weights between runs, while the others stay with each client; a run that follows another one of the same trainer
    goes on where that ended. ``trackers`` are the handlers that ``--tracking mlflow`` has added.

    ``engine.state.output`` is ``[{"loss": {...}}]``, as MONAI's handlers expect of a decollated output
    (``output_transform=from_engine("loss", first=True)``): each update's loss as "<update>", and the terms of which it
    is the sum as "<update>/<term>".

    Several processes (torch.distributed) share a batch: gradients and losses are averaged over them before every
    step, so that all keep the same weights, which are those of process 0 at the start.

    SIGTERM or Ctrl-C, in any process, ends the run of all after the same iteration; handlers of ``Events.TERMINATE``
    then save it, and ``stopping`` is the signal's number.

    Args:
        device: device of the networks.
        max_epochs: number of epochs.
        train_data_loader: batches, dictionaries whose tensors are all of shape [B, ...], and other values.
        updates: updates in the order in which they run.
        draw: (batch, Draws) -> batch with all random numbers of the iteration, the objective's ``draw``.
        seed: seed of the draws.
        precision: "fp32", "bf16" or "fp16" (autocast; fp16 scales its losses).
        compile: True compiles the networks' passes by TorchInductor, which needs a C++ compiler, and minutes before the
            first step: for long runs. Validation, whose shapes differ, is not compiled.
        accumulation: number of parts into which a batch is split; they pass one after the other before one step: less
            memory, the same gradient.
        ema: average of a network's weights, moved after each update of that network.
        epoch_length: iterations per epoch, the loader's length if None.
        train_handlers: MONAI or ignite handlers.
        network: network that inference uses; None takes the one that ``ema`` averages, or else the first of the first
            update.
    """

    def __init__(
        self,
        device: str | torch.device,
        max_epochs: int,
        train_data_loader: Iterable,
        updates: Sequence[Update],
        draw: Callable[[dict, Draws], dict],
        seed: int = 0,
        precision: str = "fp32",
        compile: bool = False,
        accumulation: int = 1,
        ema: ExponentialMovingAverage | None = None,
        epoch_length: int | None = None,
        train_handlers: Sequence | None = None,
        network: nn.Module | None = None,
    ) -> None:
        if precision not in PRECISIONS:
            raise ValueError(f"precision is {precision!r}, expected one of {list(PRECISIONS)}.")
        if accumulation < 1:
            raise ValueError(f"accumulation is {accumulation}, expected 1 or more.")
        names = [update.name for update in updates]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"expected updates with different names, got {names}.")
        if network is None:
            network = next(iter(updates[0].networks.values())) if ema is None else ema.source[0]
        schedules = [LrScheduleHandler(u.schedule, print_lr=False) for u in updates if u.schedule is not None]
        super().__init__(
            device=device,
            max_epochs=max_epochs,
            train_data_loader=train_data_loader,
            network=network,
            optimizer=updates[0].optimizer,
            loss_function=updates[0].loss,
            epoch_length=epoch_length,
            train_handlers=[*schedules, *(train_handlers or [])],  # rates are those of the next epoch when it is saved
            decollate=False,
        )
        self.updates = list(updates)
        self.draw = draw
        self.seed = seed
        self.precision = precision
        self.compile = compile
        self.accumulation = accumulation
        self.ema = ema
        self.scalers = {
            name: torch.amp.GradScaler(self.state.device.type, enabled=precision == "fp16") for name in names
        }
        self.networks = {name: network for update in updates for name, network in update.networks.items()}
        self._overflows = dict.fromkeys(names, 0)
        self.passes = Passes(train_data_loader)
        self.trackers = [handler for handler in train_handlers or () if isinstance(handler, MLFlowHandler)]
        self.signals = StopSignals()
        self.stopping = 0
        self._asked = 0  # the signal that one of several processes has received
        self.add_event_handler(Events.STARTED, self._started)
        # after all handlers that were given
        self.add_event_handler(Events.ITERATION_COMPLETED, self._iteration_completed)
        self.add_event_handler(Events.EPOCH_COMPLETED, self._epoch_completed)
        shield_workers(train_data_loader)

        if compile:
            for network in self.networks.values():
                network.compile(dynamic=False)

    def run(self) -> None:
        """Train until the last epoch.

        Raises:
            SystemExit: the run was asked to stop before that: 143 for SIGTERM, 130 for Ctrl-C.
        """
        self.stopping = self._asked = 0
        try:
            stance = torch.compiler.set_stance("force_eager" if self.compile else "default")
            with StopSignals() as self.signals, stance:
                super().run()
        finally:
            release_folders()
        if self.stopping:
            raise SystemExit(128 + self.stopping)

    def _started(self, engine: AlternatingTrainer) -> None:
        self.state.dataloader = self.passes
        share_weights(self.networks.values(), self.ema)
        self._stop_if_asked()

    def _iteration_completed(self, engine: AlternatingTrainer) -> None:
        at_end_of_epoch = self.state.epoch_length and self.state.iteration % self.state.epoch_length == 0
        self._stop_if_asked(terminate=not at_end_of_epoch)  # the epoch ends first, but is not validated

    def _epoch_completed(self, engine: AlternatingTrainer) -> None:
        self._stop_if_asked()

    def _stop_if_asked(self, terminate: bool = True) -> None:
        self.stopping = self._asked if rank_and_world_size()[1] > 1 else self.signals.received
        if self.stopping and terminate:
            self.terminate()

    def _iteration(self, engine: AlternatingTrainer, batchdata: dict) -> list[dict]:
        with torch.compiler.set_stance("default"):
            return self._run_updates(engine, batchdata)

    def _run_updates(self, engine: AlternatingTrainer, batchdata: dict) -> list[dict]:
        iteration = engine.state.iteration - 1
        total = engine.state.max_epochs * engine.state.epoch_length
        draws = Draws(self.seed, iteration, engine.state.device, *rank_and_world_size(), iterations=total)
        batch = self.draw(_to_device(batchdata, engine.state.device), draws)
        size = rows(batchdata)
        losses: dict[str, float] = {}
        for update in self.updates:
            if update.is_due(iteration):
                losses |= self._run(update, batch, size)
        engine.fire_event(IterationEvents.MODEL_COMPLETED)
        return [{"loss": losses}]

    def _run(self, update: Update, batch: dict, rows: int) -> dict[str, float]:
        """Minimise one loss on a batch of so many rows by one step."""
        for name, network in self.networks.items():
            network.requires_grad_(name in update.networks)
        update.optimizer.zero_grad(set_to_none=True)
        scaler = self.scalers[update.name]

        terms: dict[str, Tensor] = {}
        for part, share in split(batch, rows if update.one_by_one else self.accumulation, rows):
            for losses in self._losses(update, part):
                scaler.scale(share * sum(losses.values())).backward()
                for name, loss in losses.items():
                    terms[name] = terms.get(name, 0) + share * loss.detach().float()
        asked = self.signals.tensor(self.state.device)
        average_over_processes(update.parameters, [*terms.values(), asked])
        scaler.unscale_(update.optimizer)
        norm = get_total_norm([p.grad for p in update.parameters if p.grad is not None]).to(self.state.device)

        # the only time that an update waits for its device
        *numbers, length, sigterm, sigint = torch.stack([*terms.values(), norm, *asked]).tolist()
        if rank_and_world_size()[1] > 1:
            self._asked = received_by_any((sigterm, sigint))
        values = dict(zip(terms, numbers, strict=True))
        total = sum(values.values())
        self._check(update, "loss", total, values)
        if scaler.is_enabled():  # expects overflow, skips the step and tries a smaller scale
            self._count_overflow(update, length)
        else:
            self._check(update, "gradient", length, values)
        if update.max_grad_norm is not None:
            clip_grads_with_norm_(update.parameters, update.max_grad_norm, norm)
        scaler.step(update.optimizer)
        scaler.update()
        update.optimizer.zero_grad(set_to_none=True)  # gradients are as large as the networks: not kept for later
        if self.ema is not None and self.ema.source[0] in update.networks.values():
            self.ema.update()
        return {update.name: total} | {f"{update.name}/{name}": value for name, value in values.items()}

    def _losses(self, update: Update, batch: dict) -> Iterator[dict[str, Tensor]]:
        """The terms of an update's loss, those together that share a backward pass."""

        def autocast() -> torch.autocast:
            return torch.autocast(self.state.device.type, PRECISIONS[self.precision], enabled=self.precision != "fp32")

        with autocast():
            found = update.loss(batch)
        if isinstance(found, dict):
            yield found
            return
        while True:
            with autocast():  # which must not be left open for the backward pass in between
                losses = next(found, None)
            if losses is None:
                return
            yield losses

    def _count_overflow(self, update: Update, norm: float) -> None:
        """Stop where no scale helps: nothing would be learned, without a word."""
        finite = norm - norm == 0
        self._overflows[update.name] = 0 if finite else self._overflows[update.name] + 1
        if self._overflows[update.name] < OVERFLOWS:
            return
        raise FloatingPointError(
            f"update '{update.name}' has had a gradient that overflows fp16 for {OVERFLOWS} steps in a row, until "
            f"iteration {self.state.iteration}, epoch {self.state.epoch}. None of them was taken, although the scale "
            f"of its loss fell to {self.scalers[update.name].get_scale():g}. Go on from the last checkpoint with "
            "--resume auto and --precision bf16, or fp32 where the device has no bf16; or with a lower learning rate."
        )

    def _check(self, update: Update, what: str, value: float, terms: dict[str, float]) -> None:
        """Stop before a step that would ruin the weights."""
        if value - value == 0:  # neither inf nor nan
            return
        shown = ", ".join(f"{name} {term:.4g}" for name, term in terms.items())
        raise FloatingPointError(
            f"update '{update.name}' has a {what} of {value} at iteration {self.state.iteration}, epoch "
            f"{self.state.epoch} (terms: {shown}). No step was taken; the last checkpoint is from before. Try "
            "--precision fp32, a lower learning rate for this update, or max_grad_norm; and look at the input of "
            "this iteration for values outside [-1, 1]. Then go on with --resume auto."
        )


def split(batch: dict, parts: int, size: int) -> Iterator[tuple[dict, float]]:
    """Divide a batch along its first axis; with each part comes its share of the batch.

    Divided are tensors of as many rows as the batch has, and its handover. All else goes to every part: numbers,
    cutoffs, tables of noise levels. A table that has by chance as many rows belongs into the objective instead.

    Args:
        batch: batch as the objective has drawn it.
        parts: number of parts.
        size: number of rows of the batch, see ``rows``.
    """
    if parts > size:
        raise ValueError(f"a batch of {size} cannot be accumulated in {parts} parts. Lower --accumulation to {size}.")
    for numbers in torch.arange(size).tensor_split(parts):
        first, last = int(numbers[0]), int(numbers[-1]) + 1
        part = {key: _rows_of(value, first, last, size) for key, value in batch.items()}
        yield part, (last - first) / size


def _rows_of(value: Any, first: int, last: int, size: int) -> Any:
    if isinstance(value, Handover):
        return value.part(first, last)
    return value[first:last] if isinstance(value, Tensor) and value.ndim > 0 and len(value) == size else value


def rows(batch: dict) -> int:
    """Number of rows of a loader's batch, which is the length of all tensors in it.

    Raises:
        ValueError: the tensors have no rows, or not the same number.
    """
    lengths = {key: len(value) for key, value in batch.items() if isinstance(value, Tensor) and value.ndim > 0}
    if len(set(lengths.values())) != 1:
        raise ValueError(
            f"the tensors of a training batch have {lengths or 'no'} rows, expected one number of rows for all. What "
            "is the same for every row belongs into the objective."
        )
    return next(iter(lengths.values()))


def average_over_processes(parameters: Sequence[nn.Parameter], others: Sequence[Tensor]) -> None:
    """Average gradients and other tensors over all processes, in place, by one flattened all-reduce.

    The losses travel with the gradients, so that a loss that is not finite in one process stops all of them, and so do
    the signals that ask for a stop.
    """
    world_size = rank_and_world_size()[1]
    if world_size == 1:
        return
    for parameter in parameters:
        if parameter.grad is None:  # unused here, but perhaps not in another process
            parameter.grad = torch.zeros_like(parameter)
    tensors = [parameter.grad for parameter in parameters] + list(others)
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    dist.all_reduce(flat)
    flat /= world_size
    averages = [a.view_as(t) for a, t in zip(flat.split([t.numel() for t in tensors]), tensors, strict=True)]
    torch._foreach_copy_(tensors, averages)


def share_weights(networks: Iterable[nn.Module], ema: nn.Module | None) -> None:
    """Give every process the parameters and buffers of process 0."""
    if rank_and_world_size()[1] == 1:
        return
    for network in [*networks, *([] if ema is None else [ema])]:
        for tensor in (*network.parameters(), *network.buffers()):
            dist.broadcast(tensor.detach(), src=0)


def _to_device(batch: dict, device: torch.device) -> dict:
    """Plain tensors on the device: networks have no use for MONAI's metadata, and it costs time on every operation."""
    moved = {}
    for key, value in batch.items():
        if isinstance(value, Tensor):
            value = (value.as_tensor() if hasattr(value, "as_tensor") else value).to(device, non_blocking=True)
        moved[key] = value
    return moved
