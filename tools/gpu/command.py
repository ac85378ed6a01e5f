"""The command: what is checked and measured, one part after the other, and the report after each line anew."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from tools.benchmark.configs import bundle_names
from tools.benchmark.machine import describe_machine, describe_versions
from tools.benchmark.options import chosen_device, further_entries, names, number, numbers
from tools.benchmark.processes import FirstBatches
from tools.benchmark.training import learnable_parameters
from tools.gpu import plan
from tools.gpu.life import Step, life, one_of_each_family
from tools.gpu.report import PARTS, Line, life_line, measured_line, write_report


def gpu(
    parts: str | Sequence[str] = "life,equality,speed,memory,generation",
    bundles: str | Sequence[str] | None = None,
    image_sizes: int | str | Sequence[int] = (128, 256),
    batch_sizes: int | str | Sequence[int] = (2, 4, 6),
    generation_sizes: int | str | Sequence[int] = (256, 512),
    equality_size: int = 64,
    steps: int = 20,
    device: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    output_dir: str = "benchmark/gpu",
) -> None:
    """Check and measure on a GPU of CUDA what is claimed of it; without one, say so and end well.

    Prints a table for each part and writes them as output_dir/gpu.md and .json, after every line anew: life (training,
    resuming, inference, evaluation, bf16, fp16 and torchrun, by the commands that users type, at a small size),
    equality (losses, gradients and outputs beside those of the CPU, within stated bounds), speed (seconds per training
    step in fp32, tf32 and bf16, by the reference and compiled where a bundle can), memory (of a training step beside
    the paper's Table 4) and generation (seconds and memory of a volume). The exit status is 1 if a step of life or a
    measurement failed, or a bound is exceeded; what does not fit into memory is "-". It takes about twenty minutes on
    an H100.

    Args:
        parts: life, equality, speed, memory or generation, or several, separated by commas.
        bundles: names of folders in `bundles`, separated by commas; by default one of every family.
        image_sizes: voxels or pixels a side, for speed and memory.
        batch_sizes: batch sizes for memory; speed has batches of 2.
        generation_sizes: voxels a side.
        equality_size: voxels or pixels a side, for equality.
        steps: number of steps that are timed, after a quarter as many others.
        device: cuda, cuda:1 ...; cpu tries the command itself out, best with small sizes.
        overrides: further entries of train.json, such as "{'base_channels': 16}"; a bundle takes those that it has.
        output_dir: folder for the report.
    """
    parts = names("parts", parts, PARTS)
    bundles = one_of_each_family() if bundles is None else names("bundles", bundles, bundle_names())
    sizes, batches = numbers("image_sizes", image_sizes), numbers("batch_sizes", batch_sizes)
    generated = numbers("generation_sizes", generation_sizes)
    equality_size, steps = number("equality_size", equality_size), number("steps", steps)
    overrides = further_entries(overrides)
    if device is None and not torch.cuda.is_available():
        print(f"no CUDA device: {', '.join(parts)} skipped. --device cpu tries the command out, with small sizes.")
        return
    where = chosen_device(device)
    for size in {*sizes, equality_size}:  # a bundle that cannot be built at a size is an error before anything runs
        for bundle in bundles:
            learnable_parameters(bundle, size, plan.common_overrides(bundle, overrides))
    about = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(where),
        "versions": describe_versions(where),
        "steps": steps,
    }
    common = {"device": str(where), "threads": torch.get_num_threads()}
    timed = common | {"steps": steps, "warmup": max(1, steps // 4)}
    wanted = {
        "equality": plan.equality(bundles, equality_size, **common),
        "speed": plan.speed(bundles, sizes, **timed),
        "memory": plan.memory(bundles, sizes, batches, **common),
        "generation": plan.generation(bundles, generated, **timed),
    }
    lines: dict[str, list[Line]] = {part: [] for part in parts}
    folder = Path(output_dir)
    write_report(folder, lines, about)  # a folder that cannot be written to shows now and not after minutes
    for part in parts:
        found = lives(bundles, str(where)) if part == "life" else measure(wanted[part], overrides)
        for line in found:
            lines[part].append(line)
            print(f"{part}: {line}", flush=True)
            write_report(folder, lines, about)
    print(write_report(folder, lines, about))
    if problems := [f"{part}: {line}" for part in parts for line in lines[part] if line.problem]:
        sys.exit(
            "\n  ".join(
                [f"{len(problems)} of {sum(map(len, lines.values()))} lines are not as they should be:", *problems]
            )
        )


def lives(bundles: Sequence[str], device: str) -> Iterator[Line]:
    """The life of every bundle; as many at a time as there are processors for."""
    with tempfile.TemporaryDirectory() as folder:

        def live(bundle: str) -> list[Step]:
            return list(life(bundle, Path(folder) / bundle, device))

        with ThreadPoolExecutor(max(1, (os.cpu_count() or 1) // 4)) as pool:
            for steps in pool.map(live, bundles):
                yield from map(life_line, steps)


def measure(wanted: Sequence[plan.Measurement], overrides: Mapping[str, Any]) -> Iterator[Line]:
    """Each measurement in a process of its own, one after the other."""
    with FirstBatches() as batches:
        for one in wanted:
            own = plan.common_overrides(one.case.bundle, overrides)
            case = replace(one.case, overrides={**one.case.overrides, **own})
            yield measured_line(one._replace(case=case), batches.run(case))
