"""The report of a study: `report.json`, `answers.csv` and `report.html`, a page that needs no other file."""

from __future__ import annotations

import csv
import io
import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader

from tools.files import whole_file
from tools.study import plots
from tools.study.analysis import CANNOT_TELL, analysed, compared_surveys, seconds_of
from tools.study.folder import KINDS, SURVEY_ANSWERS
from tools.study.scoring import Result, Scored, score

logger = logging.getLogger(__name__)


def write_report(
    folders: Sequence[str | os.PathLike],
    output_dir: str | os.PathLike,
    database: str | os.PathLike | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Analyse studies and write the three files, each as a whole.

    Args:
        folders: folders of the studies; surveys are compared with each other.
        output_dir: folder of the report, made if need be.
        database: file of the answers, of a single study.
        seed: seed of bootstraps and permutations.

    Returns:
        The content of `report.json`.

    Raises:
        FileNotFoundError: a study, its key or its answers are not there.
        ValueError: no study, or answers of another one.
    """
    if not folders:
        raise ValueError("no study was given, expected a study folder")
    results = [score(folder, database) for folder in folders]
    report = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": seed,
        "studies": [analysed(result, seed) for result in results],
        "between_surveys": compared_surveys(results),
    }
    output_dir = Path(output_dir)
    _write(output_dir / "report.json", json.dumps(report, indent=2, allow_nan=False, ensure_ascii=False) + "\n")
    _write(output_dir / "answers.csv", _csv(results))
    _write(output_dir / "report.html", _page(report, results))
    logger.info("wrote report.json, answers.csv and report.html to %s", output_dir)
    return report


def _csv(results: Sequence[Result]) -> str:
    """One row per answer that counts."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["study", *(field.name for field in fields(Scored))])
    for result in results:
        for answer in result.answers:
            row = [result.study.title, *asdict(answer).values()]
            writer.writerow(["" if v is None else int(v) if isinstance(v, bool) else _cell(v) for v in row])
    return text.getvalue()


def _cell(value: Any) -> Any:
    """A spreadsheet must not take a reader's words for a formula."""
    return "'" + value if isinstance(value, str) and value.startswith(("=", "+", "-", "@")) else value


def _page(report: Mapping[str, Any], results: Sequence[Result]) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "percent": _percent,
        "share": _share,
        "clustered": _clustered,
        "test": _test,
        "chi_squared": _chi_squared,
        "number": _number,
        "trend": _trend,
    }
    return environment.get_template("report.html.j2").render(
        date=report["date"].replace("T", " ").replace("+00:00", " UTC"),
        studies=[
            {"found": found, "kind": KINDS[found["kind"]], "plots": _plots(found, result)}
            for found, result in zip(report["studies"], results, strict=True)
        ],
        between=report["between_surveys"],
        answers=SURVEY_ANSWERS,
        seed=report["seed"],
    )


def _plots(found: Mapping[str, Any], result: Result) -> dict[str, dict[str, str]]:
    """section -> name -> SVG."""
    drawn: dict[str, dict[str, str]] = {}
    for section, numbers in found["sections"].items():
        answers = result.of(section)
        own = drawn.setdefault(section, {})
        if section == "origin":
            own["difficulty"] = plots.difficulty_plot(numbers["difficulty_percent"])
        if section == "preference":
            own["votes"] = plots.votes_plot(list(numbers["votes"].values()), result.models)
            outcome, label = [float(a.choice == result.models[0]) for a in answers], f"% for {result.models[0]}"
        else:
            outcome, label = [float(bool(a.correct)) for a in answers], "% right"
        if section == "survey":
            rows = numbers["right"]["cannot tell is left out"]
            shares = {name: share for name, share in rows.items() if "value" in share}
            if shares:
                own["right"] = plots.shares_plot(shares, f"percent right of decided answers ({CANNOT_TELL} left out)")
        own["order"] = plots.order_plot([a.number for a in answers], outcome, label, percent=True)
        seconds: dict[str, list[float]] = {}
        for answer in answers:
            if (time := seconds_of(answer)) is not None:
                seconds.setdefault(answer.reader, []).append(time)
        if seconds:
            own["times"] = plots.times_plot(seconds)
    return drawn


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}%"


def _share(share: Mapping[str, Any]) -> str:
    """ "66.7% (44 of 66; 54.6% to 76.8%)"."""
    if "missing" in share or "value" not in share:
        return "–"
    return (
        f"{_percent(share['value'])} ({share['count']} of {share['total']}; "
        f"{_percent(share['low'])} to {_percent(share['high'])})"
    )


def _clustered(share: Mapping[str, Any]) -> str:
    """The interval that respects readers and images."""
    interval = share.get("clustered", share)
    if "value" not in interval:
        return "–"
    return f"{_percent(interval['low'])} to {_percent(interval['high'])}"


def _test(result: Mapping[str, Any]) -> str:
    """The p of a test."""
    if "missing" in result:
        return f"not computed: {result['missing']}"
    p = result["p"]
    return f"p = {p:.3g}" if p >= 1e-4 else f"p = {p:.2e}"


def _chi_squared(result: Mapping[str, Any]) -> str:
    """Statistic, degrees of freedom and p of a Chi-squared test."""
    if "missing" in result:
        return _test(result)
    plural = "" if result["degrees_of_freedom"] == 1 else "s"
    freedom = f"{result['degrees_of_freedom']} degree{plural} of freedom"
    return f"Chi-squared {result['statistic']:.2f} with {freedom}, {_test(result)}"


def _trend(trend: Mapping[str, Any], unit: str) -> str:
    if "missing" in trend:
        return f"not computed: {trend['missing']}"
    if unit == "percent":
        return f"{100 * trend['slope']:+.2f} percentage points per question ({_test(trend)})"
    return f"{100 * (2 ** trend['slope'] - 1):+.1f}% time per question ({_test(trend)})"


def _number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{round(value, digits) + 0:.{digits}f}"  # + 0: no -0.00


def _write(path: Path, text: str) -> None:
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")
