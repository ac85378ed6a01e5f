"""What a training step could reach: the rate of its own convolutions alone, beside that of the whole step."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from tools.benchmark.case import Case
from tools.benchmark.machine import clock_for
from tools.benchmark.processes import OK, Outcome
from tools.benchmark.training import build_trainer
from tools.engines.trainer import AlternatingTrainer
from tools.files import whole_file

LEAST_SECONDS, LEAST_TIMES = 0.2, 3
"""How long, and how often, a convolution is repeated alone; the fastest time counts."""

CONVOLUTIONS = {
    "aten::convolution": torch.ops.aten.convolution.default,
    "aten::convolution_backward": torch.ops.aten.convolution_backward.default,
}
"""Operations whose rate is the limit: all others of these networks have few multiplications."""

KINDS = {
    "convolutions": ("convolution", "mkldnn_", "cudnn_conv"),
    "casts and copies": ("copy_", "_to_copy", "clone", "contiguous", "aten::cat", "aten::fill_", "aten::zero_"),
    "normalisation": ("group_norm", "batch_norm", "linalg_vector_norm", "norm"),
    "Adam": ("adam", "foreach"),
    "matrix products": ("addmm", "aten::mm", "aten::bmm", "aten::mv", "aten::addmv"),
    "activations": ("relu", "tanh", "sigmoid", "threshold"),
}
"""Kinds of work by parts of the names of torch's operators, the first that fits; all else is "other"."""


@dataclass(frozen=True)
class Call:
    """A convolution of a step, forward or backward, without its values.

    Attributes:
        name: name of the operator.
        tensors: shape, strides and dtype of each tensor among its arguments, by their place.
        others: other arguments by their place.
    """

    name: str
    tensors: tuple[tuple[int, tuple[int, ...], tuple[int, ...], torch.dtype], ...]
    others: tuple[tuple[int, Any], ...]

    @classmethod
    def of(cls, name: str, arguments: Sequence[Any]) -> Call:
        """The call with these arguments."""
        tensors, others = [], []
        for place, value in enumerate(arguments):
            if isinstance(value, Tensor):
                tensors.append((place, tuple(value.shape), value.stride(), value.dtype))
            else:
                others.append((place, tuple(value) if isinstance(value, list | tuple) else value))
        return cls(name, tuple(tensors), tuple(others))

    def arguments(self, device: torch.device) -> list[Any]:
        """Arguments of this kind with random values."""
        found = {place: list(value) if isinstance(value, tuple) else value for place, value in self.others}
        for place, shape, strides, dtype in self.tensors:
            tensor = torch.empty_strided(shape, strides, dtype=dtype, device=device)
            found[place] = tensor.copy_(torch.randn(shape))
        return [found[place] for place in range(len(found))]


