"""Archives of bundles: written the same way every time, and checked before anything in them is opened.

A ZIP can name files outside the folder it is unpacked to, hold links, expand to any size, or carry a pickle that runs
code when it is loaded. None of that gets past ``check_archive``, which only reads.
"""

from __future__ import annotations

import hashlib
import io
import stat
import tempfile
import unicodedata
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

import torch

from tools.files import whole_file
from tools.share.bounded import parse_config
from tools.share.pickles import code_inside
from tools.share.plain import plain
from tools.share.torchscript import EPOCH
from tools.torch_files import read_torch_file

CHECKSUMS = "SHA256SUMS"
"""Name of the list of checksums in a bundle, in the form that `sha256sum --check` reads."""

LARGE_FILES = "large_files.yml"

REFUSED_ENDINGS = (".pkl", ".pickle", ".joblib", ".pyc", ".pyo", ".so", ".pyd", ".dll", ".dylib", ".exe", ".pth")
"""Pickles and machine code, which a bundle has no use for."""

CHUNK = 1 << 20
"""Bytes that are read at a time."""

IN_MEMORY = 64 << 20
"""Bytes of a file that are kept in memory; longer ones are looked at in a temporary file."""

METHODS = {zipfile.ZIP_STORED: "stored", zipfile.ZIP_DEFLATED: "deflated"}

DAMAGES = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError, UnicodeError, OverflowError)
"""What `zipfile` raises for damaged and odd archives; a RuntimeError for what it has no means to read."""


class ArchiveError(ValueError):
    """An archive that must not be opened; the message names the file in it and the reason, in plain text."""

    def __init__(self, message: str) -> None:
        super().__init__(plain(message, longest=1000))


@dataclass(frozen=True)
class Limits:
    """What an archive may have.

    Attributes:
        files: entries.
        file_bytes: largest size of one file, unpacked.
        total_bytes: largest size of all files together, unpacked.
        ratio: unpacked to packed size of a file.
    """

    files: int = 2000
    file_bytes: int = 4 << 30
    total_bytes: int = 8 << 30
    ratio: float = 200.0


def write_archive(path: Path, name: str, files: Mapping[str, bytes]) -> None:
    """Write files as ``name``/... in a ZIP whose bytes depend on them alone.

    Entries are sorted, dated 1980 and readable by all. They are stored, not compressed: weights hardly shrink, and what
    deflate writes depends on the version of zlib.
    """
    with whole_file(path) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        for relative in sorted(files):
            entry = zipfile.ZipInfo(f"{name}/{relative}", EPOCH)
            entry.create_system = 3  # Unix, whatever this machine is
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(entry, files[relative])


def checksums(files: Mapping[str, bytes]) -> str:
    """The content of `SHA256SUMS` for files by their path in the bundle."""
    return "".join(f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files))


