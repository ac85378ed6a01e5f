"""The command: check what is asked for, run the cases, report."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import torch
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from tools.benchmark.case import Case
from tools.benchmark.comparison import TABLES, comparisons, failures, markdown
from tools.benchmark.comparison import compare as compare_implementations
from tools.benchmark.configs import bundle_names
from tools.benchmark.limit import has_bf16
from tools.benchmark.limit import write as write_limits
from tools.benchmark.machine import describe_machine, describe_versions
from tools.benchmark.options import chosen_device, further_entries, names, number, numbers
from tools.benchmark.processes import FAILED, OK, Outcome, run_cases, schedule
from tools.benchmark.report import TITLES, Key, make_rows, write_report
from tools.benchmark.training import learnable_parameters
from tools.engines.trainer import PRECISIONS


def benchmark(
    bundles: str | Sequence[str] = "crf_gan_luna16,ha_gan_luna16",
    image_sizes: int | str | Sequence[int] = (64, 128, 256),
    batch_sizes: int | str | Sequence[int] = (2, 4, 6),
    tables: str | Sequence[str] = "parameters,memory,speed",
    steps: int | None = None,
    warmup: int | None = None,
    rounds: int = 3,
    speed_batch_size: int = 2,
    precision: str = "fp32",
    device: str | None = None,
    threads: int | None = None,
    overrides: Mapping[str, Any] | None = None,
    output_dir: str = "benchmark",
    compare: str | Sequence[str] | None = None,
    slab_length: int = 0,
    differences: bool = True,
    profile: bool = False,
    reference: bool = True,
    limit: bool = False,
    plain: bool | None = None,
) -> None:
    """Measure what training costs: learnable parameters, peak memory, iterations per second, beside the paper's values.

    Trains each bundle as its train.json says, on the first batch of its own loader again and again, without validation
    or checkpoints, every case in a process of its own. The batch is of phantoms, or of your data: --overrides
    "{'dataset_dir': '...'}"; rows are repeated where a case asks for more. Prints a report and writes it as
    output_dir/benchmark.md, .csv and .json, after every case anew. A case that does not fit into memory is "-"; one
    that fails for another reason is "failed", the others go on, and the exit status is 1. Memory is what torch's
    tensors take on a GPU; on a CPU the peak resident set of the whole process, so that sizes for which the memory does
    not suffice end when the system kills it.

    With --compare instead: how much faster, and in how much less memory, the bundles do their work than the original
    algorithms as released (nearest upsampling before convolution, new fakes for every update, fp32, Adam as torch
    has it by default; generation of whole volumes, translation slice by slice, scikit-image's resize). Both run in
    turn; the report, output_dir/comparison.md, .csv and .json, has ratios, and how far the results are apart.

    Args:
        bundles: names of folders in `bundles`, separated by commas; ratios are to the first.
        image_sizes: voxels a side, or pixels a side of slices.
        batch_sizes: volumes or slices in a batch, for memory.
        tables: parameters, memory or speed, or several, separated by commas.
        steps: iterations that are timed in each round; by default the paper's 1000 on a GPU, 10 on a CPU.
        warmup: iterations before those; by default 10 on a GPU, 2 on a CPU.
        rounds: number of times that the speed of all bundles is measured, in turn.
        speed_batch_size: volumes in a batch, for speed; 2 in the paper.
        precision: fp32, bf16 or fp16.
        device: cuda, cuda:1, cpu ...; a GPU by default if there is one.
        threads: threads of torch on the CPU; torch's own choice by default. On a machine that others use too, give
            fewer than it has cores: threads wait for the slowest of them. Training steps of one thread are timed by
            processor time, which other work beside them hardly changes.
        overrides: further entries of train.json, such as "{'base_channels': 16}".
        output_dir: folder for the report.
        compare: training, generation, translation, preparation, or several, separated by commas. Of a training that has
            no reference implementation, as the CycleGANs', only the seconds and memory are told.
        slab_length: axial slices that the optimised implementation generates at a time in a comparison, 0 for all.
        differences: True makes a comparison also say how far the results of both implementations are apart.
        profile: True makes a comparison also say what the time of both is spent in: output_dir/profile_*.txt.
        reference: False leaves the reference implementation out of a comparison, which would take hours, or more memory
            than there is, where only the optimised one's seconds and memory are wanted.
        limit: True measures instead what a training step could reach: the rate of its own convolutions alone, in the
            same run, the share of it that the step reaches, and what the rest is; in fp32, and in bf16 where the
            device multiplies in it: output_dir/limit.md and .json. Nothing else should run on the machine.
        plain: former name of ``reference``, which goes with the next version.
    """
    bundles, tables = names("bundles", bundles, bundle_names()), names("tables", tables, TITLES)
    image_sizes, batch_sizes = numbers("image_sizes", image_sizes), numbers("batch_sizes", batch_sizes)
    (precision,) = names("precision", [precision], PRECISIONS)
    torch_device = chosen_device(device)
    on_gpu = torch_device.type == "cuda"
    steps = number("steps", (1000 if on_gpu else 10) if steps is None else steps)
    warmup = number("warmup", (10 if on_gpu else 2) if warmup is None else warmup, least=0)
    rounds, speed_batch_size = number("rounds", rounds), number("speed_batch_size", speed_batch_size)
    threads = number("threads", torch.get_num_threads() if threads is None else threads)
    overrides = further_entries(overrides)
    if plain is not None:
        warnings.warn(f"--plain is now called --reference. Give --reference {plain}.", FutureWarning, stacklevel=2)
        reference = plain
    folder = Path(str(output_dir))
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"output_dir {folder} is a file, expected a folder or nothing.")
    settings = {
        "precision": precision,
        "device": str(torch_device),
        "threads": threads,
        "steps": steps,
        "warmup": warmup,
        "overrides": overrides,
    }
    about = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(torch_device),
        "versions": describe_versions(torch_device),
        "settings": settings | {"rounds": rounds},
    }
    if compare is not None:
        slab_length = number("slab_length", slab_length, least=0)
        whats = names("compare", compare, TABLES)
        wanted = comparisons(
            whats, bundles, image_sizes, batch_size=speed_batch_size, slab_length=slab_length, **settings
        )
        rows = compare_implementations(wanted, rounds, folder, about, differences, profile, reference)
        print(markdown(rows, about))
        if failed := failures(rows):
            sys.exit("\n  ".join([f"{len(failed)} of {len(rows)} comparisons failed, messages are above:", *failed]))
        return

    if limit:
        failed = _limits(bundles, image_sizes, speed_batch_size, settings, folder, about, torch_device)
        if failed:
            sys.exit("\n  ".join([f"{len(failed)} cases failed, messages are above:", *failed]))
        return

    # of all, whatever is asked for: a bundle that cannot be built at a size is an error before anything runs
    parameters = {
        Key("parameters", size, None, bundle): [Outcome(OK, learnable_parameters(bundle, size, overrides))]
        for size in image_sizes
        for bundle in bundles
    }
    outcomes: dict[Key, list[Outcome]] = parameters if "parameters" in tables else {}
    cases = schedule(tables, bundles, image_sizes, batch_sizes, speed_batch_size, rounds, **settings)

    def report() -> str:
        rows = make_rows(outcomes, bundles[0])
        return write_report(folder, rows, bundles, about | {"memory": _memory_note(outcomes, on_gpu)})

    report()  # a folder that cannot be written to shows now and not after hours
    with tqdm(total=len(cases), unit="case", desc="benchmark") as bar, logging_redirect_tqdm():
        for case, outcome in run_cases(cases):
            outcomes.setdefault(Key(case.table, case.image_size, case.batch_size, case.bundle), []).append(outcome)
            report()
            bar.update()
    print(report())
    failed = [key for key, tries in outcomes.items() if any(outcome.status == FAILED for outcome in tries)]
    if failed:
        lines = [f"  {k.table} of {k.bundle} at {k.image_size}, batch {k.batch_size}" for k in failed]
        sys.exit("\n".join([f"{len(failed)} of {len(outcomes)} values failed, the messages are above:", *lines]))


def _limits(
    bundles: Sequence[str],
    image_sizes: Sequence[int],
    batch_size: int,
    settings: Mapping[str, Any],
    folder: Path,
    about: Mapping[str, Any],
    device: torch.device,
) -> list[str]:
    """Measure every bundle at every size in every precision that the device has; return those that failed."""
    precisions = ["fp32", *(["bf16"] if has_bf16(device) else [])]
    cases = [
        Case("limit", bundle, size, batch_size, **{**settings, "precision": precision})
        for size in image_sizes
        for bundle in bundles
        for precision in precisions
    ]
    found: dict[str, tuple[Case, Outcome]] = {}
    write_limits(folder, [], about)  # a folder that cannot be written to shows now
    with tqdm(total=len(cases), unit="case", desc="limit") as bar, logging_redirect_tqdm():
        for case, outcome in run_cases(cases):
            found[f"{case}, {case.precision}"] = case, outcome
            write_limits(folder, [*found.values()], about)
            bar.update()
    print(write_limits(folder, [*found.values()], about))
    return [name for name, (_, outcome) in found.items() if outcome.status == FAILED]


def _memory_note(outcomes: Mapping[Key, Sequence[Outcome]], on_gpu: bool) -> str:
    """Return what the figures of memory mean."""
    if on_gpu:
        return "the most that torch allocated on the GPU, in MB of 2^20 bytes"
    before = [outcome.before for tries in outcomes.values() for outcome in tries if outcome.before is not None]
    share = f"; {median(before):.0f} MB of it are Python and its libraries" if before else ""
    return f"the peak resident set of the whole process, in MB of 2^20 bytes{share}; the paper's is a GPU's"