class Recorder(TorchDispatchMode):
    """A mode that counts the convolutions of all that runs in it.

    Attributes:
        calls: number of times that each was called.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[Call] = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        for name, operator in CONVOLUTIONS.items():
            if function is operator:
                self.calls[Call.of(name, args)] += 1
        return function(*args, **(kwargs or {}))


@dataclass(frozen=True)
class Found:
    """What came out for one precision.

    Attributes:
        seconds: seconds of a training step.
        operations: multiplications and additions of a step, in all its operators.
        convolutions: multiplications and additions of its convolutions.
        alone: seconds of all its convolutions, forward and both backward passes, each alone and at its fastest.
        parts: share of the step's time by kind of work, as profiled.
    """

    seconds: float
    operations: int
    convolutions: int
    alone: float
    parts: dict[str, float] = field(default_factory=dict)

    @property
    def limit(self) -> float:
        """Operations per second that the convolutions reach alone."""
        return self.convolutions / self.alone

    @property
    def rate(self) -> float:
        """Operations per second that the step reaches."""
        return self.operations / self.seconds

    @property
    def share(self) -> float:
        """The rate of the step as a share of the limit."""
        return self.rate / self.limit


def measure_limit(case: Case, device: torch.device) -> dict[str, Any]:
    """Measure a step and its convolutions, in this process; "value" is its share, and "message" all of it as JSON."""
    trainer = build_trainer(
        case.bundle, case.image_size, case.batch_size, case.precision, device, case.overrides, case.batch
    )
    clock = clock_for(device, case.threads)
    steps = _Steps(trainer, case.warmup, case.steps, clock)
    steps.run()
    alone = sum(count * seconds_alone(call, device, clock) for call, count in steps.calls.items())
    found = Found(steps.seconds, steps.operations, steps.convolutions, alone, steps.parts)
    return {"value": found.share, "message": json.dumps(asdict(found))}


class _Steps:
    """A run of some steps that are timed, then one that is profiled, and one whose operations are counted."""

    def __init__(self, trainer: AlternatingTrainer, warmup: int, steps: int, clock: Callable[[], float]) -> None:
        self.trainer, self.warmup, self.steps, self.clock = trainer, warmup, steps, clock
        self.seconds, self.operations, self.convolutions = 0.0, 0, 0
        self.parts: dict[str, float] = {}
        self.calls: Counter[Call] = Counter()

    def run(self) -> None:
        trainer, last = self.trainer, self.warmup + self.steps
        times: list[float] = []

        def look(engine: Engine) -> None:
            _wait(engine.state.device)
            times.append(self.clock())

        trainer.add_event_handler(Events.ITERATION_STARTED(once=self.warmup + 1), look)
        trainer.add_event_handler(Events.ITERATION_COMPLETED(once=last), look)
        activities = [torch.profiler.ProfilerActivity.CPU]
        if torch.cuda.is_available():
            activities.append(torch.profiler.ProfilerActivity.CUDA)
        profile, recorder = torch.profiler.profile(activities=activities), Recorder()
        counter = FlopCounterMode(display=False)
        self._around(last + 1, profile)
        self._around(last + 2, counter)
        self._around(last + 3, recorder)
        trainer.state.epoch_length = last + 3
        trainer.run()
        self.seconds = (times[1] - times[0]) / self.steps
        self.parts = parts_of(profile.key_averages(), on_gpu=trainer.state.device.type == "cuda")
        counts = counter.get_flop_counts()["Global"]
        self.operations = sum(counts.values())
        self.convolutions = sum(n for operator, n in counts.items() if "convolution" in str(operator))
        self.calls = recorder.calls

    def _around(self, iteration: int, context: Any) -> None:
        self.trainer.add_event_handler(Events.ITERATION_STARTED(once=iteration), lambda _: context.__enter__())
        self.trainer.add_event_handler(
            Events.ITERATION_COMPLETED(once=iteration), lambda _: context.__exit__(None, None, None)
        )


def seconds_alone(call: Call, device: torch.device, clock: Callable[[], float] = time.perf_counter) -> float:
    """Seconds that a convolution takes alone, of several times the least."""
    arguments, operator = call.arguments(device), CONVOLUTIONS[call.name]
    best, total, times = float("inf"), 0.0, 0
    with torch.no_grad():
        operator(*arguments)
        while total < LEAST_SECONDS or times < LEAST_TIMES:
            _wait(device)
            began = clock()
            operator(*arguments)
            _wait(device)
            seconds = clock() - began
            best, total, times = min(best, seconds), total + seconds, times + 1
    return best


def parts_of(averages: Sequence[Any], on_gpu: bool) -> dict[str, float]:
    """Share of the time by kind of work, the largest first."""
    spent: dict[str, float] = {}
    for event in averages:
        own = event.self_device_time_total if on_gpu else event.self_cpu_time_total
        spent[kind_of(event.key)] = spent.get(kind_of(event.key), 0.0) + own
    total = sum(spent.values())
    return {kind: seconds / total for kind, seconds in sorted(spent.items(), key=lambda part: -part[1])}


def kind_of(operator: str) -> str:
    """Kind of work of an operator of torch, by its name."""
    name = operator.lower()
    return next((kind for kind, words in KINDS.items() if any(word in name for word in words)), "other")


def has_bf16(device: torch.device) -> bool:
    """Return whether a device multiplies numbers of bf16 itself."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def markdown(found: Sequence[tuple[Case, Outcome]], about: Mapping[str, Any]) -> str:
    """The measurements as a table, and what the steps' time is spent in."""
    machine = about["machine"]
    lines = [
        f"{machine.get('gpu', machine['cpu'])}, threads: {about['settings']['threads']}, load at the start: "
        f"{machine['load_at_start']}. The limit is the rate of the step's own convolutions, each alone.",
        "",
        "| bundle | size | batch | precision | s per step | TFLOP per step | TFLOP/s | limit, TFLOP/s | share of it |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    spent = ["", "Share of a step's time, profiled:", ""]
    for case, outcome in found:
        name = f"| {case.bundle} | {case.image_size} | {case.batch_size} | {case.precision} |"
        if outcome.status != OK:
            lines.append(f"{name} {outcome.status} |" + " |" * 4)
            continue
        of = Found(**json.loads(outcome.message))
        tera = [f"{number / 1e12:.3g}" for number in (of.operations, of.rate, of.limit)]
        lines.append(f"{name} {of.seconds:.3g} | {' | '.join(tera)} | {of.share:.0%} |")
        parts = ", ".join(f"{kind} {share:.0%}" for kind, share in of.parts.items())
        spent.append(f"- {case.bundle} at {case.image_size}, {case.precision}: {parts}")
    return "\n".join([*lines, *spent]) + "\n"


def write(folder: Path, found: Sequence[tuple[Case, Outcome]], about: Mapping[str, Any]) -> str:
    """Write limit.md and limit.json, each as a whole, and return the text of the first."""
    text = markdown(found, about)
    rows = [
        {**asdict(case), "status": outcome.status, **(json.loads(outcome.message) if outcome.status == OK else {})}
        for case, outcome in found
    ]
    for name, content in (("limit.md", text), ("limit.json", json.dumps({**about, "rows": rows}, indent=2) + "\n")):
        with whole_file(folder / name) as partial:
            partial.write_text(content, encoding="utf-8")
    return text


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
