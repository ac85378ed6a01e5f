"""What one case measures, in a process of its own."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events

from tools.benchmark.batches import write_first_batch
from tools.benchmark.case import Case
from tools.benchmark.equality import (
    device_output_difference,
    device_training_difference,
    generation_difference,
    preparation_difference,
    training_difference,
    translation_difference,
)
from tools.benchmark.inference import generation, preparation, translation
from tools.benchmark.limit import measure_limit
from tools.benchmark.machine import clock_for
from tools.benchmark.profiling import profiled
from tools.benchmark.training import build_trainer
from tools.engines.trainer import AlternatingTrainer
from tools.errors import causes

MB = 2**20
"""Bytes in the MB of all figures; the tools by which GPU memory is usually read count so."""

NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "ALLOC_FAILED")
"""How the allocators of torch, cuDNN and cuBLAS say it where they raise no class of their own."""


def first_batch(case: Case, device: torch.device) -> float:
    """The rows of the batch that goes into the case's file, on the CPU."""
    return write_first_batch(case.bundle, case.image_size, case.overrides, Path(case.batch))


MEASURES: dict[str, Callable[[Case, torch.device], float]] = {
    "batch": first_batch,
    "generation": generation,
    "translation": translation,
    "preparation": preparation,
    "training_difference": training_difference,
    "generation_difference": generation_difference,
    "translation_difference": translation_difference,
    "preparation_difference": preparation_difference,
    "device_training_difference": device_training_difference,
    "device_output_difference": device_output_difference,
}


def measure(case: Case) -> dict[str, Any]:
    """The case's "value": MB for "memory", iterations per second for "speed", else what the measure says.

    With it come "before" and, but for "memory", "peak": MB that the process held before anything of the bundle was
    built, and at most.
    """
    torch.set_num_threads(case.threads)
    if case.tf32 is not None:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = case.tf32
    device = torch.device(case.device)
    before = peak_memory(device)
    if case.table in MEASURES:
        value = MEASURES[case.table](case, device)
        return {"value": value, "before": before / MB, "peak": peak_memory(device) / MB}
    if case.table == "limit":
        return measure_limit(case, device) | {"before": before / MB, "peak": peak_memory(device) / MB}
    overrides = case.overrides | ({"implementation": "reference"} if case.reference else {})
    trainer = build_trainer(
        case.bundle, case.image_size, case.batch_size, case.precision, device, overrides, case.batch
    )
    if case.table == "speed":
        value = iterations_per_second(trainer, case.steps, case.warmup, clock_for(device, case.threads))
        return {"value": value, "before": before / MB, "peak": peak_memory(device) / MB}
    # until every update, also a lazy one, has run again when all optimizers hold their state
    train(trainer, iterations=1 + max(update.every for update in trainer.updates))
    return {"value": peak_memory(device) / MB, "before": before / MB}


def iterations_per_second(
    trainer: AlternatingTrainer, steps: int, warmup: int, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Speed over ``steps`` iterations that follow ``warmup`` others, from device idle to device idle."""
    times: list[float] = []

    def look_at_the_clock(engine: Engine) -> None:
        if engine.state.device.type == "cuda":
            torch.cuda.synchronize(engine.state.device)
        times.append(clock())

    trainer.add_event_handler(Events.ITERATION_STARTED(once=warmup + 1), look_at_the_clock)
    trainer.add_event_handler(Events.ITERATION_COMPLETED(once=warmup + steps), look_at_the_clock)
    train(trainer, iterations=warmup + steps)
    started, ended = times
    return steps / (ended - started)


def train(trainer: AlternatingTrainer, iterations: int) -> None:
    """Run one epoch of so many iterations."""
    trainer.state.epoch_length = iterations
    trainer.run()


def peak_memory(device: torch.device) -> int:
    """Bytes: the most that torch's tensors took on a GPU so far, or on a CPU the process's peak resident set."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    if status.exists():
        # Linux lets a new program inherit ru_maxrss of the one that started it; this peak is the program's own
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    import resource  # not on Windows, where the other commands work without it

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, others kB


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error, or one from which it was raised, says that memory ran out."""
    return any(
        isinstance(cause, MemoryError | torch.OutOfMemoryError) or any(words in str(cause) for words in NO_MEMORY)
        for cause in causes(error)
    )


def attempt(case: Case) -> dict[str, Any]:
    """Return what was measured, or "out_of_memory" with the allocator's words. Other errors are raised."""
    try:
        return measure(case)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return {"out_of_memory": str(causes(error)[-1])}


def answer(case: Case) -> dict[str, Any]:
    """`attempt`, and as "message" the profile if the case asks for one."""
    if not case.profile:
        return attempt(case)
    result, message = profiled(lambda: attempt(case))
    return result | {"message": message}
