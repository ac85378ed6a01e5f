"""The training loop of every family: an ordered list of updates on each batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from ignite.engine import Events
from monai.engines import SupervisedTrainer
from monai.engines.utils import IterationEvents
from monai.handlers import MLFlowHandler
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from tools.engines.batches import rows, split, to_device
from tools.engines.compiled import check_called, compile_networks
from tools.engines.draws import Draws
from tools.engines.ema import ExponentialMovingAverage
from tools.engines.lock import release_folders
from tools.engines.passes import Passes
from tools.engines.processes import average_over_processes, forget_unused, rank_and_world_size, share_weights
from tools.engines.stopping import StopSignals, received_by_any, shield_workers
from tools.engines.update import Update, all_terms
from tools.engines.withholding import Withheld, private_among

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

    Networks, optimizers and the loader can change on the way, as in progressive growing (Karras et al. 2018):
    ``prepare`` is called before each batch, with the trainer and the number of images seen so far, and makes them what
    they are from there on; by what the networks have for it, ``ExponentialMovingAverage.change``, ``set_updates`` and
    ``set_loader``. What it makes follows from that number alone, whatever there was before, and where all is as it
    should be it does nothing: a resumed run calls it before it loads a checkpoint. Epochs keep their length.

    Args:
        device: device of the networks.
        max_epochs: number of epochs.
        train_data_loader: batches, dictionaries whose tensors are all of shape [B, ...], and other values.
        updates: updates in the order in which they run.
        draw: (batch, Draws) -> batch with all random numbers of the iteration, the objective's ``draw``.
        seed: seed of the draws.
        precision: "fp32", "bf16" or "fp16" (autocast; fp16 scales its losses).
        compile: True compiles what losses call of the networks (``compile_networks``) by TorchInductor, which needs a
            C++ compiler, and minutes before the first step: for long runs. Another backend of ``torch.compile`` goes by
            its name. Validation, whose shapes differ, is not compiled.
        accumulation: number of parts into which a batch is split; they pass one after the other before one step: less
            memory, the same gradient.
        ema: average of a network's weights, or several, moved after each iteration that trains that network.
        epoch_length: iterations per epoch, the loader's length if None.
        train_handlers: MONAI or ignite handlers.
        network: network that inference uses; None takes the one that ``ema`` averages, or else the first of the first
            update.
        prepare: function of trainer and number of images, see above.

    Attributes:
        images: number of images that were seen, in all processes together.
        prepared: number of images for which ``prepare`` was called last, that of before the last batch.
        averages: averages of ``ema``, as a list.
        networks: all networks that are trained, by name.
        length: function that gives the iterations of the whole run, where something else than its epochs ends it, such
            as a ``Budget``; None: all of its epochs.
    """

    length: Callable[[], int] | None = None  # set by handlers, which are attached before all else

    def __init__(
        self,
        device: str | torch.device,
        max_epochs: int,
        train_data_loader: Iterable,
        updates: Sequence[Update],
        draw: Callable[[dict, Draws], dict],
        seed: int = 0,
        precision: str = "fp32",
        compile: bool | str | Callable = False,
        accumulation: int = 1,
        ema: ExponentialMovingAverage | Sequence[ExponentialMovingAverage] | None = None,
        epoch_length: int | None = None,
        train_handlers: Sequence | None = None,
        network: nn.Module | None = None,
        prepare: Callable[[AlternatingTrainer, int], object] | None = None,
    ) -> None:
        if precision not in PRECISIONS:
            raise ValueError(f"precision is {precision!r}, expected one of {list(PRECISIONS)}.")
        if accumulation < 1:
            raise ValueError(f"accumulation is {accumulation}, expected 1 or more.")
        averages = [] if ema is None else [ema] if isinstance(ema, ExponentialMovingAverage) else list(ema)
        check_updates(updates, averages)
        if network is None:
            network = averages[0].source[0] if averages else next(iter(updates[0].networks.values()))
        super().__init__(
            device=device,
            max_epochs=max_epochs,
            train_data_loader=train_data_loader,
            network=network,
            optimizer=updates[0].optimizer,
            loss_function=updates[0].loss,
            epoch_length=epoch_length,
            train_handlers=[_Epochs(), *(train_handlers or [])],  # rates are those of the next epoch when it is saved
            decollate=False,
        )
        self.draw = draw
        self.seed = seed
        self.precision = precision
        self.compile = compile
        self.accumulation = accumulation
        self.averages = averages
        self.prepare = prepare
        self.prepared = 0
        self.images: int | None = 0  # None: resumed from an earlier version's checkpoint, which does not say
        self.passes = Passes(train_data_loader)
        self.scalers: dict[str, torch.amp.GradScaler] = {}
        self._overflows: dict[str, int] = {}
        self._compiled: list = []
        self.set_updates(updates)
        self._compile()
        self.trackers = [handler for handler in train_handlers or () if isinstance(handler, MLFlowHandler)]
        self.signals = StopSignals()
        self.stopping = 0
        self._asked = 0  # the signal that one of several processes has received
        self.add_event_handler(Events.STARTED, self._started)
        # after all handlers that were given
        self.add_event_handler(Events.ITERATION_COMPLETED, self._iteration_completed)
        self.add_event_handler(Events.EPOCH_COMPLETED, self._epoch_completed)
        shield_workers(train_data_loader)

    def set_updates(self, updates: Sequence[Update]) -> None:
        """Train by these updates from now on. One of a name that there was before goes on with its scale in fp16."""
        check_updates(updates, self.averages)
        self.private = private_among(updates, self.accumulation, self.precision)
        self.updates = list(updates)
        self.optimizer = updates[0].optimizer
        self.networks = {name: network for update in updates for name, network in update.networks.items()}
        for update in updates:
            if update.name not in self.scalers:
                scaler = torch.amp.GradScaler(self.state.device.type, enabled=self.precision == "fp16")
                self.scalers[update.name] = scaler
        names = [update.name for update in updates]
        self.scalers = {name: self.scalers[name] for name in names}
        self._overflows = {name: self._overflows.get(name, 0) for name in names}

    def set_loader(self, loader: Iterable) -> None:
        """Take the batches of this loader from the next one on."""
        self.data_loader = loader
        self.passes.replace(loader)
        shield_workers(loader)

    def prepare_for(self, images: int) -> None:
        """Let networks, optimizers and loader be what they are after so many images."""
        self.prepared = images
        if self.prepare is None:
            return
        before = self._parameters()
        self.prepare(self, images)
        if [id(one) for one in self._parameters()] != [id(one) for one in before]:
            self._compile()
            self._share_weights()

    def _parameters(self) -> list[nn.Parameter]:
        return [parameter for network in self.networks.values() for parameter in network.parameters()]

    def _compile(self) -> None:
        if self.compile:
            self._compiled = compile_networks(self.networks, "inductor" if self.compile is True else self.compile)

    def _share_weights(self) -> None:
        share_weights([*self.networks.values(), *self.averages], self.state.device)

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
        self._share_weights()
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
        total = engine.state.max_epochs * engine.state.epoch_length if self.length is None else self.length()
        rank, world_size = rank_and_world_size()
        size = rows(batchdata)
        # of private batches not even the size may show
        images = (size if self.private is None else self.private.private.batch_size) * world_size
        self.images = iteration * images if self.images is None else self.images
        draws = Draws(self.seed, iteration, engine.state.device, rank, world_size, total, self.images)
        batch = self.draw(to_device(batchdata, engine.state.device), draws)
        losses: dict[str, float] = {}
        due = []
        for update in self.updates:
            if not update.is_due(iteration):
                continue
            if update.rests is not None:
                rests = update.rests(batch)
                losses[f"{update.name}/rests"] = float(rests)
                if rests:
                    continue
            seen = batch if self.private in (None, update) else Withheld(batch, update.name, self.private.name)
            losses |= self._run(update, seen, size)
            due.append(update)
        for average in self.averages:
            if any(average.source[0] in update.networks.values() for update in due):
                average.update(images, self.images)
        self.images += images
        if self._compiled and len(due) == len(self.updates):
            check_called(self._compiled)
            self._compiled = []
        engine.fire_event(IterationEvents.MODEL_COMPLETED)
        return [{"loss": losses}]

    def _run(self, update: Update, batch: dict, rows: int) -> dict[str, float]:
        """Minimise one loss on a batch of so many rows by one step."""
        for name, network in self.networks.items():
            network.requires_grad_(name in update.networks)
        update.optimizer.zero_grad(set_to_none=True)
        scaler = self.scalers[update.name]

        terms = self._put_gradient(update, batch, rows, scaler)
        asked = self.signals.tensor(self.state.device)
        had = average_over_processes(update.parameters, [*terms.values(), asked])
        scaler.unscale_(update.optimizer)
        norm = get_total_norm([p.grad for p in update.parameters if p.grad is not None]).to(self.state.device)

        # the only time that an update waits for its device
        found = torch.cat([torch.stack([*terms.values(), norm, *asked]), had]).tolist()
        *numbers, length, sigterm, sigint = found[: len(terms) + 3]
        if rank_and_world_size()[1] > 1:
            self._asked = received_by_any((sigterm, sigint))
            forget_unused(update.parameters, found[len(terms) + 3 :])
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
        return {update.name: total} | {f"{update.name}/{name}": value for name, value in values.items()}

    def _put_gradient(self, update: Update, batch: dict, rows: int, scaler: torch.amp.GradScaler) -> dict[str, Tensor]:
        """Give an update's parameters their gradient; returns the terms of its loss."""
        if update.private is not None:
            losses = lambda part: all_terms(self._losses(update, part))  # noqa: E731
            return update.private.put_gradient(update.parameters, update.gain, batch, rows, losses)
        terms: dict[str, Tensor] = {}
        for part, share in split(batch, rows if update.one_by_one else self.accumulation, rows):
            for losses in self._losses(update, part):
                scaler.scale(share * update.gain * sum(losses.values())).backward()
                for name, loss in losses.items():
                    terms[name] = terms.get(name, 0) + share * loss.detach().float()
        return terms

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


