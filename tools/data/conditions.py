"""A number that is known of each volume, such as an age, as a condition in [0, 1], and volumes asked for another."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tools.data.labels import table_text
from tools.data.slices import SliceStore
from tools.datasets.gsp import subject as subject_of_gsp
from tools.io import left_out

SEPARATORS = (",", ";", "\t")


def with_conditions(
    datalist: Sequence[dict[str, Any]],
    table: str | os.PathLike,
    column: str,
    bounds: Sequence[float],
    subject: Callable[[str], str] = subject_of_gsp,
) -> list[dict[str, Any]]:
    """Add "condition" in [0, 1] from a table to every item, and make "image" a list of one path, as slices are read.

    The first column of the table is the id of a volume, or the name of its subject, which all of its volumes share;
    CSV in UTF-8 with commas, semicolons or tabs. Volumes without a number are left out with a warning.

    Args:
        datalist: `[{"image": path, "id": ...}, ...]`.
        table: path of the table.
        column: name of the column with the condition.
        bounds: values that become 0 and 1; numbers beyond are an error, for nothing is clipped in silence.
        subject: function that tells the subject of an id.

    Raises:
        FileNotFoundError: there is no such table.
        ValueError: no such column, a number beyond the bounds, or no volume with one.
    """
    known = _numbers(Path(table), column)
    found, lacking = [], {}
    low, high = bounds
    for item in datalist:
        value = known.get(item["id"], known.get(subject(item["id"])))
        if value is None:
            lacking[item["id"]] = f"it has no number in the column {column!r} of {Path(table).name}"
            continue
        if not low <= value <= high:
            raise ValueError(
                f"{table}: {column} of {item['id']} is {value:g}, and --condition_range is {list(bounds)}; give the "
                f"range of the data, such as [{min(known.values()):g}, {max(known.values()):g}]"
            )
        found.append({**item, "image": [item["image"]], "condition": (value - low) / (high - low)})
    if not found:
        raise ValueError(
            f"{table} has no number in the column {column!r} for any of {len(datalist)} volumes, for instance "
            f"{datalist[0]['id']}; its first column names volumes or subjects, for instance {[*known][:3]}"
        )
    if lacking:
        left_out.warn_of(str(table), lacking, len(datalist), stacklevel=2)
    return found


def with_others_conditions(items: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Ask each volume for the condition of the next, "asked": as a set they are asked for what is real."""
    following = [*items[1:], *items[:1]]
    return [item | {"asked": other["condition"]} for item, other in zip(items, following, strict=True)]


def asked_volumes(
    datalist: Sequence[dict[str, Any]], conditions: Sequence[float] | None, column: str, bounds: Sequence[float]
) -> list[dict[str, Any]]:
    """Each volume under each of some conditions: items with "asked" in [0, 1], whose ids say what was asked for.

    Args:
        datalist: `[{"image": path, "id": ...}, ...]`.
        conditions: numbers in the unit of the table; None takes both ends and the middle.
        column: name of the condition.
        bounds: values of 0 and 1.

    Raises:
        ValueError: a condition beyond the bounds, or none.
    """
    low, high = bounds
    conditions = [low, (low + high) / 2, high] if conditions is None else list(conditions)
    beyond = [value for value in conditions if not low <= value <= high]
    if beyond or not conditions:
        raise ValueError(f"conditions are {conditions}, expected numbers from {low:g} to {high:g}, as was trained")
    return [
        {
            **item,
            "id": f"{item['id']}_{column}{value:g}",
            "image": [item["image"]],
            "asked": (value - low) / (high - low),
        }
        for item in datalist
        for value in conditions
    ]


class ConditionedStacks(SliceStore):
    """Stacks of consecutive axial slices with the condition of their volume, see `SliceStore`.

    A stack has no slice beyond its volume's, and shows something in its middle one.

    Args:
        data: items with "condition", see `with_conditions`.
        outer: share of a volume's slices that are left out at each end.
        arguments: arguments of `SliceStore`, by name.

    Raises:
        ValueError: no stack is left.
    """

    def __init__(self, data: Sequence[dict[str, Any]], outer: float = 0.0, **arguments: Any) -> None:
        super().__init__(data, **arguments)
        by_id = {item["id"]: float(item["condition"]) for item in data}
        self.conditions = [by_id[identifier] for identifier in self.ids]
        half = self.slices // 2
        self._places = [
            (number, middle)
            for number, middle in self._places
            for count in [len(self._arrays[number][0])]
            for first in [max(half, math.floor(outer * count) + half)]
            if first <= middle < count - first
        ]
        if not self._places:
            raise ValueError(f"no stack of {self.slices} slices is left of {len(data)} volumes: {outer:g} of each end")

    def __getitem__(self, index: int) -> dict[str, Any]:
        """ "image" [slices, H, W], float32 in [-1, 1], and its "condition"."""
        return {"image": super().__getitem__(index), "condition": self.conditions[self._places[index][0]]}


def _numbers(path: Path, column: str) -> dict[str, float]:
    """Id in the first column -> number in another; rows without a number are none."""
    if not path.is_file():
        raise FileNotFoundError(
            f"no {path}: the condition is read from a CSV file with the ids of volumes or subjects in its first column "
            f"and a column {column!r}. Give it with --table, and --condition_column and --condition_range."
        )
    text = table_text(path)
    header = text.partition("\n")[0]
    separator = max(SEPARATORS, key=header.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    names = [name.strip() for name in next(rows, [])]
    if column not in names[1:]:
        raise ValueError(f"{path} has the columns {names}, expected ids in the first and another {column!r}")
    place, found = names.index(column), {}
    for row in rows:
        try:
            number = float(row[place])
        except (ValueError, IndexError):
            continue
        if math.isfinite(number):
            if found.get(row[0].strip(), number) != number:
                raise ValueError(f"{path} has two numbers in the column {column!r} for {row[0].strip()}; leave one")
            found[row[0].strip()] = number
    return found
