"""The files of a bundle, packed or not, to be looked at one after the other; links are not followed."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tools.share.archive import seekable


@dataclass(frozen=True)
class BundleFiles:
    """Files by their path in the bundle.

    Attributes:
        sizes: path -> bytes.
        links: paths of links and devices, which are named and not opened.
        opened: path -> a file that can be read, not always one that can go back.
    """

    sizes: dict[str, int]
    links: tuple[str, ...]
    opened: Callable[[str], IO[bytes]]

    def read(self, path: str, most: int) -> bytes:
        """The beginning of a file: up to ``most`` bytes and one, which says that there are more."""
        with self.opened(path) as file:
            return file.read(most + 1)

    @contextmanager
    def seekable(self, path: str) -> Iterator[IO[bytes]]:
        """A file that can go back."""
        with self.opened(path) as file:
            if file.seekable() and not isinstance(file, zipfile.ZipExtFile):
                yield file
            else:
                with seekable(file) as copy:
                    yield copy


@contextmanager
def archive_files(path: Path) -> Iterator[BundleFiles]:
    """The files of an archive that was checked, without the folder that all lie in."""
    with zipfile.ZipFile(path) as archive:
        entries = {e.filename.split("/", 1)[1]: e for e in archive.infolist() if not e.is_dir()}
        yield BundleFiles(
            {name: e.file_size for name, e in entries.items()}, (), lambda name: archive.open(entries[name])
        )


@contextmanager
def folder_files(folder: Path) -> Iterator[BundleFiles]:
    """The files of an unpacked bundle."""
    sizes, links = {}, []
    for root, folders, names in os.walk(folder):
        links += [Path(root, name) for name in folders if Path(root, name).is_symlink()]
        for path in (Path(root, name) for name in names):
            if path.is_symlink() or not path.is_file():
                links.append(path)
            else:
                sizes[path.relative_to(folder).as_posix()] = path.stat().st_size
    named = tuple(sorted(path.relative_to(folder).as_posix() for path in links))
    yield BundleFiles(sizes, named, lambda name: (folder / name).open("rb"))
