"""Files and folders that are written whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PARTIAL = ".*.partial.*"
"""Pattern of the names under which files are written; a killed process leaves such a file behind."""

_ENDING = re.compile(r"(\.[A-Za-z0-9]{1,8}){0,2}$")

_HOME = re.compile(r"""(?<![^=,'"\[(])~[^/,'"\])]*""")

_NO_UTF8 = re.compile("[\udc80-\udcff]")  # how Python holds the bytes of a name that are none

FULL = (errno.ENOSPC, errno.EDQUOT)
"""Errors of a disk on which there is no room, or no room for this user."""

NAME_BYTES = 255
"""Longest name of a file on common file systems."""


def as_text(path: str | os.PathLike) -> str:
    """A path that can be printed and stored: bytes that are no UTF-8 are read as Latin-1."""
    return _NO_UTF8.sub(lambda byte: chr(ord(byte[0]) - 0xDC00), os.fsdecode(path))


def with_home(text: str) -> str:
    """``text`` with ``~`` written out as the home folder, at its start and after ``=``, ``,`` and what opens a list.

    No shell does so in ``--output_dir=~/out`` and ``a=~/x,b=~/y``.
    """
    return _HOME.sub(lambda home: os.path.expanduser(home[0]), text)


def natural_order(name: str) -> list[str | int]:
    """Text and numbers of a name in turn, a key to sort by that puts 2 before 10."""
    return [int(part) if turn % 2 else part.casefold() for turn, part in enumerate(re.split(r"(\d+)", name))]


def file_name(name: str, ending: str) -> str:
    """``name`` and ``ending`` as the name of a file: without slashes, and one that is too long cut and made unique."""
    name = as_text(name).replace("/", "_")
    room = NAME_BYTES - len(os.fsencode(ending))
    if len(name.encode()) > room:
        digest = hashlib.sha256(name.encode()).hexdigest()[:8]
        name = name.encode()[: room - len(digest) - 1].decode(errors="ignore") + "_" + digest
    return name + ending


def check_file_names(ids: Iterable[str]) -> None:
    """Looks whether what is made of each of these ids can be written beside the others, see `file_name`.

    Raises:
        ValueError: two of them would have one name, as `a/b` and `a_b`.
    """
    known: dict[str, str] = {}
    for one in ids:
        other = known.setdefault(file_name(one, ""), one)
        if other != one:
            raise ValueError(
                f"what is made of {other!r} and of {one!r} would be written to files of one name, "
                f"{file_name(one, '')}; rename one of the two, or give them one after the other with another "
                "--output_dir"
            )


def partial_path(path: Path) -> Path:
    """A name beside ``path`` and with its ending, under which a file or folder is written until it is whole.

    It is another one for every process and machine that may write there, and short, however long the name is.
    """
    return path.with_name(f".{uuid.uuid4().hex}.partial{_ENDING.search(path.name)[0] or '.'}")


@contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[Path]:
    """A temporary name, in the same folder and with the same ending, that becomes ``path`` when the block succeeds.

    A reader never sees half a file, and what was there before is lost only when the new one is complete and on disk:
    not when the machine loses its power right after.

    Raises:
        OSError: the disk is full, in these words; or whatever else writing raises.

    Example::

        with whole_file("report.json") as partial:
            partial.write_text(text)
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_path(path)
    try:
        with _full_disk_is_said(path):
            yield partial
            _to_disk(partial)
            os.replace(partial, path)
        with suppress(OSError):  # not every system has this for the folder's list of files
            _to_disk(path.parent)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: str | os.PathLike) -> Iterator[Path]:
    """A new folder beside ``path`` that becomes ``path`` when the block succeeds, and is gone when it does not.

    An empty folder that is there already is replaced.

    Raises:
        OSError: ``path`` is a file or holds something, also what another process put there meanwhile; the disk is
            full, in these words; or whatever else writing raises.

    Example::

        with whole_folder("series") as partial:
            (partial / "1.dcm").write_bytes(content)
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_path(path)  # beside the target, for a rename does not cross file systems
    try:
        with _full_disk_is_said(path):
            partial.mkdir()
            yield partial
            if path.is_dir():
                path.rmdir()
            os.rename(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def _full_disk_is_said(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise OSError(
            error.errno,
            f"the disk, or the quota on it, is full: {as_text(path)} could not be written. Make room there. Files "
            "written before are whole; a training goes on with --resume auto",
        ) from error


def remove_partial(folder: str | os.PathLike) -> None:
    """Remove what killed processes left half-written, in a folder that no other process writes into now."""
    for left in Path(folder).glob(PARTIAL):
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def _to_disk(path: Path) -> None:
    """Wait until a file's content is on disk."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
