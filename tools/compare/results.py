"""What the runs of a comparison came to, gathered from their folders."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tools.compare.design import Run, RunFolder, Settings, moment_name, run_folders
from tools.compare.measuring import FLOOR
from tools.metrics.ranking import Estimate, Measure, Place, estimated, places

END = moment_name(1.0)
START = moment_name(0.0)


class Ranked(NamedTuple):
    """What a bundle came to in a ranking.

    Attributes:
        estimate: mean over its runs; over other images, where it has one.
        place: place among the bundles.
    """

    estimate: Estimate
    place: Place

    def record(self) -> dict[str, float]:
        """Both as one record."""
        mean, low, high, seeds = self.estimate
        rank, best, worst, leads = self.place
        numbers = {"mean": mean, "low": low, "high": high, "seeds": seeds}
        return numbers | {"rank": rank, "best": best, "worst": worst, "leads": leads}


@dataclass(frozen=True)
class Results:
    """Runs that are measured, and what is missing.

    Attributes:
        runs: result of each run, as `tools.compare.measuring` wrote it.
        missing: sentence on each run that has no result.
        settings: settings of all of them.
        folders: folder of each run.
    """

    runs: dict[Run, dict[str, Any]]
    settings: Settings
    folders: dict[Run, RunFolder]
    missing: list[str] = field(default_factory=list)

    @property
    def bundles(self) -> list[str]:
        """Bundles that have a run, as they stand in the folder."""
        return list(dict.fromkeys(run.bundle for run in self.runs))

    @property
    def spaces(self) -> list[str]:
        """Feature spaces."""
        return list(next(iter(self.runs.values()))["spaces"])

    def of(self, bundle: str) -> dict[int, dict[str, Any]]:
        """Results of a bundle's runs by seed."""
        return {run.seed: found for run, found in self.runs.items() if run.bundle == bundle}

    def value(self, run: Run, space: str, metric: str, moment: str = END) -> Estimate | None:
        """A score of a run at a moment, with its interval over images; None if it has none."""
        score = self.runs[run]["spaces"][space]["models"].get(moment, {}).get(metric)
        if score is None or score.get("value") is None:
            return None
        low, high = (math.nan if score.get(end) is None else score[end] for end in ("low", "high"))
        return Estimate(score["value"], low, high, 1)

    def values(self, bundle: str, space: str, metric: str, moment: str = END) -> list[Estimate]:
        """That score of all runs of a bundle which have it."""
        found = (self.value(run, space, metric, moment) for run in self.runs if run.bundle == bundle)
        return [one for one in found if one is not None]

    def ranking(self, space: str, metric: str = "fid") -> dict[str, Ranked]:
        """Bundles by a distance at the end of the budget, the best first; without those that have none."""
        runs = {bundle: values for bundle in self.bundles if (values := self.values(bundle, space, metric))}
        estimates, draws = {}, {}
        for key, (bundle, values) in enumerate(runs.items()):
            estimates[bundle], draws[bundle] = estimated(values, key=key)
        found = places(Measure(metric, "lower", {name: one.value for name, one in estimates.items()}, draws))
        order = sorted(found, key=lambda bundle: found[bundle].rank)
        return {bundle: Ranked(estimates[bundle], found[bundle]) for bundle in order}

    def floor(self, space: str, metric: str) -> float | None:
        """What real images that were trained on have to those that were not; the same for all runs."""
        score = next(iter(self.runs.values()))["spaces"][space]["models"].get(FLOOR, {}).get(metric, {})
        return score.get("value")

    def doubts(self) -> list[str]:
        """Sentences on what a reader of the table has to know."""
        digests: dict[str, list[str]] = {}
        for run, found in self.runs.items():
            digests.setdefault(found["real_digest"], []).append(run.bundle)
        said = []
        if len(digests) > 1:
            groups = "; ".join(", ".join(dict.fromkeys(names)) for names in digests.values())
            said.append(
                f"bundles were measured against real images that are not the same voxel for voxel ({groups}), as their "
                "preprocessing differs"
            )
        for run, found in self.runs.items():
            said += [f"{run.name} at {name} of the budget: {why}" for name, why in found["problems"].items()]
        once = [bundle for bundle in self.bundles if len(self.of(bundle)) == 1]
        if once == self.bundles:
            said.append(
                "every bundle was trained once: intervals and ranks tell what other images would change, and not what "
                "other seeds would"
            )
        elif once:
            said.append(
                f"trained once: {', '.join(once)}. Intervals and ranks take for these what other images would change, "
                "and not what other seeds would, which may be more"
            )
        return said


def gathered(output_dir: Path, asked: Sequence[Run] = ()) -> Results | None:
    """All runs of a folder that are measured; None if none is.

    Args:
        output_dir: folder of the comparison.
        asked: runs that should be there.

    Raises:
        ValueError: runs of other settings lie in the folder.
    """
    folders = run_folders(output_dir)
    records = {folder: folder.read(RunFolder.RECORD) for folder in folders}
    check_settings(records)
    found, places, missing = {}, {}, []
    for folder, record in records.items():
        run = Run(record["bundle"], record["seed"])
        if folder.is_measured:
            found[run], places[run] = folder.read(RunFolder.RESULT), folder
        else:
            missing.append(f"{run.name}: {'trained, not measured' if folder.is_trained else 'begun, not trained'}")
    known = {record["bundle"] + str(record["seed"]) for record in records.values()}
    missing += [f"{run.name}: not begun" for run in asked if run.bundle + str(run.seed) not in known]
    if not found:
        return None
    settings = Settings.of_record(next(iter(records.values()))["settings"])
    return Results(found, settings, places, missing)


def check_settings(records: dict[RunFolder, dict[str, Any]], wanted: Settings | None = None) -> None:
    """Look whether runs have the same settings, and those that are wanted.

    Raises:
        ValueError: some are others, with what differs.
    """
    expected = None if wanted is None else wanted.record()
    for folder, record in records.items():
        given = record["settings"]
        expected = given if expected is None else expected
        if differing := [key for key in expected if expected[key] != given.get(key)]:
            key = differing[0]
            raise ValueError(
                f"{folder.path} is of a comparison with {key} {given.get(key)!r}, and {expected[key]!r} is asked for; "
                "what is compared must be alike: give the same options, or another --output_dir"
            )


def check_folder(output_dir: Path, settings: Settings) -> None:
    """Look whether what lies in a folder is of these settings, see `check_settings`."""
    check_settings({folder: folder.read(RunFolder.RECORD) for folder in run_folders(output_dir)}, settings)
