"""Long work in a process of its own that ends with the one that started it, even if that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from typing import Any

MARK = "END_WITH_STANDARD_INPUT"
"""Variable of the environment by which a process knows that its standard input is open as long as its parent lives."""


def start(command: Sequence[str], env: Mapping[str, str] | None = None, **options: Any) -> subprocess.Popen:
    """Start a command that calls `end_with_parent`, as ``python -m monai.bundle run`` does for every bundle.

    Its standard input is a pipe of which nobody else holds the other end, so that the system closes it when this
    process ends, in whatever way, on every platform.

    Args:
        command: program and arguments.
        env: environment of the process; None for this one's.
        options: further arguments of ``subprocess.Popen``.
    """
    environment = {**(os.environ if env is None else env), MARK: "1"}
    return subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, **options)


def end_with_parent() -> None:
    """Send this process SIGTERM, as schedulers do, once the one that began it by `start` is gone; else do nothing."""
    if os.environ.pop(MARK, None):  # which processes of this one are not to take for theirs
        threading.Thread(target=_wait_and_end, daemon=True).start()


def _wait_and_end() -> None:
    os.read(0, 1)  # nothing is ever written: it returns when the pipe is closed
    os.kill(os.getpid(), signal.SIGTERM)
