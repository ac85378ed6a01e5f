"""Numbers of models in the reports of `evaluate`, `usefulness` and `privacy`, and in which direction they are good."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tools.metrics.ranking import Better

DIRECTIONS: dict[str, Better] = {
    "fid": "lower",
    "mmd": "lower",
    "kid": "lower",
    "precision": "higher",
    "recall": "higher",
    "density": 1.0,
    "coverage": "higher",
    "inception_score": "higher",
}
"""Metrics of a feature space. Density is 1 of images like the real ones, and above it where they crowd around a few.
The extrapolated FID, which is the FID once more, is left out."""

LAYERS: dict[str, Better] = {
    "kl_256": "lower",
    "kl_3": "lower",
    "correlation": "higher",
    "intersection": "higher",
    "spectral_correlation": "higher",
}
"""Means over layers along the body."""

ERRORS: dict[str, Better] = {"mae": "lower", "psnr": "higher", "ssim": "higher", "path_length_mm": "lower"}
"""Errors against the truth, by the beginning of their names."""

TRANSLATION = "translation"
"""What a bundle's own report calls its model, beside references that are no models."""

PRIVACY: dict[str, Better] = {"close": 0.05, "nearer": 0.5, "identifiability": "lower"}
"""Shares of an audit: what independent samples have, or that less is better."""

USEFUL = {"dice": "Dice", "auc": "AUC", "f1": "F1"}
"""What a segmenter or a classifier is judged by, all of which are better the higher they are."""


class Number(NamedTuple):
    """A number of a model.

    Attributes:
        model: name of the model; "" where the report has one, unnamed.
        metric: name of the metric.
        better: direction of the metric.
        value: number.
        low: lower end of its 95 percent interval; None without one.
        high: upper end.
    """

    model: str
    metric: str
    better: Better
    value: float
    low: float | None = None
    high: float | None = None


class Read(NamedTuple):
    """What a report says.

    Attributes:
        kind: "evaluation", "usefulness" or "privacy".
        numbers: its numbers.
        compared: real images that it is about, for a comparison of reports.
    """

    kind: str
    numbers: list[Number]
    compared: str


def read_report(path: str | Path) -> Read:
    """The numbers of a report.

    Args:
        path: `report.json` or `privacy.json`, or the folder that holds one.

    Raises:
        FileNotFoundError: there is none.
        ValueError: a file that is no such report, or that has no number of a model.
    """
    path = Path(path)
    if path.is_dir():
        names = [path / name for name in ("report.json", "privacy.json") if (path / name).is_file()]
        if len(names) != 1:
            raise FileNotFoundError(f"{path} holds {len(names)} of report.json and privacy.json; name the file")
        path = names[0]
    if not path.is_file():
        raise FileNotFoundError(f"there is no report at {path}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no report: it is not JSON ({error})") from None
    settings = content.get("settings", {}) if isinstance(content, dict) else {}
    for kind, key, numbers in (
        ("privacy", "suspects", _of_privacy),  # which has spaces too
        ("usefulness", "arms", _of_usefulness),
        ("evaluation", "spaces", _of_evaluation),
    ):
        if isinstance(content, dict) and key in content:
            found = [*numbers(content)]
            if not found:
                raise ValueError(f"{path} is a report that has no number to rank by")
            place = {"evaluation": "folder of real", "usefulness": "test", "privacy": "folder of training"}[kind]
            return Read(kind, found, f"{settings.get(place, 'unnamed')}{_size(content)}")
    raise ValueError(f"{path} is no report of evaluate, usefulness or privacy")


def _size(content: Mapping[str, Any]) -> str:
    images = content.get("sets", {}).get("real", {}).get("images")
    return "" if images is None else f" ({images} images)"


def _of_evaluation(content: Mapping[str, Any]) -> Iterator[Number]:
    for space, found in content["spaces"].items():
        for model, scores in found.get("models", {}).items():
            for metric, score in scores.items():
                if metric in DIRECTIONS and _is_number(score.get("value")):
                    yield _number(model, f"{metric} [{space}]", DIRECTIONS[metric], score)
    for model, scores in content.get("layers", {}).items():
        for metric, better in LAYERS.items():
            if metric in scores and _is_number(scores[metric].get("average")):
                yield Number(model, metric, better, scores[metric]["average"])
    diversity = content.get("diversity", {})
    if "real" in diversity:
        for model, score in diversity.items():
            if model != "real":
                distance = abs(score["ms_ssim"] - diversity["real"]["ms_ssim"])
                yield Number(model, "ms_ssim, away from that of the real images", "lower", distance)
    truth, bundle = content.get("truth", {}), content.get("settings", {}).get("bundle")
    if bundle is not None and TRANSLATION in truth:
        truth = {bundle: truth[TRANSLATION]}
    for model, errors in truth.items():
        for error, value in errors.items():
            better = next((way for name, way in ERRORS.items() if error.startswith(name)), None)
            if better is not None and _is_number(value):
                yield Number(model, f"{error} against the truth", better, value)


def _of_usefulness(content: Mapping[str, Any]) -> Iterator[Number]:
    """Trainings on synthetic images. Tests on these (TRTS) are left out: easy images, all alike, are best in them."""
    for arm in content["arms"]:
        if not arm["model"] or arm["way"] == "TRTS":
            continue
        way = arm["way"] + (f", {arm['patients']} patients" if arm["patients"] else "")
        for metric, title in USEFUL.items():
            if metric in arm and _is_number(arm[metric].get("value")):
                yield _number(arm["model"], f"{way}: {title}", "higher", arm[metric])


def _of_privacy(content: Mapping[str, Any]) -> Iterator[Number]:
    samples = content["images"]["synthetic"]
    yield Number("", "suspects of copying, share", "lower", len(content["suspects"]) / samples)
    for attack in content.get("membership", ()):
        if isinstance(attack.get("auc"), dict) and _is_number(attack["auc"].get("value")):
            yield _number("", f"membership by {attack['attack']} [{attack['in']}]: AUC", 0.5, attack["auc"])
    for space, scores in content["spaces"].items():
        for key, better in PRIVACY.items():
            if key in scores and _is_number(scores[key].get("value")):
                yield _number("", f"{key} [{space}]", better, scores[key])


def _number(model: str, metric: str, better: Better, score: Mapping[str, Any]) -> Number:
    ends = [score.get(end) for end in ("low", "high")]
    return Number(model, metric, better, score["value"], *(ends if all(map(_is_number, ends)) else (None, None)))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and value == value and abs(value) != float("inf")
