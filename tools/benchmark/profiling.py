"""Where the time goes: what a figure of the comparison is made of."""

from __future__ import annotations

import cProfile
import io
import pstats
from collections.abc import Callable
from typing import TypeVar

import torch

T = TypeVar("T")

LINES = 25

STEPS = "transforms|readers|inferer"
"""Parts of the paths of the Python functions that are shown: what a chain of preprocessing and an inferer call."""


def profiled(act: Callable[[], T]) -> tuple[T, str]:
    """Run an action; return its result, and a text with the time that torch's operators and the project's steps took in
    it.
    """
    activities = [torch.profiler.ProfilerActivity.CPU]
    if torch.cuda.is_available():
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    functions = cProfile.Profile()
    with torch.profiler.profile(activities=activities) as operators:
        result = functions.runcall(act)
    text = io.StringIO()
    pstats.Stats(functions, stream=text).sort_stats("cumulative").print_stats(STEPS, LINES)
    by = "self_cuda_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
    return result, operators.key_averages().table(sort_by=by, row_limit=LINES) + "\n" + text.getvalue()
