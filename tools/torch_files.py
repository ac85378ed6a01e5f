"""Files of `torch.save`: whole, read without running code, and called by their names where they are something else."""

from __future__ import annotations

import os
import re
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor
from torch.nn.modules.utils import consume_prefix_in_state_dict_if_present

from tools.files import whole_file

WRAPPERS = ("state_dict", "model_state_dict", "model", "network", "net", "generator")
"""Keys under which others publish a state dict, with or without more beside it."""

PREFIXES = ("module.", "_orig_mod.")
"""What DataParallel, averages of weights and `torch.compile` put before every name."""

LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""How files of torch before 1.6 begin; later ones are ZIP archives."""

NOT_WEIGHTS = "is not a file of weights that torch can read"
AGAIN = "Fetch or copy the file again"


def read_torch_file(file: str | os.PathLike | IO[bytes], name: str | None = None) -> Any:
    """Tensors and primitives from a file of `torch.save`, on the CPU.

    Every byte is held against the file's own checksums, which `torch.load` does not do.

    Args:
        file: a path, or an open file.
        name: name for messages; None takes the path.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is none of torch's, damaged, or would run code; the message names it and says which.
    """
    if isinstance(file, str | os.PathLike):
        path = Path(file)
        if path.is_dir():
            raise ValueError(f"{name or path} is a folder, expected a file of weights, for instance {path}/model.pt.")
        with path.open("rb") as stream:
            return read_torch_file(stream, name or str(path))
    name = name or "the file"
    beginning = file.read(4096)
    file.seek(0)
    what = _what_else(beginning)
    if what is not None:
        raise ValueError(f"{name} {NOT_WEIGHTS}: {what}")
    if beginning.startswith(b"PK"):
        what = _what_zip(file)
        if what is not None:
            raise ValueError(f"{name} {NOT_WEIGHTS}: {what}")
        file.seek(0)
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises ten kinds of error, and on what is refused advises to run its code
        raise ValueError(f"{name} {NOT_WEIGHTS}: {_why_refused(error)}") from None


def read_state_dict(file: str | os.PathLike | IO[bytes], name: str | None = None) -> OrderedDict[str, Tensor]:
    """A network's state dict: alone in the file, or under a key by which others publish it (`WRAPPERS`).

    What `nn.DataParallel`, an average of weights or `torch.compile` put before every name is taken off.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is refused, see ``read_torch_file``, or holds something else, such as a whole training
            checkpoint.
    """
    content = read_torch_file(file, name)
    name = name or str(file)
    if is_checkpoint(content):
        raise ValueError(
            f"{name} is the checkpoint of a whole training run (epoch {content.get('epoch')}): --resume goes on "
            "with it. Weights for inference are in model.pt, of the best epoch, and model_last.pt beside it."
        )
    state = content
    while isinstance(state, Mapping) and not is_state_dict(state):
        inner = [key for key in WRAPPERS if isinstance(state.get(key), Mapping)]
        if not inner:
            break
        state = state[inner[0]]
    if not is_state_dict(state):
        raise ValueError(f"{name} holds no state dictionary of tensors, but {_described(content)}.")
    plain = OrderedDict(state)
    if hasattr(state, "_metadata"):  # of torch, and the settings of the training
        plain._metadata = OrderedDict(state._metadata)
    while prefix := _common_prefix(plain):
        plain.pop("n_averaged", None)
        consume_prefix_in_state_dict_if_present(plain, prefix)
    return plain


def write_torch_file(path: str | os.PathLike, content: Any) -> None:
    """Write a file as `torch.save` does, whole or not at all; the bytes do not depend on the file's name.

    Raises:
        OSError: the file cannot be written, see `tools.files.whole_file`.
    """
    # given a path, torch says "iostream error" of a full disk
    with whole_file(path) as partial, partial.open("wb") as file:
        torch.save(content, file)


def is_state_dict(content: Any) -> bool:
    """Return whether it is a mapping of names to tensors."""
    return (
        isinstance(content, Mapping)
        and bool(content)
        and all(isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items())
    )


def is_checkpoint(content: Any) -> bool:
    """Return whether it is what `tools.engines.TrainingCheckpoint` writes."""
    return isinstance(content, Mapping) and {"networks", "epoch"} <= content.keys()


def _common_prefix(state: Mapping[str, Tensor]) -> str | None:
    """The one of `PREFIXES` that all names begin with; an average of weights also counts them."""
    names = [name for name in state if name != "n_averaged"]
    return next((prefix for prefix in PREFIXES if names and all(name.startswith(prefix) for name in names)), None)


def _what_else(beginning: bytes) -> str | None:
    """Return what a file is by its first bytes, with advice, if it is certainly not torch's."""
    text = beginning.lstrip(b"\xef\xbb\xbf \t\r\n")
    if not text:
        return f"it is empty, a download or copy failed. {AGAIN}."
    if text.startswith(b"version https://git-lfs"):
        return "it is a pointer of Git LFS, not the weights themselves. Run `git lfs pull` in its repository."
    if text.startswith(b"<"):
        return (
            "it is a web page: the server sent an error, a login or a limit on downloads. Open it in a "
            "browser to see which, and download the file itself."
        )
    if text.startswith(b"{"):
        return "it is JSON, settings or the error message of a server. Give the file that ends in .pt."
    if text.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"Rar!")):
        return "it is a compressed archive. Unpack it, and give the file of weights in it."
    if beginning[8:9] == b"{" and int.from_bytes(beginning[:8], "little") < 1 << 32:
        return "it is a file of safetensors. Convert it: torch.save(safetensors.torch.load_file(FILE), 'model.pt')."
    if not beginning.startswith((b"PK", LEGACY)):
        return f"torch.save writes no file that begins with {beginning[:16]!r}. {AGAIN}."
    return None


def _what_zip(file: IO[bytes]) -> str | None:
    """Return what is wrong with a ZIP archive, as torch's files are since 1.6, with a checksum for each of their
    records.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
            damaged = archive.testzip()
    except Exception as error:  # zipfile raises eight kinds of error on damaged archives
        return f"it was cut off, as by a full disk or a download that ended early, or is damaged ({error}). {AGAIN}."
    if any("/code/" in record for record in names):
        return "it is a TorchScript program. Give the model.pt that it was made from."
    if not any(record.endswith("data.pkl") for record in names):
        return "it is a ZIP archive of other files. Of a packed bundle, unpack it: weights are in its models/model.pt."
    return None if damaged is None else f"it is damaged, {damaged} does not match its checksum. {AGAIN}."


def _why_refused(error: Exception) -> str:
    """Return what an error of `torch.load` means, without its advice to load unsafely."""
    text = str(error)
    code = re.search(r"GLOBAL ([\w.]+)|([\w.]+) was not an allowed global", text)
    if code:
        return (
            f"it holds more than tensors, numbers and text ({code[1] or code[2]}): loading that could run code, and "
            "was not done. Ask whoever wrote it for a plain state dict: torch.save(network.state_dict(), 'model.pt')."
        )
    reason = text.split("WeightsUnpickler error:")[-1].strip().split("\n")[0][:200]
    return f"it is damaged or of another program ({type(error).__name__}: {reason}). {AGAIN}."


def _described(content: Any) -> str:
    if isinstance(content, Mapping):
        keys = ", ".join(map(repr, list(content)[:8]))
        return f"a dictionary with {keys or 'nothing'}{', ...' if len(content) > 8 else ''}"
    return f"a {type(content).__name__}"
