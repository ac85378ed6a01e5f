"""A run that is asked to stop ends between two iterations, not in the middle of one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable, Sequence
from functools import partial
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

SIGNALS = (signal.SIGTERM, signal.SIGINT)
"""What schedulers send before they kill a job, and Ctrl-C."""


class StopSignals:
    """A context in which SIGTERM and Ctrl-C are noted, for the run to look at when it can stop.

    A second Ctrl-C interrupts at once. Signals that the process was started to ignore (``nohup``) stay ignored, and in
    another thread than the main one, where Python cannot take signals, nothing changes.

    Attributes:
        received: the number of the first signal, 0 before there is one.
    """

    def __init__(self) -> None:
        self.received = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            taken = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
            self._before = {number: signal.signal(number, self._note) for number in taken}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        self.received = self.received or number
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def tensor(self, device: torch.device) -> Tensor:
        """[2]: 1 for the signal of ``SIGNALS`` that was received. Summed or averaged over processes it says of all."""
        asked = torch.tensor([float(self.received == number) for number in SIGNALS])
        return asked.to(device, non_blocking=True)


def received_by_any(shared: Sequence[float]) -> int:
    """The signal that a process received, 0 if none did, from the average of all ``StopSignals.tensor``."""
    return next((number for number, share in zip(SIGNALS, shared, strict=True) if share > 0), 0)


def shield_workers(loader: Iterable) -> None:
    """Let a data loader's workers ignore SIGTERM and Ctrl-C.

    Schedulers and terminals send them to all processes of a run, and a worker that ends takes the running iteration
    with it. Workers end with the process that they work for.
    """
    if isinstance(loader, DataLoader) and getattr(loader.worker_init_fn, "func", None) is not _start_worker:
        loader.worker_init_fn = partial(_start_worker, loader.worker_init_fn)


def _start_worker(start: Any, worker: int) -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    if start is not None:
        start(worker)
