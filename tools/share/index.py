"""``python -m tools index``: the list of archives that MONAI's GitHub source reads."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from pathlib import Path
from urllib.parse import unquote

import yaml

from tools.files import whole_file
from tools.share.archive import CHUNK, LARGE_FILES, ArchiveError, check_archive

FILE = "model_info.json"

GITHUB = "https://github.com/{repo}/releases/download/{tag}"
"""Where MONAI looks for the files of a release, as `monai.bundle.scripts._get_git_release_url` does."""


def index(directory: str, repo: str | None = None, tag: str | None = None, base_url: str | None = None) -> str:
    """Write model_info.json for the archives in a folder, each checked first.

    Put the archives on the release page `tag` of `repo`, and model_info.json into the repository as
    models/model_info.json, tagged alike. Then `python -m monai.bundle download --source github --repo REPO/TAG` and
    `get_all_bundles_list` find them.

    Args:
        directory: folder that holds NAME_v<version>.zip, and the weights that are fetched separately.
        repo: owner/name on GitHub.
        tag: tag of the release.
        base_url: URL of a folder where the archives will be instead.

    Returns:
        Lines on what was written, and what to look after.
    """
    entries, remarks = model_info(Path(directory), release_url(repo, tag, base_url))
    path = Path(directory) / FILE
    with whole_file(path) as partial:
        partial.write_text(json.dumps(entries, indent=4) + "\n")
    return "\n".join([f"{path}: {len(entries)} archives", *entries, *remarks])


def release_url(repo: str | None, tag: str | None, base_url: str | None) -> str:
    """The folder's URL that a release page, or ``base_url``, stands for.

    Raises:
        ValueError: neither is given, or not in the right form.
    """
    if base_url is not None:
        return str(base_url).rstrip("/")
    if repo is None or tag is None:
        raise ValueError("where will the archives be? Give --repo owner/name and --tag, or --base_url")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", str(repo)) or "/" in str(tag):
        raise ValueError(f"--repo {repo} --tag {tag}: the form is owner/name, and a tag without '/'")
    return GITHUB.format(repo=repo, tag=tag)


def model_info(directory: Path, base_url: str) -> tuple[dict[str, dict[str, str]], list[str]]:
    """The content of `model_info.json`, and what its reader should know.

    Args:
        directory: folder that holds the archives.
        base_url: URL of the folder where the archives will be.

    Returns:
        `<name>_v<version>` -> SHA-1 as `checksum` and URL as `source`; remarks, each a line.

    Raises:
        FileNotFoundError: no archives, or weights that one of them fetches are not beside it.
        ArchiveError: an archive does not pass its checks, or is not what its name says.
    """
    archives = sorted(directory.glob("*_v*.zip"))
    if not archives:
        raise FileNotFoundError(f"no archives in {directory}: looked for NAME_v<version>.zip, as `pack` writes them")
    entries, versions = {}, {}
    for path in archives:
        name = check_archive(path)
        with zipfile.ZipFile(path) as archive:
            version = json.loads(archive.read(f"{name}/configs/metadata.json"))["version"]
            large = archive.read(f"{name}/{LARGE_FILES}") if f"{name}/{LARGE_FILES}" in archive.namelist() else None
        if path.stem != f"{name}_v{version}":
            raise ArchiveError(f"{path.name} holds {name} {version}: its name must be {name}_v{version}.zip")
        if large is not None:
            _check_large(directory, path, yaml.safe_load(large)["large_files"])
        entries[path.stem] = {"checksum": digest(path, "sha1"), "source": f"{base_url}/{path.name}"}
        versions.setdefault(name, []).append(version)
    return entries, [remark for name, found in versions.items() for remark in _order(name, found)]


def digest(path: Path, kind: str) -> str:
    """A file's checksum in hexadecimal digits; MONAI's index has "sha1"."""
    value = hashlib.new(kind)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            value.update(chunk)
    return value.hexdigest()


def _check_large(directory: Path, archive: Path, items: list[dict]) -> None:
    for item in items:
        path = directory / unquote(item["url"].rsplit("/", 1)[1])
        if not path.is_file():
            raise FileNotFoundError(f"{archive.name} fetches {item['url']}, but {path} is not there; `pack` writes it")
        if digest(path, "sha256") != item["hash_val"]:
            raise ArchiveError(f"{path.name} is not the file that {archive.name} fetches: its SHA-256 differs")


def _order(name: str, versions: list[str]) -> list[str]:
    """MONAI sorts versions as text, and takes 0.9.0 for newer than 0.10.0."""
    newest = max(versions, key=lambda version: [int(part) for part in re.findall(r"\d+", version)])
    if newest == max(versions):
        return []
    return [f"{name}: MONAI compares versions as text and will take {max(versions)}, not {newest}, for the newest"]
