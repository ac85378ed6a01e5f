"""A cohort of several members in one folder, with a table that says which made which sample."""

from __future__ import annotations

import csv
import io
import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser
from monai.utils import set_determinism

from tools.data.removal import COHORT, TABLE
from tools.ensemble.members import STRIDE, Member, is_generator, members_of, shares
from tools.files import whole_file
from tools.io.labelled_folder import LabelledFolder

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sample:
    """A row of the table.

    Attributes:
        sample: name of the sample's files.
        member: number of the member, from 1.
        bundle: name of its bundle.
        weights_sha256: digest of its weights.
        seed: number that the sample follows from.
        label: class of the sample, "" without one.
    """

    sample: str
    member: int
    bundle: str
    weights_sha256: str
    seed: int
    label: int | str = ""


class _Plan:
    """What one member makes."""

    def __init__(self, member: Member, number: int, count: int, seed: int, options: Mapping[str, Any]) -> None:
        if not 0 < count <= STRIDE:
            raise ValueError(f"a member makes {count} samples, expected 1 to {STRIDE}: those are the seeds it has")
        self.member, self.number = member, number
        self.options = {**options, "num_volumes": count, "seed": seed + (number - 1) * STRIDE}
        parser = self.parser()
        self.items = parser.get_parsed_content("datalist")
        self.folder: LabelledFolder | None = parser.get_parsed_content("folder") if "folder" in parser else None
        digest, name = member.digest(), member.bundle.name
        self.samples = [
            Sample(item["name"], number, name, digest, item["seed"], item.get("label", "")) for item in self.items
        ]

    def parser(self, **more: Any) -> ConfigParser:
        return self.member.parser({**self.options, **more})

    @property
    def layout(self) -> tuple:
        """What the cases of one folder must have in common."""
        of = self.folder
        return () if of is None else (of.images, tuple(of.classes.items()), of.modality, of.layout)

    def is_there(self, name: str, output_dir: Path) -> bool:
        """Whether a sample is written whole."""
        if self.folder is not None and self.folder.has(name):
            return True
        return (output_dir / f"{name}.nii.gz").is_file()

    def make(self, names: Sequence[str]) -> None:
        """Generate some of the samples as the bundle's `inference.json` does, which writes them."""
        given = self.parser()["datalist"]
        if not isinstance(given, str) or not given.startswith("$"):
            raise ValueError(f"{self.member.bundle.folder}: inference.json has no datalist that is an expression")
        chosen = f"$[item for item in ({given[1:]}) if item['name'] in {set(names)!r}]"
        parser = self.parser(datalist=chosen)
        for number, handler in enumerate(parser.config.get("handlers", ())):
            if isinstance(handler, dict) and handler.get("_target_", "").endswith(".MontageSaver"):
                parser[f"handlers#{number}#filename"] = f"montage_{self.number}.png"
        try:
            parser.get_parsed_content("initialize", lazy=True)
            parser.get_parsed_content("evaluator").run()
        finally:
            set_determinism(None)


