"""The command that generates a cohort with one or several trained bundles, in equal shares."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tools.data.removal import TABLE
from tools.ensemble.generation import write_cohort
from tools.ensemble.members import members_of
from tools.options import listed


def generate(
    bundles: str | Sequence[str],
    count: int,
    output_dir: str,
    seed: int = 0,
    part: int = 1,
    of: int = 1,
    **options: Any,
) -> None:
    """Generate samples with one or several trained bundles, in equal shares, into one folder with a table.

    The folder is in the layout that the bundles write; samples.csv says which member made which sample, and from which
    seed. A member's samples are those that its bundle makes from these seeds by itself. An interrupted run goes on with
    the same command, and a greater count adds to a folder. Other options are ids of the bundles' inference.json, such
    as --steps 20.

    Args:
        bundles: members, separated by commas: folders or names of bundles, files of weights, folders that a training
            wrote into, or an ensemble of train_ensemble.
        count: number of samples, of all members together.
        output_dir: folder for them.
        seed: first seed of the first member; each further member begins 100,000 seeds later.
        part: number of this job, from 1, where several share the work.
        of: number of jobs.
    """
    members = members_of(listed(bundles))
    samples = write_cohort(members, count, output_dir, seed, options, part, of)
    made = [sum(sample.member == number for sample in samples) for number in range(1, len(members) + 1)]
    rest = f"; {count % len(members)} do not divide, one more of the first each" if count % len(members) else ""
    print(f"{count} samples of {len(members)} members ({', '.join(map(str, made))}{rest}) are in {output_dir}")
    print(Path(output_dir) / TABLE)
