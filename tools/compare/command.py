"""The command: bundles that are trained alike, one beside the other."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tools.benchmark.options import number
from tools.compare.checks import entrants
from tools.compare.design import (
    Run,
    Settings,
    check_clock,
    folder_of,
    moments_of,
    run_folders,
    runs_of,
    seconds_of,
    seeds_of,
)
from tools.compare.report import write_report
from tools.compare.results import check_folder, gathered
from tools.compare.running import Ended, Interrupted, Processes, run_all
from tools.options import listed

logger = logging.getLogger(__name__)


def compare(
    bundles: str | Sequence[str] | None = None,
    output_dir: str = "comparison",
    budget: str | None = None,
    images: int | None = None,
    seeds: int | str | Sequence[int] = 1,
    dataset_dir: str | None = None,
    image_size: int | None = None,
    batch_size: int | None = None,
    precision: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    moments: str | Sequence[float] = "0.125,0.25,0.5,1",
    first_stage: float = 0.5,
    clock: str = "wall",
    num_synthetic: int | None = None,
    features: str | Sequence[str] | None = None,
    weights: str | None = None,
    resamples: int = 100,
    processes: int = 1,
    threads: int | None = None,
    device: str | None = None,
    part: int | None = None,
    of: int | None = None,
    table: bool = False,
) -> None:
    """Train bundles for equal time or images on the same data, measure and rank them: report.html, .md, .csv and .json.

    Every bundle is trained with every seed, in a process of its own, until the budget is spent; the budget counts the
    training alone. At its start, at several moments and at its end images are made of the same seeds and compared with
    real ones that were not trained on, as `python -m tools evaluate` does. Bundles are ranked by their FID at the end,
    with what other seeds would change; learning curves and samples are drawn. A stopped or killed comparison goes on
    with the same command, in the middle of a training; more bundles and more seeds can be asked for later. A bundle
    that cannot take the size or the data is refused before anything is trained.

    On a cluster each job is given a part, which shares nothing with the others but the folder; when they are done
    --table gathers what there is, and says what is missing.

    Args:
        bundles: names of bundles that make images from noise, separated by commas; with --table all by default.
        output_dir: folder for runs and report.
        budget: time of training of each run, such as 90s, 30m or 1.5h.
        images: number of images that each run is trained on, instead of a time.
        seeds: number of runs of each bundle, or their seeds, such as 0,1,5.
        dataset_dir: folder of the data; by default phantoms, as the bundles make them.
        image_size: voxels or pixels a side; by default each bundle's own.
        batch_size: images in a batch; by default each bundle's own.
        precision: fp32, bf16 or fp16.
        overrides: further entries of train.json, such as "{'phantoms#count': 100}": a bundle takes those that it has.
            Those of one bundle stand under its name, "{'ldm_luna16': {'steps': 10}}", also where it is not in
            ``bundles``: further seeds of the best two of ten are added to the same folder by the same settings.
        moments: shares of the budget at which images are made, beside the start.
        first_stage: share of the budget for the autoencoder of bundles of latent diffusion.
        clock: wall, or cpu, the processor's time of all threads, which other work on the machine hardly moves.
        num_synthetic: number of images that are made at each moment; by default as many as there are real ones.
        features: feature spaces as of `python -m tools evaluate`, the one to rank by first.
        weights: file or folder of the weights of feature spaces that need some.
        resamples: number of draws for the intervals of distances.
        processes: number of runs at the same time; budgets of time are for one at a time on a device.
        threads: threads of each run on the CPU; torch's own choice by default.
        device: cuda, cuda:1, cpu ...; a GPU by default if there is one.
        part: number of the part that is run now, from 1.
        of: number of parts.
        table: True trains nothing, and makes the report of what is there.
    """
    folder = Path(str(output_dir)).resolve()
    runs = runs_of(listed(bundles), seeds_of(seeds), part, of) if bundles is not None else []
    if table:
        _report(folder, runs)
        return
    if bundles is None:
        raise ValueError("bundles is not given, expected names such as crf_gan_luna16,ha_gan_luna16")
    settings = _settings(budget, images, clock, moments, first_stage, dataset_dir, overrides, features)
    own = {"image_size": image_size, "batch_size": batch_size, "precision": precision}
    settings = replace(
        settings,
        overrides={key: value for key, value in own.items() if value is not None} | dict(settings.overrides),
        num_synthetic=None if num_synthetic is None else number("num_synthetic", num_synthetic, least=2),
        weights=None if weights is None else os.path.abspath(weights),
        resamples=number("resamples", resamples, least=2),
    )
    processes = number("processes", processes)
    threads = None if threads is None else number("threads", threads)
    check_folder(folder, settings)
    data_root = folder / ("data" if part is None else f"data_{part}_of_{of}")
    is_open = any(not folder_of(folder, run).is_measured for run in runs)
    found = entrants(listed(bundles), settings, data_root) if is_open else []
    common = {"processes": processes, "threads": threads, "device": device}
    failed = _run(runs, found, settings, folder, processes, Processes(threads), common, part is None)
    if part is None:
        _report(folder, runs)
    else:
        print(f"part {part} of {of}: {len(runs) - len(failed)} of {len(runs)} runs are done in {folder}")
    if failed:
        lines = [f"  {ended.run.name}: {ended.problem}" for ended in failed]
        sys.exit("\n".join([f"{len(failed)} of {len(runs)} runs failed; the same command tries them again:", *lines]))


def _settings(
    budget: str | None,
    images: int | None,
    clock: str,
    moments: str | Sequence[float],
    first_stage: float,
    dataset_dir: str | None,
    overrides: Mapping[str, Any] | None,
    features: str | Sequence[str] | None,
) -> Settings:
    if (budget is None) == (images is None):
        raise ValueError(f"budget is {budget} and images is {images}, expected one of them, such as --budget 30m")
    if not 0 < first_stage < 1:
        raise ValueError(f"first_stage is {first_stage}, expected a share of the budget between 0 and 1")
    if overrides is not None and not isinstance(overrides, Mapping):
        raise ValueError(f"overrides is {overrides!r}, expected entries of train.json like \"{{'steps': 10}}\"")
    return Settings(
        None if budget is None else seconds_of(budget),
        None if images is None else number("images", images),
        check_clock(clock),
        moments_of(moments),
        first_stage,
        None if dataset_dir is None else os.path.abspath(dataset_dir),
        dict(overrides or {}),
        features=None if features is None else tuple(listed(features)),
    )


def _run(
    runs: Sequence[Run],
    found: Sequence[Any],
    settings: Settings,
    folder: Path,
    at_a_time: int,
    processes: Processes,
    common: dict[str, Any],
    reports: bool,
) -> list[Ended]:
    """Run all, with a report after each; return those that failed."""
    before = signal.signal(signal.SIGTERM, lambda *_: _interrupt())
    failed = []
    try:
        for done, ended in enumerate(
            run_all(runs if found else [], found, settings, folder, at_a_time, processes, common), start=1
        ):
            logger.info("%d of %d runs: %s %s", done, len(runs), ended.run.name, ended.problem or "is done")
            if ended.problem:
                failed.append(ended)
            elif reports and done < len(runs) and (results := gathered(folder, runs)) is not None:
                write_report(folder, results)
    except (KeyboardInterrupt, Interrupted):
        raise SystemExit("stopped; the same command goes on where it was") from None
    finally:
        signal.signal(signal.SIGTERM, before)
    return failed


def _interrupt() -> None:
    raise KeyboardInterrupt


def _report(folder: Path, runs: Sequence[Run]) -> None:
    results = gathered(folder, runs)
    if results is None:
        begun = len(run_folders(folder))
        raise ValueError(f"{folder} has no run that is done, and {begun} that are begun; there is nothing to report")
    print(write_report(folder, results))
    print(folder / "report.html")
