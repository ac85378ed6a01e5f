"""Weights that are too large for an archive: beside it, with a list from which MONAI fetches them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from urllib.parse import quote

WEIGHTS = (".pt", ".ts")


def set_apart(files: Mapping[str, bytes], limit: int) -> dict[str, bytes]:
    """The weights of more than ``limit`` bytes, by their path in the bundle."""
    return {path: data for path, data in files.items() if path.endswith(WEIGHTS) and len(data) > limit}


def large_files_yaml(stem: str, files: Mapping[str, bytes], base_url: str) -> str:
    """The content of `large_files.yml`.

    Each file is named ``stem``_<file name> at ``base_url``, since a release page has no folders.
    """
    lines = ["large_files:" if files else "large_files: []"]
    for path in sorted(files):
        url = f"{base_url.rstrip('/')}/{quote(f'{stem}_{PurePosixPath(path).name}')}"
        lines += [f"  - path: {json.dumps(path)}", f"    url: {json.dumps(url)}"]
        lines += [f"    hash_val: {json.dumps(hashlib.sha256(files[path]).hexdigest())}", '    hash_type: "sha256"']
    return "\n".join(lines) + "\n"
