"""Reference against optimised: the original algorithms as released, beside what the bundles do by default."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from statistics import median
from typing import Any

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from tools.benchmark.case import Case
from tools.benchmark.configs import bundle_metadata, dimensions, has_reference, kind
from tools.benchmark.processes import FAILED, OK, Outcome, run_cases
from tools.files import whole_file

TABLES = {"training": "speed", "generation": "generation", "translation": "translation", "preparation": "preparation"}
"""What can be compared, and the measure of its time."""

USES = {"generate": ("generation",), "translate": ("translation",)}
"""What can be compared of bundles beside their training, by the word for what they do."""

DIFFERENCES = {
    "training": "of losses and gradients, relative",
    "generation": "of a voxel in [-1, 1], at most",
    "translation": "of a pixel in [-1, 1], at most",
    "preparation": "in HU away from edges, mean",
}


@dataclass(frozen=True)
class Row:
    """One comparison.

    Args:
        what: work that is compared.
        bundle: name of the bundle.
        image_size: voxels or pixels a side.
        precision: precision of the optimised implementation; the reference has fp32.
        reference: seconds (of a training step, a volume, a scan) of the reference, median of the rounds; None if it
            did not work.
        optimised: seconds of the optimised implementation, likewise.
        ratio: median over the rounds of reference over optimised.
        ratio_low: least ratio of the rounds.
        ratio_high: largest ratio of the rounds.
        reference_peak: MB of the reference: the peak resident set of the process or what torch allocated on the GPU.
        optimised_peak: MB of the optimised implementation, likewise.
        peak_ratio: memory of the optimised implementation over that of the reference.
        difference: difference of the results of both, see ``DIFFERENCES``.
        failed: True if something else than a lack of memory kept one of them from being measured.
    """

    what: str
    bundle: str
    image_size: int
    precision: str
    reference: float | None
    optimised: float | None
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    reference_peak: float | None
    optimised_peak: float | None
    peak_ratio: float | None
    difference: float | None
    failed: bool = False


@dataclass(frozen=True)
class Comparison:
    """A case and the same by the reference implementation, and a third that tells how far their results are apart.

    ``reference`` and ``difference`` are None for what has no reference implementation.
    """

    what: str
    reference: Case | None
    optimised: Case
    difference: Case | None

    def seconds(self, outcome: Outcome) -> float:
        return 1 / outcome.value if self.what == "training" else outcome.value


def comparisons(
    whats: Sequence[str],
    bundles: Sequence[str],
    image_sizes: Sequence[int],
    overrides: Mapping[str, Any],
    **common: Any,
) -> list[Comparison]:
    """Return what is to be compared; ``common`` are fields of ``Case`` that all share.

    Raises:
        ValueError: none of the bundles can do it.
    """
    found = []
    for what in whats:
        able = [bundle for bundle in bundles if what in abilities(bundle)]
        if not able:
            wanted = "cyclegan_mri2ct_inout" if what == "translation" else "crf_gan_luna16"
            raise ValueError(f"compare: none of {', '.join(bundles)} has {what}; --bundles {wanted} has.")
        for bundle in able[:1] if what == "preparation" else able:  # which all bundles of CT share
            for size in image_sizes:
                optimised = Case(TABLES[what], bundle, size, overrides=dict(overrides), **common)
                if what == "training" and not has_reference(bundle):
                    found.append(Comparison(what, None, optimised, None))
                    continue
                reference = replace(optimised, reference=True, precision="fp32", slab_length=0)
                difference = replace(optimised, table=f"{what}_difference", batch_size=1)
                found.append(Comparison(what, reference, optimised, difference))
    return found


def abilities(bundle: str) -> set[str]:
    """Return what of a bundle can be compared. Of a training without a reference the seconds and memory are told."""
    able = {"training", *USES.get(kind(bundle), ())}
    if not has_reference(bundle) or dimensions(bundle) != 3:  # of volumes, beside the reference's
        able -= {"generation"}
    made = bundle_metadata(bundle)["network_data_format"]["outputs"]["pred"]
    return able | ({"preparation"} if "generation" in able and made["format"] == "hounsfield" else set())


def compare(
    wanted: Sequence[Comparison],
    rounds: int,
    folder: Path,
    about: Mapping[str, Any],
    differences: bool = True,
    profile: bool = False,
    reference: bool = True,
) -> list[Row]:
    """Run both implementations in turn, round by round, and write the report anew after each comparison.

    With ``differences`` their results are compared afterwards, and with ``profile`` both run once more to be profiled.
    Without ``reference``, and where there is no reference implementation, only the optimised one runs: there are
    neither ratios nor differences.
    """
    rows: list[Row] = []
    write(folder, rows, about)  # a folder that cannot be written to shows now and not after hours
    ways = [[c.reference, c.optimised] if reference and c.reference else [c.optimised] for c in wanted]
    total = sum(len(both) * (rounds + profile) + (differences and len(both) == 2) for both in ways)
    with tqdm(total=total, unit="case", desc="reference, optimised") as bar, logging_redirect_tqdm():
        for comparison, both in zip(wanted, ways, strict=True):
            timed = list(_run(both * rounds, bar))
            difference = list(_run([comparison.difference] if differences and len(both) == 2 else [], bar))
            slow = timed[::2] if len(both) == 2 else []
            rows.append(row(comparison, slow, timed[len(both) - 1 :: len(both)], *difference))
            write(folder, rows, about)
            if profile:
                cases = [replace(case, profile=True) for case in both]
                for case, outcome in zip(cases, _run(cases, bar), strict=True):
                    write_profile(folder, comparison.what, case, outcome)
    return rows


def write_profile(folder: Path, what: str, case: Case, outcome: Outcome) -> None:
    """profile_<what>_<bundle>_<size>_<precision>_<reference or optimised>.txt."""
    way = "reference" if case.reference else "optimised"
    name = f"profile_{what}_{case.bundle}_{case.image_size}_{case.precision}_{way}.txt"
    with whole_file(folder / name) as partial:
        partial.write_text(f"{case}\n{outcome.status}\n{outcome.message}\n", encoding="utf-8")


def _run(cases: Sequence[Case], bar: tqdm) -> Iterator[Outcome]:
    """Their outcomes, with progress."""
    for _, outcome in run_cases(cases):
        bar.update()
        yield outcome


def row(
    comparison: Comparison,
    reference: Sequence[Outcome],
    optimised: Sequence[Outcome],
    difference: Outcome | None = None,
) -> Row:
    """The line of a comparison from its rounds. Ratios are those of neighbours in time."""

    def middle(outcomes: Sequence[Outcome]) -> float | None:
        whole = outcomes and all(o.status == OK for o in outcomes)
        return median(map(comparison.seconds, outcomes)) if whole else None

    def peak(outcomes: Sequence[Outcome]) -> float | None:
        return max(o.peak for o in outcomes) if outcomes and all(o.status == OK for o in outcomes) else None

    slow, quick = middle(reference), middle(optimised)
    ratios = []
    if slow is not None and quick is not None:
        ratios = [comparison.seconds(p) / comparison.seconds(f) for p, f in zip(reference, optimised, strict=True)]
    before, after = peak(reference), peak(optimised)
    case = comparison.optimised
    return Row(
        what=comparison.what,
        bundle=case.bundle,
        image_size=case.image_size,
        precision=case.precision,
        reference=slow,
        optimised=quick,
        ratio=median(ratios) if ratios else None,
        ratio_low=min(ratios, default=None),
        ratio_high=max(ratios, default=None),
        reference_peak=before,
        optimised_peak=after,
        peak_ratio=after / before if before and after else None,
        difference=None if difference is None else difference.value,
        failed=any(outcome.status == FAILED for outcome in [*reference, *optimised, difference] if outcome),
    )


def markdown(rows: Sequence[Row], about: Mapping[str, Any]) -> str:
    """The report: a line for each comparison, and what it was made with."""
    lines = [
        "| | bundle | size | precision | reference, s | optimised, s | times as fast | reference, MB | optimised, MB "
        "| of the memory | difference |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        spread = "-" if r.ratio is None else f"{r.ratio:.2f} ({r.ratio_low:.2f} to {r.ratio_high:.2f})"
        cells = [
            *(r.what, r.bundle, f"{r.image_size}", r.precision),
            *(number(r.reference, "{:.3g}"), number(r.optimised, "{:.3g}"), spread),
            *(number(r.reference_peak, "{:.0f}"), number(r.optimised_peak, "{:.0f}"), number(r.peak_ratio, "{:.2f}")),
            number(r.difference, "{:.1e}"),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    seen = dict.fromkeys(r.what for r in rows)
    lines += ["", "Differences: " + "; ".join(f"{what}: {DIFFERENCES[what]}" for what in seen) + "."] if rows else []
    lines += ["", *(f"- {key}: {value}" for key, value in about.items())]
    return "\n".join(lines) + "\n"


def number(value: float | None, form: str) -> str:
    """A number, or a dash for what did not work."""
    return "-" if value is None else form.format(value)


def write(folder: Path, rows: Sequence[Row], about: Mapping[str, Any]) -> None:
    """comparison.md, .csv and .json."""
    table = io.StringIO()
    writer = csv.DictWriter(table, [field.name for field in fields(Row)])
    writer.writeheader()
    writer.writerows(asdict(r) for r in rows)
    texts = {
        "md": markdown(rows, about),
        "csv": table.getvalue(),
        "json": json.dumps({**about, "rows": [asdict(r) for r in rows]}, indent=2) + "\n",
    }
    for ending, text in texts.items():
        with whole_file(folder / f"comparison.{ending}") as partial:
            partial.write_text(text, encoding="utf-8", newline="")


def failures(rows: Sequence[Row]) -> list[str]:
    """Return what failed, in words."""
    return [f"{r.what} of {r.bundle} at {r.image_size}" for r in rows if r.failed]
