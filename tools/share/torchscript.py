"""TorchScript files that depend on the network alone, not on where and when they were made."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a ZIP entry can have, in place of the time of writing."""

ALIGNMENT = 64
"""Bytes; where torch begins its records."""


def normalised(content: bytes, extra: Mapping[str, bytes] | None = None) -> bytes:
    """A TorchScript archive without what differs from machine to machine.

    Args:
        content: bytes as `torch.jit.save` writes them.
        extra: further files for `_extra_files` of `torch.jit.load`, by name.

    Dropped are the `.debug_pkl` records: they hold the paths of the source files, and serve error messages alone. The
    folder within the archive, which torch calls like the file, becomes "model"; records are sorted.

    Raises:
        ValueError: this is no TorchScript archive.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            records = {name.split("/", 1)[1]: archive.read(name) for name in archive.namelist() if "/" in name}
    except zipfile.BadZipFile as error:
        raise ValueError(f"not a TorchScript archive: {error}") from error
    if "version" not in records or not any(name.startswith("code/") for name in records):
        raise ValueError("not a TorchScript archive: it has no code. Was it written by torch.jit.save?")
    kept = {
        name: data
        for name, data in records.items()
        if not name.endswith(".debug_pkl") and name != ".data/serialization_id"
    }
    kept |= {f"extra/{name}": data for name, data in (extra or {}).items()}
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(kept):
            entry = zipfile.ZipInfo(f"model/{name}", EPOCH)
            entry.create_system = 3
            # records are mapped into memory: torch pads their headers so that they start at multiples of 64
            start = stream.tell() + 30 + len(entry.filename) + 4
            padding = -start % ALIGNMENT
            entry.extra = b"FB" + padding.to_bytes(2, "little") + b"Z" * padding
            archive.writestr(entry, kept[name])
    return stream.getvalue()
