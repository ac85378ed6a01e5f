"""``python -m tools pack``: a trained bundle as one archive that runs by itself."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tools.files import whole_file
from tools.io.provenance import Provenance
from tools.share import zoo
from tools.share.archive import CHECKSUMS, LARGE_FILES, check_archive, checksums, write_archive
from tools.share.card import model_card, training_facts
from tools.share.configs import config_sets, load_config, unmet_references
from tools.share.content import (
    OWN_TOOLS,
    Trained,
    as_json,
    authored_files,
    config_entries,
    packed_configs,
    packed_readme,
    packed_weights,
    trained_models,
)
from tools.share.dependencies import STYLE, follow
from tools.share.large_files import large_files_yaml, set_apart
from tools.share.metadata import packed_metadata, released_version
from tools.share.requirements import needed_versions, pinned_versions, requirements_text
from tools.share.torchscript import normalised

REPOSITORY = Path(__file__).resolve().parents[2]


def pack(
    name: str,
    version: str | None = None,
    output_dir: str = ".",
    trained: str | None = None,
    bundles_dir: str | None = None,
    filepath: str | None = None,
    large_file_mb: float | None = None,
    base_url: str | None = None,
    model_info: str | None = None,
    last: bool = False,
) -> str:
    """Write NAME_v<version>.zip: configs, documents, weights and the parts of `tools` that the bundle needs.

    The same inputs give the same bytes. Refused are bundles whose weights are missing, unless their kind has none, with
    references or imports that lead nowhere, or whose metadata does not verify.

    Args:
        name: name of the bundle, a folder in bundles_dir.
        version: version of the archive, a key of the changelog in metadata.json; by default the metadata's version.
        output_dir: folder in which the archive is written.
        trained: the folder that holds `models` and `eval` of the training to pack; by default the bundle's own.
        bundles_dir: the folder that holds the bundle; by default the repository's `bundles`.
        filepath: a local copy of the metadata's schema. Without it the project's own copy is taken where the metadata
            name the schema that it is of; any other is fetched.
        large_file_mb: weights above this many megabytes (of 10^6 bytes) are written beside the archive, to be fetched
            by `python -m monai.bundle download_large_files`; by default all weights are in the archive.
        base_url: URL of the folder where the large files will be; needed with large_file_mb.
        model_info: the `model_info.json` of a release page; a version that it has is published and refused.
        last: True packs the weights of the last epoch (`model_last.pt`), not those that validation found best.

    Returns:
        The archive's path and its SHA-256.
    """
    path = pack_bundle(
        name, version, output_dir, trained, bundles_dir, filepath, large_file_mb, base_url, model_info, last
    )
    return f"{path}\nsha256 {hashlib.sha256(path.read_bytes()).hexdigest()}"


def pack_bundle(
    name: str,
    version: str | None = None,
    output_dir: str | os.PathLike = ".",
    trained: str | os.PathLike | None = None,
    bundles_dir: str | os.PathLike | None = None,
    filepath: str | os.PathLike | None = None,
    large_file_mb: float | None = None,
    base_url: str | None = None,
    model_info: str | os.PathLike | None = None,
    last: bool = False,
) -> Path:
    """The path of the archive; arguments as of ``pack``.

    Raises:
        FileNotFoundError: there is no such bundle.
        ValueError: the bundle cannot be packed, with all reasons.
    """
    folder = Path(bundles_dir or REPOSITORY / "bundles") / str(name)
    if not (folder / "configs" / "metadata.json").is_file():
        raise FileNotFoundError(
            f"no bundle at {folder}: it has no configs/metadata.json. Known: {_known(folder.parent)}."
        )
    if "_v" in folder.name:
        raise ValueError(
            f"a bundle's name must not contain '_v' ({folder.name}): MONAI takes what follows for a version"
        )
    if large_file_mb is not None and base_url is None:
        raise ValueError(
            "--large_file_mb needs --base_url, the URL of the folder from which the weights will be fetched"
        )
    configs_folder = folder / "configs"
    train = load_config(configs_folder / "train.json") if (configs_folder / "train.json").is_file() else {}
    metadata = load_config(configs_folder / "metadata.json")
    version = released_version(metadata, version)
    if model_info is not None:
        problems = zoo.check_new_version(folder.name, version, load_config(Path(model_info)))
        if problems:
            raise refused(folder.name, problems)
    has_weights = zoo.has_weights(metadata)
    found, problems = Trained(Path(trained or folder), (), {}), []
    if has_weights:
        found, problems = trained_models(found.folder, train, last)
    if found is None:
        raise refused(folder.name, problems)
    if "published" in found.settings:
        raise refused(
            folder.name,
            [
                f"its weights are others', under {', '.join(found.settings.get('licences', ['their licence']))}: who "
                f"wants them fetches them from there, python -m tools fetch_weights {folder.name}"
            ],
        )
    files, problems = packed_weights(found)
    configs = packed_configs(folder, found, version)
    needed = follow(REPOSITORY, config_entries(configs))
    pinned = pinned_versions(REPOSITORY / "requirements.txt")
    imports = needed.imports | ({"yaml"} if large_file_mb is not None else set())
    versions, unpinned = needed_versions(imports, metadata.get("required_packages_version", {}), pinned)
    problems += needed.problems + unpinned
    if problems:
        raise refused(folder.name, problems)

    metadata = packed_metadata(metadata, found.settings, versions, version)
    large = large_file_mb is not None
    report_path = found.folder / "eval" / "report.json"
    report = json.loads(report_path.read_text()) if report_path.is_file() else None
    card = model_card(metadata, found.settings, training_facts(found.folder / "models", found.settings), report)
    files |= authored_files(folder) | needed.files()
    files |= {f"configs/{name}": as_json(content) for name, content in configs.items()}
    files["configs/metadata.json"] = as_json(metadata)
    files["docs/README.md"] = packed_readme(folder, card, large, has_weights).encode()
    files["requirements.txt"] = requirements_text(versions).encode()
    files[zoo.SCHEMA.relative_to(REPOSITORY).as_posix()] = zoo.SCHEMA.read_bytes()  # for verify_metadata
    files[OWN_TOOLS] = STYLE + Path(__file__).with_name(OWN_TOOLS).read_bytes()
    script = checked(folder.name, files, filepath)
    files |= {} if script is None else {"models/model.ts": script}

    stem = f"{folder.name}_v{metadata['version']}"
    apart = set_apart(files, round(float(large_file_mb) * 1e6)) if large else {}
    inside = {path: content for path, content in files.items() if path not in apart}
    if large:
        inside[LARGE_FILES] = large_files_yaml(stem, apart, str(base_url)).encode()
    inside[CHECKSUMS] = checksums(inside | apart).encode()
    archive = Path(output_dir) / f"{stem}.zip"
    for path, content in apart.items():
        with whole_file(archive.parent / f"{stem}_{Path(path).name}") as partial:
            partial.write_bytes(content)
    write_archive(archive, folder.name, inside)
    check_archive(archive)
    return archive


def checked(name: str, files: Mapping[str, bytes], schema: str | os.PathLike | None = None) -> bytes | None:
    """The network as TorchScript, made by the packed code in a folder that has nothing else; None if there is none.

    Raises:
        ValueError: the packed bundle does not pass the checks of ``zoo``.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary).resolve() / name
        for relative, content in files.items():
            path = folder / relative
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        problems = [problem for files in config_sets(folder) for problem in unmet_references(files)]
        problems += zoo.check_schema(folder, None if schema is None else str(schema))
        if problems:
            raise refused(name, problems)
        result = Path(temporary) / "result.json"
        arguments = [".", "--export", "models/model.ts", "--result", str(result)]
        output = run_checks(arguments, folder)
        if not result.is_file():
            raise refused(name, [f"its checks ended with an error:\n{output[-2000:]}"])
        problems = json.loads(result.read_text())
        if problems:
            raise refused(name, problems)
        metadata = json.loads(files["configs/metadata.json"])
        if not zoo.has_weights(metadata) or not zoo.scripts(folder):
            return None
        record = Provenance(name, metadata["version"], folder / "models" / "model.pt").record()
        said = {"provenance.json": json.dumps(record).encode()}
        return normalised((folder / "models" / "model.ts").read_bytes(), said)


def run_checks(arguments: list[str], folder: Path) -> str:
    """Run ``zoo`` as a program of its own in ``folder``; what it printed."""
    # TorchScript writes constants in the order of a set of their names
    fixed = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"}
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | fixed
    command = [sys.executable, zoo.__file__, *arguments]
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    return run.stdout + run.stderr


def refused(name: str, problems: list[str]) -> ValueError:
    """The error that names all reasons for which a bundle cannot be packed."""
    return ValueError("\n  - ".join([f"{name} cannot be packed:", *dict.fromkeys(problems)]))


def _known(folder: Path) -> str:
    return ", ".join(sorted(path.parents[1].name for path in folder.glob("*/configs/metadata.json"))) or "none"
