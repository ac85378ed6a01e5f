"""What is compared with what: the runs, and all that has to be the same for them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tools.engines.budget import CLOCKS
from tools.errors import check_choice
from tools.files import whole_file
from tools.options import listed

MOMENTS = (0.125, 0.25, 0.5, 1.0)
"""Shares of the budget at which a run is measured where none are asked for; its start is measured too."""

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class Settings:
    """What all runs of a comparison share.

    Attributes:
        seconds: budget of training in seconds; None for one of images.
        images: budget in images; None for one of seconds.
        clock: clock by which seconds are taken, see `tools.engines.budget.CLOCKS`.
        moments: shares of the budget at which a run is measured, rising, the last 1; its start, 0, is not among them.
        first_stage: share of the budget for the autoencoder of bundles that train one first.
        dataset_dir: folder of the data; None for phantoms.
        overrides: entries of train.json, which go to every bundle that has them.
        num_synthetic: number of images that are made at each moment; None makes as many as there are real ones.
        features: names of feature spaces; None takes those of `python -m tools evaluate`.
        weights: file or folder of their weights.
        resamples: number of draws for intervals.
    """

    seconds: float | None = None
    images: int | None = None
    clock: str = "wall"
    moments: tuple[float, ...] = MOMENTS
    first_stage: float = 0.5
    dataset_dir: str | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    num_synthetic: int | None = None
    features: tuple[str, ...] | None = None
    weights: str | None = None
    resamples: int = 100

    @property
    def budget(self) -> str:
        """The budget in words."""
        if self.seconds is None:
            return f"{self.images} images"
        minutes, seconds = divmod(self.seconds, 60)
        clock = " of processor time" if self.clock == "cpu" else ""
        return (f"{self.seconds:g} s" if seconds or not minutes else f"{minutes:g} min") + clock

    def record(self) -> dict[str, Any]:
        """All of it, as it is read from JSON again."""
        return json.loads(json.dumps(asdict(self)))

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> Settings:
        """The settings that `record` was taken of."""
        features = record["features"]
        given = {"moments": tuple(record["moments"]), "features": None if features is None else tuple(features)}
        return cls(**{**record, **given})


@dataclass(frozen=True)
class Run:
    """One training.

    Attributes:
        bundle: name of the bundle.
        seed: seed of all random numbers of the training.
    """

    bundle: str
    seed: int

    @property
    def name(self) -> str:
        """Its name, that of its folder."""
        return f"{self.bundle}_seed{self.seed}"


@dataclass(frozen=True)
class RunFolder:
    """The folder of a run, which no other run writes into.

    Attributes:
        path: path of the folder.
    """

    path: Path

    RECORD, OVERLAY, RESULT, PICTURES = "run.json", "train.json", "evaluation.json", "pictures.npz"

    def moment(self, name: str) -> Path:
        """Return where the weights of a moment are."""
        return self.path / "moments" / f"{name}.pt"

    @property
    def is_trained(self) -> bool:
        """Whether the budget is spent."""
        return self.moment(moment_name(1.0)).with_suffix(".json").is_file()

    @property
    def is_measured(self) -> bool:
        """Whether all is done."""
        return (self.path / self.RESULT).is_file()

    def read(self, name: str) -> dict[str, Any]:
        """The content of one of its JSON files."""
        return json.loads((self.path / name).read_text(encoding="utf-8"))

    def write(self, name: str, content: Mapping[str, Any]) -> None:
        """Write one of its JSON files as a whole."""
        with whole_file(self.path / name) as partial:
            partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def run_folders(output_dir: Path) -> list[RunFolder]:
    """All runs that were begun in a folder, by name."""
    return [RunFolder(path.parent) for path in sorted(output_dir.glob(f"runs/*/{RunFolder.RECORD}"))]


def folder_of(output_dir: Path, run: Run) -> RunFolder:
    """Return the folder of a run."""
    return RunFolder(output_dir / "runs" / run.name)


def moment_name(share: float) -> str:
    """What the moment after a share of the budget is called."""
    return f"{share:g}"


def seconds_of(budget: str | float) -> float:
    """Seconds of "30m", "1.5h", "90s" or a number of seconds.

    Raises:
        ValueError: another text.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd]?)", str(budget).strip())
    if found is None or not float(found[1]) > 0:
        raise ValueError(f"budget is {budget!r}, expected a time of training such as 90s, 30m or 1.5h")
    return float(found[1]) * UNITS[found[2] or "s"]


def moments_of(given: str | float | Sequence[float]) -> tuple[float, ...]:
    """Shares of a budget, rising, with 1 as the last.

    Raises:
        ValueError: one is not above 0 and at most 1.
    """
    try:
        shares = [given] if isinstance(given, int | float) else [float(part) for part in listed(given)]
    except ValueError:
        shares = []
    if not shares or not all(0 < share <= 1 for share in shares):
        raise ValueError(f"moments is {given!r}, expected shares of the budget above 0 and up to 1, such as 0.25,0.5,1")
    return tuple(sorted({*map(float, shares), 1.0}))


def seeds_of(given: int | str | Sequence[int]) -> list[int]:
    """Seeds: 3 stands for 0, 1 and 2, a list for itself.

    Raises:
        ValueError: anything but a number from 1 or different whole numbers from 0.
    """
    if isinstance(given, int) and not isinstance(given, bool) and given >= 1:
        return list(range(given))
    words = [] if isinstance(given, int) else listed(given)
    if not words or not all(word.isdigit() for word in words) or len({*map(int, words)}) < len(words):
        raise ValueError(f"seeds is {given!r}, expected how many, or different seeds such as 0,1,5")
    return [int(word) for word in words]


def runs_of(bundles: Sequence[str], seeds: Sequence[int], part: int | None = None, of: int | None = None) -> list[Run]:
    """All runs, or one of several parts of them: the first seed of every bundle, then the second, and so on.

    Parts have no run in common, and together all; which one a run is in follows from its place in the list alone.

    Raises:
        ValueError: a part without the number of parts, or one that is none of them.
    """
    runs = [Run(bundle, seed) for seed in seeds for bundle in bundles]
    if part is None and of is None:
        return runs
    if part is None or of is None or not 1 <= part <= of:
        raise ValueError(f"part is {part} of {of}, expected for instance --part 1 --of 4, up to --part 4 --of 4")
    return runs[part - 1 :: of]


def check_clock(clock: str) -> str:
    """Return the name of a clock that there is."""
    check_choice("clock", clock, CLOCKS)
    return clock
