"""On what a measurement was made."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import monai
import torch


def describe_machine(device: torch.device) -> dict[str, Any]:
    """Processor, cores, memory in GB (2^30 bytes), load when asked, and the GPU if it is one that is measured."""
    machine: dict[str, Any] = {
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "ram_gb": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "load_at_start": round(os.getloadavg()[0], 2),
        "system": platform.platform(),
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        machine |= {"gpu": properties.name, "gpu_memory_gb": round(properties.total_memory / 2**30, 1)}
    return machine


def describe_versions(device: torch.device) -> dict[str, str]:
    """Versions of Python, torch and MONAI, and of CUDA if it is used."""
    versions = {"python": platform.python_version(), "torch": torch.__version__, "monai": monai.__version__}
    return versions | ({"cuda": str(torch.version.cuda)} if device.type == "cuda" else {})


def clock_for(device: torch.device, threads: int) -> Callable[[], float]:
    """The clock in seconds that work is timed by: one thread's own time on a CPU is what it is on an idle machine,
    whatever else runs; all else is timed by the wall clock.
    """
    return time.process_time if device.type == "cpu" and threads == 1 else time.perf_counter


def cpu_model() -> str:
    """The processor's name as the system gives it."""
    info = Path("/proc/cpuinfo")
    names = [line.split(":", 1)[1].strip() for line in _lines(info) if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []
