"""Classes of volumes, for conditional generation."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Collection, Sequence
from pathlib import Path

SEPARATORS = (",", ";", "\t")
"""Separators of columns in tables: Excel takes semicolons where the decimal sign is a comma, tabs in UTF-16."""

COLUMNS = ("id", "label")


def with_labels(datalist: Sequence[dict], labels_file: str | Path, num_classes: int) -> list[dict]:
    """Add "label" from a table with the columns ``id`` and ``label`` (0 to num_classes - 1) to every item.

    The table is CSV as a spreadsheet writes it: UTF-8 with or without a byte order mark, or UTF-16 with one; columns
    separated by commas, semicolons or tabs; further columns, and rows of volumes that are not in the datalist, do not
    matter.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no such table; a volume of the datalist has no label, one that is not a class, or two
            that differ.
    """
    path = Path(labels_file)
    if not path.is_file():
        raise FileNotFoundError(
            f"no {path}: {num_classes} classes need a CSV file with the columns 'id' (the name of the volume's file "
            "without its ending) and 'label'. Give it with --labels, or train without classes."
        )
    ids = {item["id"] for item in datalist}
    found = _labels_by_id(path, _rows(path), ids)
    missing = [item["id"] for item in datalist if found.get(item["id"], {"": 0}).keys() == {""}]
    if missing:
        raise ValueError(
            f"{path} has no label for {len(missing)} of {len(datalist)} volumes: {missing[:5]}. Ids are names of files "
            "without their ending."
        )
    labels = {identifier: next(iter(lines)) for identifier, lines in found.items()}
    classes = {str(c): c for c in range(num_classes)}
    wrong = {i: label for i, label in labels.items() if label not in classes}
    if wrong:
        raise ValueError(
            f"{path}: labels must be 0 to {num_classes - 1}, but {len(wrong)} are not: {list(wrong.items())[:5]}."
        )
    return [item | {"label": classes[labels[item["id"]]]} for item in datalist]


def class_table(path: str | Path, column: str = "label") -> dict[str, str]:
    """Name of a class by id, from a table in the forms that `with_labels` takes.

    Args:
        path: path of the table. Ids, of volumes or of their subjects, are in the column "id", or in the first without
            such a column.
        column: name of the column with the classes, which may be any text; rows without one are left out.

    Raises:
        ValueError: the file is no such table, or gives one id two classes.
    """
    found = _labels_by_id(Path(path), _rows(Path(path), (None, column)))
    return {identifier: label for identifier, lines in found.items() for label in lines if label}


def _labels_by_id(
    path: Path, rows: Sequence[tuple[int, str, str]], ids: Collection[str] | None = None
) -> dict[str, dict[str, int]]:
    """Id -> label as it is written -> first line that says so, of some ids; the one label that each has."""
    found: dict[str, dict[str, int]] = {}
    for line, identifier, label in rows:
        if ids is None or identifier in ids:
            found.setdefault(identifier, {}).setdefault(_whole(label), line)
    _refuse_contradictions(path, found)
    return found


def _refuse_contradictions(path: Path, found: dict[str, dict[str, int]]) -> None:
    several = {identifier: lines for identifier, lines in found.items() if len(lines) > 1}
    if several:
        shown = "; ".join(
            f"{identifier} has " + " and ".join(f"{label or 'none'} (line {line})" for label, line in lines.items())
            for identifier, lines in list(several.items())[:5]
        )
        raise ValueError(
            f"{path}: {len(several)} volume(s) have rows that contradict each other: {shown}. Leave one row for each."
        )


def _rows(path: Path, wanted: tuple[str | None, str] = COLUMNS) -> list[tuple[int, str, str]]:
    """(line, id, label) of every row, both without spaces around them; "" for what a row lacks.

    ``wanted`` are the names of the two columns; None for the ids is "id", or the first where none is called so.
    """
    text = table_text(path)
    header = text.partition("\n")[0]
    names = {separator: next(csv.reader([header], delimiter=separator), []) for separator in SEPARATORS}
    separator = next((s for s, n in names.items() if {*wanted} - {None} <= {name.strip() for name in n}), None)
    if separator is None:
        columns = [name.strip() for name in max(names.values(), key=len)]
        raise ValueError(
            f"{path} has the columns {columns}, expected 'id' and {wanted[1]!r} in its first line, separated by a "
            "comma, a semicolon or a tab."
        )
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    columns = [name.strip() for name in next(reader)]
    first = "id" if wanted[0] is None and "id" in columns else wanted[0] or columns[0]
    places = [columns.index(name) for name in (first, wanted[1])]
    rows = []
    for row in reader:
        identifier, label = (row[place].strip() if place < len(row) else "" for place in places)
        rows.append((reader.line_num, identifier, label))
    return rows


def table_text(path: Path) -> str:
    """Text of a table in UTF-8, with or without a byte order mark, or in UTF-16 with one."""
    content = path.read_bytes()
    utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return content.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text in UTF-8 ({error}); save it as 'CSV UTF-8'") from error


def _whole(label: str) -> str:
    """A whole number without what a table of floating-point numbers adds to it: 1.0 is the class 1."""
    whole, _, fraction = label.partition(".")
    return whole if whole.isdigit() and not fraction.strip("0") else label
