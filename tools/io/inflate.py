"""Compressed voxels, inflated to the size that they should have and no further, with their checksums looked at."""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
from monai.config import PathLike

from tools.io.volume import VolumeError

CHUNK = 1 << 20
SURPLUS = 1 << 20
"""Bytes beyond the expected ones that are inflated on the way to a checksum."""

GZIP = b"\x1f\x8b"
"""The first bytes of a gzip file."""


def inflate(
    path: PathLike,
    data: PathLike,
    size: int,
    out: np.ndarray | None = None,
    start: int = 0,
    skip: int = 0,
    to_end: bool = True,
) -> int:
    """Inflates a zlib stream, or the members of a gzip file; what follows them is ignored, as gunzip does.

    However much is in it, no more than ``skip`` + ``size`` + `SURPLUS` bytes are made of it.

    Args:
        path: the volume, for messages.
        data: the file that holds the stream.
        size: bytes that are wanted.
        out: uint8 [size] that takes them; None to count only.
        start: position in the file where the stream begins.
        skip: bytes of the stream before those that are wanted.
        to_end: True goes on to the checksum, which lies behind the bytes.

    Returns:
        the bytes that were found, those that were skipped not counted; more than ``size`` if there are more.

    Raises:
        VolumeError: the stream ends early or is damaged.
    """
    with open(data, "rb") as file:
        file.seek(start)
        try:
            return _inflate(file, size, out, skip, to_end)
        except EOFError as e:
            raise VolumeError.of(path, f"{Path(data).name} is truncated: its compressed data end early") from e
        except zlib.error as e:
            raise VolumeError.of(path, f"its compressed data are truncated or damaged ({Path(data).name}: {e})") from e


def _inflate(file: BinaryIO, size: int, out: np.ndarray | None, skip: int, to_end: bool) -> int:
    found, end = -skip, size + SURPLUS if to_end else size
    member, pending = zlib.decompressobj(wbits=47), b""  # 47: zlib or gzip header
    while found < end:
        if member.eof:
            pending = member.unused_data or file.read(CHUNK)
            if not pending.startswith(GZIP):  # the end, whatever follows
                return found
            member = zlib.decompressobj(wbits=47)
        pending = pending or file.read(CHUNK)
        last = not pending
        # stops at every border, so that a part is skipped, wanted or too much
        border = 0 if found < 0 else size if found < size else end
        part = member.decompress(pending, min(CHUNK, border - found))
        pending = member.unconsumed_tail
        if last and not part and not member.eof:
            raise EOFError
        if out is not None and 0 <= found < size:
            out[found : found + len(part)] = np.frombuffer(part, np.uint8)
        found += len(part)
    return found


def gzip_size_field(path: PathLike) -> int:
    """Inflated size modulo 2^32, as a gzip file of one member gives it in its last four bytes (RFC 1952)."""
    with open(path, "rb") as f:
        f.seek(-4, os.SEEK_END)
        return int.from_bytes(f.read(4), "little")