def write_cohort(
    members: Sequence[Member],
    count: int,
    output_dir: str | os.PathLike,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
    part: int = 1,
    of: int = 1,
) -> list[Sample]:
    """Generate equal shares of several members into one folder, in the layout that their bundles write.

    Member k (from 1) makes its samples from seeds ``seed + (k - 1) * STRIDE`` and so on, as its bundle's own
    `inference.json` does. What is there already is not made again, so that an interrupted run goes on, and a greater
    count adds to a folder. Several jobs share the work by ``part`` and ``of``.

    Args:
        members: members, whose shares `shares` says.
        count: number of samples.
        output_dir: folder of the cohort; beside the samples `samples.csv` says which member made which.
        seed: first seed of the first member.
        options: other values of ids of every member's `inference.json`.
        part: number of this job, from 1.
        of: number of jobs.

    Returns:
        Rows of the table, also for what other jobs make.

    Raises:
        ValueError: numbers that do not fit, an option that a member does not have, or members whose images or classes
            differ.
        FileExistsError: the folder holds a cohort of other members, options or seeds, or a larger one.
    """
    _check(count=count, part=part, of=of)
    if part > of:
        raise ValueError(f"part is {part} of {of}, expected 1 to {of}")
    output_dir = Path(output_dir)
    given = {**(options or {}), "output_dir": str(output_dir)}
    plans = [
        _Plan(member, number, share, seed, given)
        for number, (member, share) in enumerate(zip(members, shares(count, len(members)), strict=True), start=1)
    ]
    for plan in plans[1:]:
        if plan.layout != plans[0].layout:
            raise ValueError(
                f"members 1 ({plans[0].member.bundle.name}) and {plan.number} ({plan.member.bundle.name}) make other "
                f"images or classes, {plans[0].layout or 'images alone'} and {plan.layout or 'images alone'}; one "
                "folder holds samples of one kind"
            )
    samples = [sample for plan in plans for sample in plan.samples]
    record = {
        "count": count,
        "seed": seed,
        "options": dict(options or {}),
        "shares": [len(plan.samples) for plan in plans],
        "members": [
            {"bundle": plan.member.bundle.name, "weights": str(plan.member.file()), "sha256": plan.member.digest()}
            for plan in plans
        ],
    }
    _check_earlier(output_dir, record)
    with whole_file(output_dir / COHORT) as partial:
        partial.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    with whole_file(output_dir / TABLE) as partial:
        partial.write_text(_table(samples), encoding="utf-8")
    place = {sample.sample: number for number, sample in enumerate(samples)}
    for plan in plans:
        mine = [sample.sample for sample in plan.samples if place[sample.sample] % of == part - 1]
        missing = [name for name in mine if not plan.is_there(name, output_dir)]
        logger.info("member %d, %s: %d of %d to make", plan.number, plan.member.bundle.name, len(missing), len(mine))
        if missing:
            plan.make(missing)
    if plans[0].folder is not None and (output_dir / "imagesTr").is_dir():
        plans[0].folder.finish()
    return samples


def folders_of(
    sources: Mapping[str, str],
    count: int,
    work_dir: str | os.PathLike,
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> dict[str, str]:
    """Folder of images by name: folders stay what they are, and for a generator one is made, or gone on with.

    Args:
        sources: folder of images by name, or what `members_of` takes.
        count: number of samples of each generator.
        work_dir: folder for the folders of generators.
        options: other values of ids of the bundles' `inference.json`.
        seed: first seed of each.
    """
    folders = dict(sources)
    for name, source in sources.items():
        if is_generator(source):
            folders[name] = str(Path(work_dir) / name)
            write_cohort(members_of([source]), count, folders[name], seed, options)
    return folders


def _check(**numbers: int) -> None:
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} is {value!r}, expected a whole number from 1")


def _check_earlier(folder: Path, record: Mapping[str, Any]) -> None:
    """Whether what is in the folder is the beginning of this cohort."""
    path = folder / COHORT
    if not path.is_file():
        if (folder / "imagesTr").is_dir() or any(folder.glob("*.nii.gz")):
            raise FileExistsError(f"{folder} holds images that no {COHORT} tells of; choose a new folder")
        return
    before = json.loads(path.read_text(encoding="utf-8"))

    def key(of: Mapping[str, Any]) -> tuple:
        return of["seed"], of["options"], [(one["bundle"], one["sha256"]) for one in of["members"]]

    if key(before) != key(json.loads(json.dumps(record))):
        raise FileExistsError(f"{folder} holds samples of other members, options or seeds; choose a new folder")
    if before["count"] > record["count"]:
        raise FileExistsError(
            f"{folder} holds {before['count']} samples, more than count {record['count']}; choose a new folder"
        )


def _table(samples: Sequence[Sample]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(Sample)])
    writer.writerows(map(astuple, samples))
    return text.getvalue()
