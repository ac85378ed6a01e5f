"""Cases in fresh processes, one after the other, and what became of them."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tools.benchmark.case import Case

logger = logging.getLogger(__name__)

REPOSITORY = Path(__file__).resolve().parents[2]

TRAINING = ("memory", "speed", "limit", "training_difference", "device_training_difference")
"""Tables of `Case` for which a batch is trained on."""

OK, OUT_OF_MEMORY, FAILED = "ok", "out of memory", "failed"


@dataclass(frozen=True)
class Outcome:
    """What became of a case.

    Args:
        status: ``OK``, ``OUT_OF_MEMORY`` or ``FAILED``.
        value: measured value, None unless OK.
        before: MB held before the case began, where that was measured.
        peak: MB held at most, where that was measured.
        message: message of the process, unless OK; the profile of a case that was profiled.
    """

    status: str
    value: float | None = None
    before: float | None = None
    peak: float | None = None
    message: str = ""


def run_case(case: Case) -> Outcome:
    """Measure a case in a process of its own, which inherits no peak, cache or allocator from another."""
    command = [sys.executable, "-m", "tools.benchmark", json.dumps(asdict(case))]
    return judge(subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True))


def judge(ended: subprocess.CompletedProcess) -> Outcome:
    """Read a process's result, or from the way it ended why there is none."""
    if ended.returncode == -signal.SIGKILL:
        return Outcome(OUT_OF_MEMORY, message="killed by the system, as is done when memory runs out")
    if ended.returncode != 0:
        return Outcome(FAILED, message=ended.stderr.strip() or f"exit status {ended.returncode} without a message")
    result = json.loads(ended.stdout)
    if "out_of_memory" in result:
        return Outcome(OUT_OF_MEMORY, message=result["out_of_memory"])
    return Outcome(OK, **result)


def schedule(
    tables: Sequence[str],
    bundles: Sequence[str],
    image_sizes: Sequence[int],
    batch_sizes: Sequence[int],
    speed_batch_size: int,
    rounds: int,
    **common: Any,
) -> list[Case]:
    """All cases in the order in which they run; ``common`` is what they share, fields of ``Case``.

    Bundles alternate: those that are compared run one directly after the other, in every round anew, so that a
    machine which is slower for a while is slower for all of them.
    """
    memory = [
        Case("memory", bundle, size, batch, **common)
        for size in image_sizes
        for batch in batch_sizes
        for bundle in bundles
    ]
    speed = [
        Case("speed", bundle, size, speed_batch_size, **common)
        for size in image_sizes
        for _ in range(rounds)
        for bundle in bundles
    ]
    return [*(memory if "memory" in tables else []), *(speed if "speed" in tables else [])]


class FirstBatches:
    """Runs cases of training with the first batch of the bundle's own loader.

    A batch is made once for all cases that it is for, in a process of its own: making it neither adds to the memory
    that they measure nor to their time. Leaving the context removes the batches.
    """

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="benchmark-")
        self._folders: dict[str, Path] = {}
        self._made: dict[Path, Outcome] = {}

    def __enter__(self) -> FirstBatches:
        return self

    def __exit__(self, *error: object) -> None:
        self._folder.cleanup()

    def run(self, case: Case) -> Outcome:
        """What became of the case, or of its batch if there is none."""
        if case.table not in TRAINING:
            return run_case(case)
        data = json.dumps([case.bundle, case.overrides], sort_keys=True)
        folder = self._folders.setdefault(data, Path(self._folder.name) / str(len(self._folders)))
        path = folder / f"{case.image_size}.pt"
        if path not in self._made:
            folder.mkdir(exist_ok=True)
            own = {"overrides": case.overrides, "threads": case.threads, "batch": str(path)}
            self._made[path] = run_case(Case("batch", case.bundle, case.image_size, 0, **own))
        made = self._made[path]
        return run_case(replace(case, batch=str(path))) if made.status == OK else made


def run_cases(cases: Iterable[Case]) -> Iterator[tuple[Case, Outcome]]:
    """Each case with its outcome, as it ends. What did not work in one round is not tried in the next."""
    hopeless: dict[str, Outcome] = {}
    with FirstBatches() as batches:
        for case in cases:
            outcome = hopeless.get(str(case)) or batches.run(case)
            if outcome.status != OK and str(case) not in hopeless:
                hopeless[str(case)] = outcome
                logger.warning("%s: %s\n%s", case, outcome.status, outcome.message)
            yield case, outcome