def check_archive(path: str | Path, limits: Limits = Limits(), checksum: str | None = None) -> str:
    """Check a bundle's archive without unpacking it.

    Checked are, in this order: the archive's own checksum if one is given; names (one folder, nothing absolute, no
    `..`, no duplicates); links and other things that are no files; number, sizes and compression; the checksum of
    each file, none missing and none besides; that weights are tensors and nothing else.

    Args:
        path: path of the ZIP.
        limits: largest sizes and numbers allowed.
        checksum: SHA-1 or SHA-256 in hexadecimal digits of the whole archive, from where you trust it.

    Returns:
        The bundle's name.

    Raises:
        FileNotFoundError: no such file.
        ArchiveError: the archive must not be opened.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file. Give the path of a bundle's archive, NAME_v0.2.0.zip.")
    if checksum is not None:
        _check_whole(path, checksum)
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            name = _check_names(entries)
            _check_sizes(entries, path.stat().st_size, limits, path.name)
            _check_checksums(archive, name)
            _check_content(archive, name, limits)
    except DAMAGES as error:
        raise ArchiveError(f"{path.name} is damaged, or no ZIP: {error}. Download it again.") from error
    return name


def unpack(path: str | Path, output_dir: str | Path, limits: Limits = Limits()) -> Path:
    """Check an archive, then unpack it; the bundle's folder.

    Raises:
        FileExistsError: the folder is there and not empty.
        ArchiveError: the archive is refused, see ``check_archive``.
    """
    name = check_archive(path, limits)
    folder = Path(output_dir) / name
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty. Remove it, or unpack to another folder.")
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if not entry.is_dir():
                target = Path(output_dir) / entry.filename
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(entry))
    return folder


def is_weights(content: bytes) -> str | None:
    """None if ``content`` is a state dict of tensors that loads without running code; else the reason."""
    try:
        state = read_torch_file(io.BytesIO(content), "it")
    except ValueError as error:
        return str(error)
    if not isinstance(state, Mapping):
        return f"it holds a {type(state).__name__}, not a state dict"
    others = [str(key) for key, value in state.items() if not isinstance(value, torch.Tensor)]
    return f"{others[0]} is no tensor" if others else None


def seekable(file: IO[bytes]) -> IO[bytes]:
    """A copy of a file that one can go back in, in memory or, if it is long, in a temporary file."""
    copy: IO[bytes] = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 (it is given back open)
    while chunk := file.read(CHUNK):
        copy.write(chunk)
    copy.seek(0)
    return copy


def _check_whole(path: Path, expected: str) -> None:
    kinds = {40: hashlib.sha1, 64: hashlib.sha256}
    if len(expected) not in kinds:
        raise ValueError(f"the checksum has {len(expected)} digits; give SHA-1 (40) or SHA-256 (64)")
    digest = kinds[len(expected)]()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    if digest.hexdigest() != expected.lower():
        raise ArchiveError(
            f"{path.name} has the checksum {digest.hexdigest()}, not {expected.lower()}: it is not what was published"
        )


def _check_names(entries: list[zipfile.ZipInfo]) -> str:
    """Names and kinds of entries; the one folder that all lie in."""
    seen: set[str] = set()
    tops: set[str] = set()
    for entry in entries:
        name = entry.orig_filename
        parts = PurePosixPath(name).parts
        if not parts or name.startswith(("/", "\\")) or ":" in name or "\\" in name or "\0" in name or ".." in parts:
            raise ArchiveError(f"{name!r} would be written outside the bundle's folder (an absolute path, or ..)")
        mode = entry.external_attr >> 16
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise ArchiveError(f"{name} is a link or device, not a file (mode {stat.filemode(mode)})")
        if entry.flag_bits & 1:
            raise ArchiveError(f"{name} is encrypted, so that it cannot be checked")
        if entry.compress_type not in METHODS:
            raise ArchiveError(f"{name} is compressed by method {entry.compress_type}, not stored or deflated")
        if entry.flag_bits & 0x60:
            raise ArchiveError(
                f"{name} is a patch or encrypted (flags {entry.flag_bits:#x}), so that it cannot be checked"
            )
        same = unicodedata.normalize("NFC", str(PurePosixPath(name)).casefold()).rstrip(". ")
        if same in seen:
            raise ArchiveError(f"{name} is there twice: which of the two is unpacked depends on the program")
        seen.add(same)
        tops.add(parts[0])
        if not entry.is_dir() and len(parts) < 2:
            raise ArchiveError(f"{name} lies beside the bundle's folder; an archive has one folder with all in it")
    if len(tops) != 1:
        raise ArchiveError(f"an archive has one folder with all in it; this one has {sorted(tops) or 'nothing'}")
    return tops.pop()


def _check_sizes(entries: list[zipfile.ZipInfo], archive_bytes: int, limits: Limits, where: str) -> None:
    if len(entries) > limits.files:
        raise ArchiveError(f"{where} has {len(entries)} files, more than {limits.files}")
    for entry in entries:
        if entry.file_size > limits.file_bytes:
            raise ArchiveError(
                f"{entry.filename} would be {entry.file_size} bytes, more than {limits.file_bytes}: a ZIP bomb?"
            )
        if entry.file_size > limits.ratio * max(entry.compress_size, 1):
            raise ArchiveError(
                f"{entry.filename} would unpack to {entry.file_size / max(entry.compress_size, 1):.0f} times its "
                f"size, more than {limits.ratio:g}: a ZIP bomb?"
            )
    total = sum(entry.file_size for entry in entries)
    if total > limits.total_bytes:
        raise ArchiveError(f"{where} would unpack to {total} bytes, more than {limits.total_bytes}: a ZIP bomb?")
    end = -1
    for entry in sorted(entries, key=lambda entry: entry.header_offset):
        if entry.header_offset < end or entry.header_offset + entry.compress_size > archive_bytes:
            raise ArchiveError(f"{entry.filename} shares its bytes with another file of {where}: a ZIP bomb?")
        end = entry.header_offset + 30 + entry.compress_size


def _check_checksums(archive: zipfile.ZipFile, name: str) -> None:
    try:
        with archive.open(f"{name}/{CHECKSUMS}") as file:
            text = file.read(IN_MEMORY).decode()
    except (KeyError, UnicodeDecodeError) as error:
        raise ArchiveError(f"{name}/{CHECKSUMS} is missing or no text: the files cannot be checked") from error
    expected = {}
    for line in text.splitlines():
        digest, separator, relative = line.partition("  ")
        if not separator or len(digest) != 64:
            raise ArchiveError(f"{name}/{CHECKSUMS}: not a line of `sha256sum`: {line[:100]!r}")
        expected[relative] = digest
    elsewhere = _large(archive, name)
    names = {entry.filename.split("/", 1)[1] for entry in archive.infolist() if not entry.is_dir()}
    for relative in sorted(names - set(expected) - {CHECKSUMS}):
        raise ArchiveError(f"{name}/{relative} is not listed in {CHECKSUMS}: it was added later")
    for relative in sorted(set(expected) - names - elsewhere):
        raise ArchiveError(f"{name}/{relative} is listed in {CHECKSUMS} but missing")
    for relative in sorted(names & set(expected)):
        with archive.open(f"{name}/{relative}") as file:
            if _sha256(file) != expected[relative]:
                raise ArchiveError(f"{name}/{relative} is not the file that {CHECKSUMS} lists: it was altered")


def _check_content(archive: zipfile.ZipFile, name: str, limits: Limits) -> None:
    """Weights are tensors; nothing else is a pickle or machine code, whatever its name."""
    for entry in archive.infolist():
        if entry.filename.lower().endswith(REFUSED_ENDINGS):
            raise ArchiveError(f"{entry.filename} can hold pickled or compiled code, which a bundle has no use for")
        if entry.is_dir():
            continue
        with archive.open(entry) as file, seekable(file) as stream:
            if zipfile.is_zipfile(stream):  # torch's files are ZIPs themselves
                stream.seek(0)
                with zipfile.ZipFile(stream) as inner:
                    _check_sizes(inner.infolist(), entry.file_size, limits, entry.filename)
            stream.seek(0)
            if entry.filename.endswith(".pt"):
                reason = is_weights(stream.read())
                if reason is not None:
                    raise ArchiveError(f"{entry.filename} does not load as weights alone (weights_only=True): {reason}")
            elif (reason := code_inside(stream)) is not None:
                raise ArchiveError(f"{entry.filename} can hold pickled or compiled code: it is {reason}")


def _large(archive: zipfile.ZipFile, name: str) -> set[str]:
    """Paths that are to be downloaded: inside the bundle's folder, with a SHA-256."""
    if f"{name}/{LARGE_FILES}" not in archive.namelist():
        return set()
    try:
        with archive.open(f"{name}/{LARGE_FILES}") as file:
            items = parse_config(LARGE_FILES, file.read(IN_MEMORY))["large_files"]
        paths = {item["path"] for item in items}
        unhashed = [item["path"] for item in items if item.get("hash_type") != "sha256" or not item.get("hash_val")]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ArchiveError(f"{name}/{LARGE_FILES} does not list large files: {error}") from error
    for path in paths:
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts or "\\" in path:
            raise ArchiveError(f"{name}/{LARGE_FILES}: {path} would be written outside the bundle's folder")
    if unhashed:
        raise ArchiveError(f"{name}/{LARGE_FILES}: {unhashed[0]} has no SHA-256, so anything could be downloaded")
    return paths


def _sha256(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(CHUNK):
        digest.update(chunk)
    return digest.hexdigest()
