"""Pickles and machine code, known by their content whatever their name is.

A pickle runs code by importing functions and calling them, so it is harmless if all that it imports is known to be.
"""

from __future__ import annotations

import bz2
import io
import lzma
import pickletools
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO

import numpy as np

LOOK_BYTES = 64 << 20
"""How much of a pickle, or of what is compressed, is looked at; what goes on behind that counts as unknown."""

OPCODES = 1_000_000
DEEPEST = 3
"""Archives within archives."""

HARMLESS = re.compile(
    r"collections\.OrderedDict|torch\._utils\._rebuild_(tensor|tensor_v2|parameter|qtensor)|torch\.(\w+Storage|Size|device|b?float\d*|u?int\d+|bool)|"
    r"torch\.storage\.\w+Storage|torch\.jit\._pickle\.\w+|torch\.nn\.parameter\.Parameter|__torch__\.[\w.]+"
)
"""What torch's weights and TorchScript import; `__torch__` are types of the TorchScript file itself."""

STORAGE = re.compile(r"/(data|constants|tensors)/\d+$")
NAME = re.compile(r"[\w.\-]+")
TEXTS = {"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE", "STRING", "SHORT_BINSTRING", "BINSTRING"}
DOES = {"REDUCE", "BUILD", "NEWOBJ", "NEWOBJ_EX", "OBJ", "INST"}
ARGUMENTS = {"MARK", "TUPLE", "EMPTY_TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "DICT", "EMPTY_DICT"}
MOVES = {"BINGET", "LONG_BINGET", "GET", "POP", "POP_MARK", "DUP"}
"""After these the two texts that were written last need not be those on top of the stack."""

EXTENSIONS = {"EXT1", "EXT2", "EXT4"}

MACHINE_CODE = {
    b"\x7fELF": "machine code of Linux",
    b"\xfe\xed\xfa": "machine code of macOS",
    b"\xcf\xfa\xed\xfe": "machine code of macOS",
    b"\xce\xfa\xed\xfe": "machine code of macOS",
    b"\xca\xfe\xba\xbe": "machine code of macOS, or Java",
    b"\x00asm": "WebAssembly",
}
COMPRESSED: dict[bytes, Callable] = {
    b"\x1f\x8b": lambda: zlib.decompressobj(31),
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ\x00": lzma.LZMADecompressor,
    b"\x5d\x00\x00": lzma.LZMADecompressor,
    b"\x78\x01": zlib.decompressobj,
    b"\x78\x5e": zlib.decompressobj,
    b"\x78\x9c": zlib.decompressobj,
    b"\x78\xda": zlib.decompressobj,
}
NOT_LOOKED_INTO = {b"\x04\x22\x4d\x18": "LZ4", b"\x28\xb5\x2f\xfd": "Zstandard", b"ZF": "joblib's old format"}


def code_inside(file: IO[bytes], depth: int = 0) -> str | None:
    """Return why a file could run code when it is loaded, by its content; None if it is neither pickle nor machine
    code.

    Args:
        file: seekable file, at its beginning.
        depth: number of archives around this one.
    """
    head = file.read(512)
    file.seek(0)
    for magic, what in MACHINE_CODE.items():
        if head.startswith(magic):
            return what
    if head.startswith(b"MZ") and b"PE\0\0" in file.read(4096):
        return "machine code of Windows"
    file.seek(0)
    if head[2:4] == b"\r\n" and 3000 <= int.from_bytes(head[:2], "little") < 4200:
        return "compiled Python"
    if head.startswith(b"\x93NUMPY"):
        return _array(file)
    if head[257:262] == b"ustar":
        return "a tar archive, which was not looked into"
    for magic, what in NOT_LOOKED_INTO.items():
        if head.startswith(magic) and (magic != b"ZF" or head[2:4] == b"0x"):
            return f"compressed as {what}, which was not looked into"
    if zipfile.is_zipfile(file):
        file.seek(0)
        return _zip(file, depth)
    file.seek(0)
    for magic, decompressor in COMPRESSED.items():
        if head.startswith(magic):
            return _compressed(file, decompressor(), depth)
    return _pickle(file)


def imports(file: IO[bytes]) -> Iterator[tuple[str, bool]]:
    """Return what the pickles at the beginning of a file import, as `module.name`, and whether anything is done with
    it.

    Prose can begin like a pickle of the oldest kind, but does not go on with arguments and a call. "?" is an import
    whose name is made while it loads, or that may stand behind what was looked at.
    """
    content = file.read(LOOK_BYTES + 1)
    cut = len(content) > LOOK_BYTES
    stream = io.BytesIO(content[:LOOK_BYTES])
    count, found = 0, []
    try:
        while stream.tell() < len(content):
            texts: list[str] = []
            arguments = False
            for opcode, argument, _ in pickletools.genops(stream):
                count += 1
                if opcode.name in TEXTS:
                    texts.append(argument)
                elif opcode.name in ("GLOBAL", "INST"):
                    found.append(".".join(argument.split(" ", 1)))
                elif opcode.name == "STACK_GLOBAL":
                    found.append(".".join(texts[-2:]) if len(texts) > 1 else "?")
                elif opcode.name in EXTENSIONS:
                    found.append("?")
                elif opcode.name in MOVES:
                    texts += ["?", "?"]
                arguments = arguments or opcode.name in ARGUMENTS
                if opcode.name in DOES and arguments:
                    yield from ((name, True) for name in found)
                    found = []
                if count > OPCODES:
                    yield "?", True
                    return
    except Exception:  # what is no pickle fails in many ways, a pickle that is cut off among them
        if cut and stream.tell() >= LOOK_BYTES:
            yield "?", True
    yield from ((name, False) for name in found)


def _pickle(file: IO[bytes]) -> str | None:
    binary = file.read(2)
    file.seek(0)
    is_binary = binary[:1] == b"\x80" and binary[1:] in (b"\x02", b"\x03", b"\x04", b"\x05")
    for name, done in imports(file):
        if not (done or is_binary):  # numbers too can begin like a pickle of the oldest kind
            continue
        if "?" in name:
            return "a pickle that imports what cannot be told"
        if NAME.fullmatch(name) and not HARMLESS.fullmatch(name):
            return f"a pickle that imports {name}"
    return None


def _array(file: IO[bytes]) -> str | None:
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        _, _, dtype = read(file)
    except Exception as error:
        return f"an array of NumPy whose header cannot be read ({type(error).__name__})"
    return "an array of Python objects, which is a pickle" if dtype.hasobject else None


def _zip(file: IO[bytes], depth: int) -> str | None:
    if depth >= DEEPEST:
        return "archives within archives, which were not looked into"
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
            for entry in archive.infolist():
                if _is_torchscript(names):
                    if STORAGE.search(entry.filename):
                        continue  # numbers, which are taken as they are
                elif entry.filename.endswith((".py", ".pyc", ".so")):
                    return f"an archive with {entry.filename}, which Python can import from it"
                if (reason := _entry(archive, entry, depth)) is not None:
                    return f"{entry.filename} in it is {reason}"
    except Exception as error:
        return f"an archive that cannot be read ({type(error).__name__})"
    return None


def _entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, depth: int) -> str | None:
    with archive.open(entry) as stream:
        content = stream.read(LOOK_BYTES + 1)
    return code_inside(io.BytesIO(content), depth + 1)


def _is_torchscript(names: list[str]) -> bool:
    return any(name.endswith("/constants.pkl") for name in names) and any("/code/" in name for name in names)


def _compressed(file: IO[bytes], decompressor, depth: int) -> str | None:
    if depth >= DEEPEST:
        return "compressed again and again, which was not looked into"
    try:
        found = decompressor.decompress(file.read(LOOK_BYTES), LOOK_BYTES + 1)
    except Exception:  # it only begins like it
        file.seek(0)
        return _pickle(file)
    return code_inside(io.BytesIO(found), depth + 1)
