"""The command that ranks models by their reports."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path

from tools.files import whole_file
from tools.metrics.ranking import (
    DRAWS,
    Agreement,
    Better,
    Estimate,
    Measure,
    Place,
    agreement,
    counted,
    estimated,
    mean_places,
    places,
)
from tools.options import listed
from tools.rank.reports import Number, Read, read_report

OVERALL = "mean rank"

COLUMNS = ("metric", "better", "model", "value", "low", "high", "trainings", "rank", "rank_low", "rank_high", "leads")
COMPARED = ("tau", "p")


def rank(
    reports: str | Sequence[str],
    output_dir: str,
    metrics: str | Sequence[str] | None = None,
    against: str | None = None,
    draws: int = DRAWS,
) -> None:
    """Rank models by their reports, by metric and over metrics: rank.csv, rank.md, and the table.

    Reports of evaluate and usefulness name their models; NAME=FILE names the one of a report, as those of privacy need
    it. Several reports of one kind and model are taken for several trainings: their mean counts, with an interval over
    trainings. What else might have come out is drawn from that, or from the intervals of single reports: ranks have
    intervals, and the share of draws in which each leads is shown. Ranks over metrics are of those that all models
    have, each with the same weight.

    Do cheap metrics put models in the order of one that is trusted more, such as errors against the truth? With
    ``against`` the table also has how far each metric's order is that one's, by Kendall's tau.

    Args:
        reports: report.json and privacy.json files, or their folders, as FILE or NAME=FILE, separated by commas.
        output_dir: folder for the tables.
        metrics: beginnings of names of metrics to rank by, such as fid,coverage,TSTR; all without it.
        against: beginning of the name of the metric with which the others are compared, such as mae_body.
        draws: number of draws.
    """
    if isinstance(draws, bool) or draws < 1:
        raise ValueError(f"draws is {draws!r}, expected a whole number from 1")
    numbers, doubts = collected(listed(reports))
    names = list(dict.fromkeys(number.metric for number in numbers))
    trusted = None if against is None else _one("against", against, names)
    if metrics is not None:
        wanted = tuple(listed(metrics))
        if odd := [word for word in wanted if not any(name.startswith(word) for name in names)]:
            raise ValueError(f"metrics has {', '.join(odd)}, and the reports have {'; '.join(names)}")
        numbers = [number for number in numbers if number.metric.startswith(wanted) or number.metric == trusted]
    found = ranked(numbers, draws, trusted)
    contents = {"rank.csv": _csv(found), "rank.md": "\n".join([found.table(), "", *doubts, ""])}
    for name, text in contents.items():
        with whole_file(Path(output_dir) / name) as partial:
            partial.write_text(text, encoding="utf-8")
    print(found.table())
    print("\n".join([*doubts, str(Path(output_dir) / "rank.md")]))


def _one(option: str, given: str, names: Sequence[str]) -> str:
    """The name that is meant: the one that is given, or the only one that begins so."""
    meant = [name for name in names if name == given] or [name for name in names if name.startswith(given)]
    if len(meant) != 1:
        what = "is the beginning of several" if meant else "is none"
        raise ValueError(f"{option} is {given!r}, which {what} of {'; '.join(meant or names)}")
    return meant[0]


def collected(reports: Sequence[str]) -> tuple[list[Number], list[str]]:
    """Numbers of all reports, and what a reader must know of them.

    Raises:
        ValueError: no report, a report of several models that is named, or one of privacy that is not.
    """
    if not reports:
        raise ValueError("reports is empty, expected report.json files, such as a/report.json,b/report.json")
    numbers, about = [], {}
    for given in reports:
        name, _, path = given.rpartition("=") if not Path(given).exists() else ("", "", given)
        read = read_report(path)
        numbers += _named(read, name, path)
        about.setdefault(read.kind, {}).setdefault(read.compared, []).append(path)
    doubts = [
        f"Not all reports of {kind} are of the same real images: {'; '.join(of)}. Their numbers are comparable as far "
        "as these are alike."
        for kind, of in about.items()
        if len(of) > 1
    ]
    models = {number.model for number in numbers}
    if len(models) == 1 and len({number.metric for number in numbers}) < len(numbers):
        doubts.append(
            f"All reports are of one model, {models.pop()}, and were taken for several trainings of it: there is "
            "nothing to rank. Name what is to be compared, as in first=a/report.json,second=b/report.json."
        )
    return numbers, doubts


def _named(read: Read, name: str, path: str) -> list[Number]:
    models = list(dict.fromkeys(number.model for number in read.numbers))
    if name and len(models) > 1:
        raise ValueError(f"{path} is a report of {', '.join(models)}; give it without a name")
    if not name and "" in models:
        raise ValueError(f"{path} does not say of which model it is; give it as NAME={path}")
    return [number._replace(model=name or number.model) for number in read.numbers]


class Ranked:
    """Estimates and places of all models.

    Args:
        measures: metrics.
        estimates: estimate by metric and model.
        draws: number of draws.
        trusted: name of the metric with whose order those of the others are compared; None for none.
    """

    def __init__(
        self,
        measures: Sequence[Measure],
        estimates: dict[str, dict[str, Estimate]],
        draws: int,
        trusted: str | None = None,
    ) -> None:
        self.measures, self.estimates, self.trusted = measures, estimates, trusted
        truth = next((one for one in measures if one.name == trusted), None)
        self.agreements = {} if truth is None else {one.name: agreement(one, truth) for one in measures}
        self.places = {one.name: places(one, draws) for one in measures}
        self.counted = [one.name for one in counted(measures)]
        self.overall = mean_places(measures, draws) if self.counted else {}
        models = dict.fromkeys(model for one in measures for model in one.values)
        self.models = sorted(models, key=lambda model: self.overall[model].rank if self.overall else 0)

    def table(self) -> str:
        """All of it in Markdown, the best model first."""
        compared = [] if self.trusted is None else [f"order as of {self.trusted}"]
        rows = [["metric", "better", *compared, *self.models]]
        for one in self.measures:
            cells = [_cell(self.estimates[one.name].get(m), self.places[one.name].get(m)) for m in self.models]
            mark = "" if one.name in self.counted else " (not of all models, not counted)"
            order = [_agreement(self.agreements[one.name])] if compared else []
            rows.append([one.name + mark, _direction(one.better), *order, *cells])
        if self.overall:
            rows.append(
                [OVERALL, "lower", *("" for _ in compared), *(_place(self.overall[model]) for model in self.models)]
            )
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = ["| " + " | ".join(f"{c:<{w}}" for c, w in zip(row, widths, strict=True)) + " |" for row in rows]
        return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def ranked(numbers: Sequence[Number], draws: int = DRAWS, trusted: str | None = None) -> Ranked:
    """Models by the numbers of their reports; several of one metric are of several trainings.

    Args:
        numbers: numbers of all models.
        draws: number of draws.
        trusted: name of the metric with which the others are compared; None for none.
    """
    models = list(dict.fromkeys(number.model for number in numbers))
    measures, estimates = [], {}
    for metric in dict.fromkeys(number.metric for number in numbers):
        of = [number for number in numbers if number.metric == metric]
        found, drawn = {}, {}
        for key, model in enumerate(models):
            own = [number for number in of if number.model == model]
            if not own:
                continue
            found[model], drawn[model] = estimated([_run(number) for number in own], own[0].better, key, draws)
        values = {model: found[model].value if model in found else math.nan for model in models}
        measures.append(Measure(metric, of[0].better, values, drawn))
        estimates[metric] = found
    return Ranked(measures, estimates, draws, trusted)


def _run(number: Number) -> Estimate:
    ends = (math.nan, math.nan) if number.low is None else (number.low, number.high)
    return Estimate(number.value, *ends, 1)


def _cell(estimate: Estimate | None, place: Place | None) -> str:
    if estimate is None:
        return ""
    ends = "" if math.isnan(estimate.low) else f" ({estimate.low:.3g} to {estimate.high:.3g})"
    return f"{estimate.value:.3g}{ends}, {_place(place)}"


def _place(place: Place) -> str:
    text = f"#{place.rank:.3g}"
    if math.isnan(place.leads):
        return text
    return f"{text} ({place.low:.3g} to {place.high:.3g}), leads {place.leads:.0%}"


def _agreement(found: Agreement) -> str:
    if math.isnan(found.tau):
        return ""
    return f"tau {found.tau:.2f} (p {found.p:.2g}, {found.models} models)"


def _direction(better: Better) -> str:
    return better if isinstance(better, str) else f"near {better:g}"


def _csv(found: Ranked) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    compared = found.trusted is not None
    writer.writerow([*COLUMNS, *(COMPARED if compared else ())])

    def shown(values: Sequence[float]) -> list[str]:
        return ["" if math.isnan(value) else f"{value:.6g}" for value in values]

    for one in found.measures:
        for model, place in found.places[one.name].items():
            *numbers, count = found.estimates[one.name][model]
            order = shown(found.agreements[one.name][:2]) if compared else []
            writer.writerow([one.name, _direction(one.better), model, *shown(numbers), count, *shown(place), *order])
    for model, place in found.overall.items():
        writer.writerow([OVERALL, "lower", model, "", "", "", "", *shown(place), *("" for _ in COMPARED if compared)])
    return text.getvalue()
