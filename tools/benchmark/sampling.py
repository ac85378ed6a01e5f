"""``python -m tools benchmark_sampling``: seconds of a volume by the sampler and its steps, beside what they make."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import torch
from matplotlib import rc_context
from matplotlib.figure import Figure
from monai.bundle import ConfigParser
from monai.inferers import Inferer
from torch import Tensor

from tools.benchmark.configs import BUNDLES, bundle_names
from tools.benchmark.machine import describe_machine, describe_versions
from tools.benchmark.options import chosen_device, further_entries, names, number, numbers
from tools.engines.sampling import nearest_steps
from tools.engines.trainer import PRECISIONS
from tools.evaluation.page import csv_text, json_text, number_text, write_text
from tools.evaluation.plots import COLOURS, MARKERS, REAL, STYLE
from tools.files import whole_file

EULER = "euler"
"""Name of the one way from noise to samples that a rectified flow has."""

SAMPLERS = ("ddim", "pndm", "ddpm")
"""Ways of the other schedules."""

OWN_OPTIONS = {key: f"--{key}" for key in ("device", "precision", "steps", "num_synthetic", "resamples")}
"""Entries of the configs that this benchmark sets itself, and the options for them."""


@dataclass(frozen=True)
class Row:
    """One way to make samples.

    Attributes:
        sampler: name of the sampler; "real against real" for one half of the real samples against the other.
        steps: number of its steps.
        seconds: wall time of a sample, the median.
        processor_seconds: time that all threads of the process took for it, the median.
        samples: number of samples.
        fid: FID to the validation samples.
        fid_low: lower end of its 95 percent interval, by resampling samples.
        fid_high: upper end.
        ms_ssim: mean MS-SSIM of successive samples; of real ones in their row.
        ms_ssim_low: lower end of its 95 percent interval, see `similarity`.
        ms_ssim_high: upper end.
    """

    sampler: str
    steps: int | None
    seconds: float | None
    processor_seconds: float | None
    samples: int | None
    fid: float | None
    fid_low: float | None = None
    fid_high: float | None = None
    ms_ssim: float | None = None
    ms_ssim_low: float | None = None
    ms_ssim_high: float | None = None


def benchmark_sampling(
    bundle: str = "rflow_luna16",
    steps: int | str | Sequence[int] = (10, 30, 100, 300, 1000),
    samplers: str | Sequence[str] = SAMPLERS,
    num_synthetic: int | None = None,
    resamples: int = 100,
    precision: str = "fp32",
    device: str | None = None,
    threads: int | None = None,
    overrides: Mapping[str, Any] | None = None,
    output_dir: str = "sampling",
) -> None:
    """Seconds of a sample by the sampler and the number of its steps, and how good it is, for trained weights.

    Makes samples of a bundle that starts at noise by each sampler in each number of steps, all from the same seeds, one
    by one, and compares them with its validation data as its evaluate.json does: FID with its interval, and MS-SSIM,
    beside those of one half of the real samples against the other. A rectified flow is sampled by Euler's steps; other
    schedules by DDIM and PNDM, and by DDPM in all of its steps. Where a sampler cannot take a number of steps it takes
    the nearest that it can. Writes output_dir/sampling.csv, .json, .md and .svg, anew after each way, and the whole
    report of each in a folder of its own.

    Args:
        bundle: name of a folder in `bundles`, with weights in its `models`; others are given by --overrides
            "{'ckpt_path': '...'}".
        steps: numbers of steps, separated by commas.
        samplers: ddim, pndm or ddpm, or several, separated by commas; a flow has one of its own.
        num_synthetic: number of samples of each way; as many as there are real ones by default.
        resamples: bootstrap samples behind an interval of FID.
        precision: fp32, bf16 or fp16, of the network while samples are made.
        device: cuda, cuda:1, cpu ...; a GPU by default if there is one.
        threads: threads of torch on the CPU; torch's own choice by default.
        overrides: further entries of train.json and evaluate.json, such as "{'dataset_dir': '/data/LUNA16'}".
        output_dir: folder for the table, the curve and the reports.
    """
    (bundle,) = names("bundle", [bundle], bundle_names())
    samplers, steps = names("samplers", samplers, SAMPLERS), numbers("steps", steps)
    (precision,) = names("precision", [precision], PRECISIONS)
    chosen = chosen_device(device)
    if threads is not None:
        torch.set_num_threads(number("threads", threads))
    overrides = further_entries(overrides, OWN_OPTIONS)
    laid = {**overrides, "device": chosen, "resamples": number("resamples", resamples, least=0), "precision": precision}
    if num_synthetic is not None:
        laid["num_synthetic"] = number("num_synthetic", num_synthetic, least=2)
    folder = Path(str(output_dir))
    about = {
        "bundle": bundle,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(chosen),
        "threads": torch.get_num_threads(),
        "precision": precision,
        "versions": describe_versions(chosen),
        "overrides": overrides,
    }
    rows: list[Row] = []
    write(folder, rows, about)  # a folder that cannot be written to shows now and not after hours
    for sampler, count in ways(bundle, laid, samplers, steps):
        made, floor = measured(bundle, laid, sampler, count, folder / f"{sampler}_{count}")
        rows = [*(row for row in rows if row.steps is not None), made, floor]
        write(folder, rows, about)
        print(f"{sampler}, {count} steps: {made.seconds:.3g} s, FID {number_text(made.fid)}")
    print(markdown(rows, about))
    print(f"Wrote {folder / 'sampling.csv'}, .json, .md and .svg")


def ways(
    bundle: str, laid: Mapping[str, Any], samplers: Sequence[str], steps: Sequence[int]
) -> Iterator[tuple[str, int]]:
    """Every sampler with every number of steps, or the nearest that it can take, each once."""
    parser = read(bundle, laid)
    is_flow = "sampler" not in parser or parser.get_parsed_content("prediction") == "flow"
    for sampler in [EULER] if is_flow else samplers:
        of_sampler = {} if is_flow else {"sampler": sampler}
        scheduler = read(bundle, {**laid, **of_sampler}).get_parsed_content("scheduler")
        asked = {nearest_steps(scheduler, count): count for count in steps}
        for count in sorted(asked):
            if count not in steps:
                print(f"{sampler} takes {count} steps in the place of {asked[count]}")
            yield sampler, count


def read(bundle: str, laid: Mapping[str, Any]) -> ConfigParser:
    """A bundle's evaluation with further entries, nothing of it built yet.

    Raises:
        ValueError: the bundle makes nothing in steps, or an entry is none of its.
    """
    files = [str(BUNDLES / bundle / "configs" / f"{name}.json") for name in ("train", "evaluate")]
    parser = ConfigParser(ConfigParser.load_config_files(files))
    if "steps" not in parser or "num_synthetic" not in parser:
        raise ValueError(
            f"bundle is {bundle!r}, which does not make samples of noise in steps; take rflow_luna16, ldm_gsp or "
            "ddpm_brats, for instance"
        )
    for key, value in laid.items():
        if key.split("#")[0].split("::")[0] not in parser:
            raise ValueError(f"overrides: bundle {bundle} has no {key!r} in its train.json and evaluate.json")
        parser.set(value, key)
    return parser


def measured(bundle: str, laid: Mapping[str, Any], sampler: str, steps: int, folder: Path) -> tuple[Row, Row]:
    """What is made in one way, and the real samples, from the report that is written to a folder."""
    of_sampler = {} if sampler == EULER else {"sampler": sampler}
    parser = read(bundle, {**laid, **of_sampler, "steps": steps, "output_dir": str(folder)})
    engine = parser.get_parsed_content("validate#evaluator")
    engine.inferer = clock = Timed(engine.inferer)
    engine.run()
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    space = next(iter(report["spaces"].values()))
    (name,) = space["models"]
    fid = space["models"][name]["fid"]
    of_model, of_real = (similarity(report["diversity"].get(of)) for of in (name, "real"))
    images = {of: report["sets"][of]["images"] for of in (name, "real")}
    made = Row(
        sampler,
        steps,
        median(clock.seconds),
        median(clock.processor_seconds),
        images[name],
        *(fid["value"], fid.get("low"), fid.get("high")),
        *of_model,
    )
    floor = space["baseline"].get("fid")
    return made, Row("real against real", None, None, None, images["real"], floor, None, None, *of_real)


class Timed(Inferer):
    """An inferer that notes how long each of its samples takes.

    Args:
        inferer: inferer of one sample at a time.
    """

    def __init__(self, inferer: Inferer) -> None:
        super().__init__()
        self.inferer = inferer
        self.seconds: list[float] = []
        self.processor_seconds: list[float] = []

    def __call__(self, inputs: Tensor, network: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        before = _now(inputs.device)
        made = self.inferer(inputs, network, *args, **kwargs)
        wall, processor = (now - then for now, then in zip(_now(inputs.device), before, strict=True))
        self.seconds.append(wall / len(inputs))
        self.processor_seconds.append(processor / len(inputs))
        return made


def _now(device: torch.device) -> tuple[float, float]:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter(), time.process_time()


def similarity(found: Mapping[str, Any] | None) -> tuple[float | None, float | None, float | None]:
    """Mean MS-SSIM of successive samples and the ends of its 95 percent interval; None where it was not measured.

    A pair shares a sample with its neighbours, so that the mean of n pairs has a variance of at most twice that of a
    pair over n: for a function of two samples the covariance of neighbours is at most half of its variance.
    """
    if found is None:
        return None, None, None
    half = 1.96 * found["std"] * math.sqrt(2 / found["pairs"])
    return found["ms_ssim"], found["ms_ssim"] - half, found["ms_ssim"] + half


def markdown(rows: Sequence[Row], about: Mapping[str, Any]) -> str:
    """The table, and what it was made with."""
    lines = ["| sampler | steps | s | processor s | samples | FID | MS-SSIM |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        cells = [
            *(row.sampler, "" if row.steps is None else f"{row.steps}"),
            *(number_text(row.seconds), number_text(row.processor_seconds), f"{row.samples}"),
            *(_with_interval(row.fid, row.fid_low, row.fid_high),),
            *(_with_interval(row.ms_ssim, row.ms_ssim_low, row.ms_ssim_high),),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", *(f"- {key}: {value}" for key, value in about.items())]) + "\n"


def _with_interval(value: float | None, low: float | None, high: float | None) -> str:
    return number_text(value) + ("" if low is None else f" ({number_text(low)} to {number_text(high)})")


def write(folder: Path, rows: Sequence[Row], about: Mapping[str, Any]) -> None:
    """sampling.csv, .json, .md and, where there is something to show, .svg."""
    columns = [field.name for field in fields(Row)]
    write_text(folder / "sampling.csv", csv_text(columns, map(astuple, rows)))
    of_rows = [dict(zip(columns, astuple(row), strict=True)) for row in rows]
    write_text(folder / "sampling.json", json_text({**about, "rows": of_rows}))
    write_text(folder / "sampling.md", markdown(rows, about))
    if rows:
        with whole_file(folder / "sampling.svg") as partial:
            curve(rows).savefig(partial, format="svg", metadata={"Date": None})


def curve(rows: Sequence[Row]) -> Figure:
    """FID over seconds of a sample, a line for each sampler, and real against real."""
    with rc_context(STYLE):
        figure = Figure(figsize=(6.4, 3.6), layout="constrained")
        axes = figure.subplots()
        for place, sampler in enumerate(dict.fromkeys(row.sampler for row in rows if row.steps is not None)):
            of = [row for row in rows if row.sampler == sampler and row.fid is not None]
            lows = [0.0 if row.fid_low is None else max(row.fid - row.fid_low, 0.0) for row in of]
            highs = [0.0 if row.fid_high is None else max(row.fid_high - row.fid, 0.0) for row in of]
            axes.errorbar(
                *([row.seconds for row in of], [row.fid for row in of], [lows, highs]),
                marker=MARKERS[place % len(MARKERS)],
                color=COLOURS[place % len(COLOURS)],
                capsize=3,
                label=sampler,
            )
            for row in of:
                axes.annotate(f"{row.steps}", (row.seconds, row.fid), (4, 4), textcoords="offset points", fontsize=8)
        for row in rows:
            if row.steps is None and row.fid is not None:
                axes.axhline(row.fid, color=REAL, linestyle="--", label=row.sampler)
        axes.set(xscale="log", xlabel="seconds of a sample; numbers are steps", ylabel="FID")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8, frameon=False)
        return figure
