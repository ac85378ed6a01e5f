"""Files of trained weights: known by their hash, so that they may come from anywhere."""

from __future__ import annotations

import hashlib
import logging
import os
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

import torch
from torch import nn

from tools.files import whole_file
from tools.torch_files import read_state_dict

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class WeightFile:
    """One published file of weights.

    Attributes:
        name: name of the file.
        sha256: SHA-256 of its content, 64 hexadecimal digits or the first of them.
        url: URL where it can be fetched.
        purpose: purpose of the file, for messages.
    """

    name: str
    sha256: str
    url: str
    purpose: str

    def locate(self, path: str | os.PathLike | None = None, check_hash: bool = True) -> tuple[Path, str]:
        """Finds the file: at `path`, else in torch.hub's folder (`TORCH_HOME`), else by download into that folder.

        Args:
            path: the file, under any name, or a folder that holds it under its own.
            check_hash: False accepts another content at `path`, such as weights of one's own.

        Returns:
            Path of the file, and its SHA-256.

        Raises:
            FileNotFoundError: the file is not at `path`; or it is nowhere and cannot be downloaded.
            ValueError: the file has another hash.
        """
        if path is None:
            found, check_hash = self._cached(), True
        else:
            found = Path(path).expanduser()
            found = found / self.name if found.is_dir() else found
            if not found.is_file():
                raise FileNotFoundError(f"there is no file {found.absolute()}; {self._how_to()}")
        digest = file_sha256(found)
        if not digest.startswith(self.sha256):
            if check_hash:
                nevertheless = (
                    "Remove it to have it downloaded again"
                    if path is None
                    else "To use it nevertheless, pass check_hash=False; its numbers are then comparable with no others"
                )
                raise ValueError(
                    f"{found} is not {self.name} ({self.purpose}): its SHA-256 is {digest}, expected {self.sha256}; it "
                    f"may be damaged, or other weights. {nevertheless}; or {self._how_to()}"
                )
            logger.warning("%s is not the published %s: its SHA-256 is %s", found, self.name, digest)
        return found, digest

    def _cached(self) -> Path:
        target = Path(torch.hub.get_dir()) / "checkpoints" / self.name
        if not target.is_file():
            logger.info("downloading %s from %s to %s", self.name, self.url, target)
            try:
                with whole_file(target) as partial:
                    torch.hub.download_url_to_file(self.url, str(partial), hash_prefix=self.sha256)
            except (OSError, HTTPException, RuntimeError) as error:  # RuntimeError: what came has another hash
                raise FileNotFoundError(
                    f"{self.name} ({self.purpose}) is not at {target} and cannot be downloaded ({error}); "
                    f"{self._how_to()}, or put it there"
                ) from error
        return target

    def _how_to(self) -> str:
        return (
            f"fetch {self.name} from {self.url} on a machine that can, and pass it, or the folder that holds it, with "
            "--weights"
        )


def load_weights(network: nn.Module, path: str | os.PathLike) -> None:
    """Loads a file of weights into a network, which may be on the meta device.

    Takes a state dictionary as `tools.torch_files.read_state_dict` does.

    Raises:
        ValueError: the file holds no state dictionary, or that of another network.
    """
    state = read_state_dict(path)
    try:
        network.load_state_dict(state, assign=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise ValueError(f"{path} does not hold the weights of this {type(network).__name__}: {reason}") from error
    network.float()


def file_sha256(path: str | os.PathLike) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