class _Epochs:
    """Handler of what a trainer does itself before a batch and after an epoch, ahead of all other handlers."""

    def attach(self, engine: AlternatingTrainer) -> None:
        # at the start of an epoch there may be no pass over a loader yet, which would begin in vain
        engine.add_event_handler(Events.EPOCH_STARTED | Events.GET_BATCH_STARTED, self.prepare)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.step_schedules)

    @staticmethod
    def prepare(engine: AlternatingTrainer) -> None:
        engine.prepare_for(engine.images or 0)

    @staticmethod
    def step_schedules(engine: AlternatingTrainer) -> None:
        for update in engine.updates:
            if update.schedule is not None:
                update.schedule.step()


def check_updates(updates: Sequence[Update], averages: Sequence[ExponentialMovingAverage]) -> None:
    """Look whether updates can be run one after the other.

    Raises:
        ValueError: there are none, or two of one name; two networks have one name, or a network has two; an optimizer
            has two schedules; or an average is of a network that none of them trains.
    """
    names = [update.name for update in updates]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"expected updates with different names, got {names}.")
    named: dict[str, nn.Module] = {}
    scheduled: dict[int, str] = {}
    for update in updates:
        for name, network in update.networks.items():
            named.setdefault(name, network)
            others = [other for other, one in named.items() if one is network]
            if named[name] is not network or others != [name]:
                raise ValueError(
                    f"update '{update.name}': its network '{name}' has another name in another update, or that has "
                    "another network of this name. Give a network one name."
                )
        if update.schedule is not None:
            other = scheduled.setdefault(id(update.optimizer), update.name)
            if other != update.name:
                raise ValueError(
                    f"updates '{other}' and '{update.name}' share an optimizer, and each has a schedule of its rate. "
                    "Give it to one of them."
                )
    for average in averages:
        if not any(average.source[0] is network for network in named.values()):
            raise ValueError(
                f"ema averages a {type(average.source[0]).__name__} that no update trains. Give it one of the "
                f"networks of the updates {names}."
            )
