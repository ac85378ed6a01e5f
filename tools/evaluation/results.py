"""What a comparison of sets comes to, in small records that report, conclusion and handlers read."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from tools.metrics.layers import LayerScores

DISTANCES = ("fid", "mmd", "kid")
"""Metrics that are 0 for equal sets, so that a multiple of the baseline says something."""


@dataclass(frozen=True)
class Score:
    """A score of a model in a feature space.

    Attributes:
        value: score of the model's images against the real ones.
        baseline: score of one half of the real images against the other; None where it was not measured.
        low: lower end of the value's 95 percent interval; None where there is none.
        high: upper end.
        bandwidth: bandwidth of MMD's kernel; None for other metrics.
    """

    value: float
    baseline: float | None = None
    low: float | None = None
    high: float | None = None
    bandwidth: float | None = None

    def ratio_of(self, metric: str) -> float | None:
        """A distance as a multiple of the baseline; None where that is 0, negative or unknown, and of other metrics."""
        if metric not in DISTANCES or self.baseline is None or not self.baseline > 0:
            return None
        return self.value / self.baseline

    def record(self, metric: str) -> dict[str, float | None]:
        """The entry of `report.json`."""
        more = {"low": self.low, "high": self.high, "bandwidth": self.bandwidth}
        ratio = {"ratio": self.ratio_of(metric)} if metric in DISTANCES else {}
        return {"value": self.value, **ratio, **{name: number for name, number in more.items() if number is not None}}


class Metric(NamedTuple):
    """A metric and the feature space that it is taken in; None for grey values."""

    name: str
    space: str | None = None

    def __str__(self) -> str:
        return self.name if self.space is None else f"{self.name} [{self.space}]"


@dataclass(frozen=True)
class SetFacts:
    """A set that was compared.

    Attributes:
        images: number of its images.
        shapes: sizes [D, H, W] that its images have.
        value_range: least and greatest value in the set's own unit.
    """

    images: int
    shapes: list[tuple[int, ...]]
    value_range: tuple[float, float]


@dataclass(frozen=True)
class SpaceResult:
    """All that was measured in a feature space.

    Attributes:
        note: sentence on what a reader of its numbers has to know.
        rows: source of a row of features, "volume" or "slice".
        dimensions: number of features that distances are taken in.
        baseline: value by metric of one half of the real images against the other. Halves are smaller than the sets,
            which raises a FID.
        models: scores by model and metric.
    """

    note: str
    rows: str
    dimensions: int
    baseline: dict[str, float]
    models: dict[str, dict[str, Score]]

    def record(self) -> dict[str, Any]:
        """The entry of `report.json`."""
        return {
            "note": self.note,
            "rows": self.rows,
            "dimensions": self.dimensions,
            "mmd_estimator": "unbiased",
            "mmd_kernel": "exp(-d^2 / bandwidth^2)",
            "baseline": self.baseline,
            "models": {
                model: {metric: score.record(metric) for metric, score in scores.items()}
                for model, scores in self.models.items()
            },
        }


@dataclass(frozen=True)
class Comparison:
    """Models' images against real ones.

    Attributes:
        conclusion: sentence or two on what came out.
        sets: facts by set, "real" first.
        spaces: results by feature space.
        layers: scores of the axial layers by model and metric; FID for spaces of slices.
        warnings: sentences for the reader, each once for all feature spaces.
    """

    conclusion: str
    sets: dict[str, SetFacts]
    spaces: dict[str, SpaceResult]
    layers: dict[str, dict[Metric, LayerScores]]
    warnings: list[str] = field(default_factory=list)

    def record(self) -> dict[str, Any]:
        """The part of `report.json` that is the comparison's."""
        return {
            "conclusion": self.conclusion,
            "sets": {name: asdict(facts) for name, facts in self.sets.items()},
            "spaces": {name: space.record() for name, space in self.spaces.items()},
            "layers": {
                model: {str(metric): asdict(scores) for metric, scores in metrics.items()}
                for model, metrics in self.layers.items()
            },
            "warnings": self.warnings,
        }
