"""What came out of a comparison, in a sentence or two that need no table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

NAMES = {"kid": "KID", "fid": "FID"}


def conclusion(spaces: Mapping[str, Any], layers: Mapping[str, Any], images: Mapping[str, int]) -> str:
    """Return which model is closest to the real images, by which distance, how sure that is, and what real images have
    to each other.

    The first feature space that was asked for is spoken of, and the others if they disagree. "Sure" is whether 95
    percent intervals lie apart. Models of equally many images are compared by their FID, which has one bias then, and
    others by their KID, which has none.

    Args:
        spaces: results by feature space, see `tools.evaluation.comparison.compare`.
        layers: results by layer, see there.
        images: number of images of each model.
    """
    leading = ("fid",) if len(set(images.values())) == 1 else ("kid", "fid")
    rankings = {name: found for name, space in spaces.items() if (found := _ranking(space, leading))}
    if not rankings:
        return _by_grey_values(layers)
    (name, (metric, order)), *others = rankings.items()
    space = spaces[name]
    first, *rest = order
    numbers = {model: space["models"][model][metric] for model in order}
    shown = f"{NAMES[metric]} {_shown(numbers[first], metric)} in {name}"
    own = space["baseline"].get(metric, math.nan)
    against = f"; one half of the real images has {_number(own)} to the other half" if math.isfinite(own) else ""
    if rest:
        second = rest[0]
        text = (
            f"{first} is closest to the real images ({shown}{against}), before {second} "
            f"({_shown(numbers[second], metric)}){_how_sure(numbers[first], numbers[second])}."
        )
        return text + _others(first, {name: order[0] for name, (_, order) in others})
    return f"{first} {_verdict(numbers[first], own)} ({shown}{against})."


def _ranking(space: Mapping[str, Any], leading: Sequence[str]) -> tuple[str, list[str]] | None:
    """The distance that all models have, and the models by it, the closest first."""
    for metric in leading:
        values = {model: found.get(metric, {}).get("value", math.nan) for model, found in space["models"].items()}
        if values and all(value is not None and math.isfinite(value) for value in values.values()):
            return metric, sorted(values, key=values.get)
    return None


def _by_grey_values(layers: Mapping[str, Any]) -> str:
    values = {model: scores["kl_256"]["average"] for model, scores in layers.items()}
    first = min(values, key=values.get)
    own = next(iter(layers.values()))["kl_256"]["baseline_average"]
    numbers = ", ".join(f"{model} {_number(value)}" for model, value in sorted(values.items(), key=lambda v: v[1]))
    who = f"{first} is closest to the real images" if len(values) > 1 else f"{first} was compared"
    return (
        f"{who} by grey values alone, since no features were measured (mean KL divergence of layers: {numbers}; real "
        f"against real {_number(own)})."
    )


def _how_sure(best: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    if best.get("high") is None or second.get("low") is None:
        return "; how sure that is was not measured"
    if best["high"] < second["low"]:
        return "; their 95 percent intervals lie apart"
    return ", but their 95 percent intervals overlap: with other images the order may be another"


def _verdict(number: Mapping[str, Any], own: float) -> str:
    """Sentence on a single model."""
    if number.get("low") is None or not math.isfinite(own):
        return "was compared with the real images; how sure the distance is was not measured"
    if number["low"] > max(own, 0.0):
        return "differs from the real images by more than they do from each other"
    return "cannot be told from the real images by this distance, with this number of images"


def _others(first: str, winners: Mapping[str, str]) -> str:
    different: dict[str, list[str]] = {}
    for space, winner in winners.items():
        if winner != first:
            different.setdefault(winner, []).append(space)
    if different:
        found = " and ".join(f"{winner} in {', '.join(spaces)}" for winner, spaces in different.items())
        return f" Not all feature spaces agree: closest is {found}."
    return f" All {len(winners) + 1} feature spaces agree." if winners else ""


def _shown(number: Mapping[str, Any], metric: str) -> str:
    low, high = number.get("low"), number.get("high")
    low = max(low, 0.0) if metric == "fid" and low is not None else low
    return _number(number["value"]) + (f", {_number(low)} to {_number(high)}" if low is not None else "")


def _number(value: float) -> str:
    return f"{value:.3g}"
