"""What came out of a comparison, in a sentence or two that need no table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from tools.evaluation.results import Metric, Score, SpaceResult
from tools.metrics.layers import LayerScores

NAMES = {"kid": "KID", "fid": "FID"}
GREY_VALUES = Metric("kl_256")


def conclusion(
    spaces: Mapping[str, SpaceResult],
    layers: Mapping[str, Mapping[Metric, LayerScores]],
    images: Mapping[str, int],
) -> str:
    """Which model is closest to the real images, by which distance, how sure that is, and what real images have to
    each other.

    The first feature space that was asked for is spoken of, and the others if they disagree. "Sure" is whether 95
    percent intervals lie apart. Models of equally many images are compared by their FID, which has one bias then, and
    others by their KID, which has none.

    Args:
        spaces: results by feature space.
        layers: scores of layers by model.
        images: number of images by model.
    """
    leading = ("fid",) if len(set(images.values())) == 1 else ("kid", "fid")
    rankings = {name: found for name, space in spaces.items() if (found := _ranking(space, leading))}
    if not rankings:
        return _by_grey_values(layers)
    (name, (metric, order)), *others = rankings.items()
    space = spaces[name]
    first, *rest = order
    numbers = {model: space.models[model][metric] for model in order}
    shown = f"{NAMES[metric]} {_shown(numbers[first], metric)} in {name}"
    own = space.baseline.get(metric, math.nan)
    against = f"; one half of the real images has {_number(own)} to the other half" if math.isfinite(own) else ""
    if rest:
        second = rest[0]
        text = (
            f"{first} is closest to the real images ({shown}{against}), before {second} "
            f"({_shown(numbers[second], metric)}){_how_sure(numbers[first], numbers[second])}."
        )
        return text + _others(first, {name: order[0] for name, (_, order) in others})
    return f"{first} {_judged(numbers[first], own)} ({shown}{against})."


def _ranking(space: SpaceResult, leading: Sequence[str]) -> tuple[str, list[str]] | None:
    """The distance that all models have, and the models by it, the closest first."""
    for metric in leading:
        values = {model: scores[metric].value for model, scores in space.models.items() if metric in scores}
        if values and len(values) == len(space.models) and all(map(math.isfinite, values.values())):
            return metric, sorted(values, key=values.get)
    return None


def _by_grey_values(layers: Mapping[str, Mapping[Metric, LayerScores]]) -> str:
    values = {model: scores[GREY_VALUES].average for model, scores in layers.items()}
    first = min(values, key=values.get)
    own = next(iter(layers.values()))[GREY_VALUES].baseline_average
    numbers = ", ".join(f"{model} {_number(value)}" for model, value in sorted(values.items(), key=lambda v: v[1]))
    who = f"{first} is closest to the real images" if len(values) > 1 else f"{first} was compared"
    return (
        f"{who} by grey values alone, since no features were measured (mean KL divergence of layers: {numbers}; real "
        f"against real {_number(own)})."
    )


def _how_sure(best: Score, second: Score) -> str:
    if best.high is None or second.low is None:
        return "; how sure that is was not measured"
    if best.high < second.low:
        return "; their 95 percent intervals lie apart"
    return ", but their 95 percent intervals overlap: with other images the order may be another"


def _judged(number: Score, own: float) -> str:
    """What is said of a single model."""
    if number.low is None or not math.isfinite(own):
        return "was compared with the real images; how sure the distance is was not measured"
    if number.low > max(own, 0.0):
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


def _shown(number: Score, metric: str) -> str:
    low = max(number.low, 0.0) if metric == "fid" and number.low is not None else number.low
    return _number(number.value) + (f", {_number(low)} to {_number(number.high)}" if low is not None else "")


def _number(value: float) -> str:
    return f"{value:.3g}"
