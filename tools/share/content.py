"""The files of a packed bundle, made from those of the repository; in memory, by their path in the archive."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tools.engines.weights import last_weights
from tools.share.archive import is_weights
from tools.share.configs import Entry, config_files, entries, load_config
from tools.share.fine_tune import fine_tune_config, network_settings
from tools.torch_files import read_torch_file

OWN_TOOLS = "own_tools.py"
"""Program in the root of a packed bundle that puts its `tools` first, see the file of that name here."""

FOUND_ROOT = (
    "$next((str(f.frame.f_locals['self'].config_root_path.resolve().parent) for f in inspect.stack(0) "
    "if isinstance(f.frame.f_locals.get('self'), monai.bundle.ConfigWorkflow)), '.')"
)
"""The `bundle_root` of a packed config: the folder of its file, which only the workflow that reads it knows."""


@dataclass(frozen=True)
class Trained:
    """A training run that is to be packed.

    Attributes:
        folder: folder that holds `models` and `eval`.
        names: names of the weights, without ending; "model" is among them, unless the bundle computes without weights.
        settings: the content of `models/model.json`.
        last: True packs the last epoch's weights, `models/model_last.pt`, instead of the best.
    """

    folder: Path
    names: tuple[str, ...]
    settings: dict[str, Any]
    last: bool = False

    def path(self, name: str) -> Path:
        """Path of the weights of this name."""
        return _weights(self.folder, name, self.last)


def trained_models(folder: Path, train: Mapping[str, Any], last: bool = False) -> tuple[Trained | None, list[str]]:
    """Return what a training left in ``folder``, and what is missing there; the last epoch's weights if ``last``."""
    names = tuple(train.get("models", {"model": None}))
    problems = []
    for name in names:
        path = _weights(folder, name, last)
        if not path.is_file() and not last and last_weights(path).is_file():
            problems.append(
                f"no weights at {path}: no validation has chosen the best yet. --last True packs those of the last "
                f"epoch, {last_weights(path)}"
            )
            continue
        for file, what in ((path, "weights"), (path.with_suffix(".json"), "settings of their training")):
            if not file.is_file():
                problems.append(
                    f"no {what} at {file}. Train the bundle first, or say with --trained which folder has `models`"
                )
    if problems:
        return None, problems
    settings = json.loads(_weights(folder, "model", last).with_suffix(".json").read_text())
    return Trained(folder, names, settings, last), []


def _weights(folder: Path, name: str, last: bool) -> Path:
    best = folder / "models" / f"{name}.pt"
    return last_weights(best) if last else best


def packed_weights(trained: Trained) -> tuple[dict[str, bytes], list[str]]:
    """Weights and their settings, and what is wrong with them.

    Weights are saved anew: what torch writes depends on the name that a file had while it was written.
    """
    files, problems = {}, []
    for name in trained.names:
        path = trained.path(name)
        reason = is_weights(path.read_bytes())
        if reason is not None:
            problems.append(f"{path} does not load as weights alone (weights_only=True): {reason}")
            continue
        stream = io.BytesIO()
        torch.save(read_torch_file(path), stream)
        files[f"models/{name}.pt"] = stream.getvalue()
        files[f"models/{name}.json"] = path.with_suffix(".json").read_bytes()
    return files, problems


def packed_configs(folder: Path, trained: Trained, version: str | None = None) -> dict[str, dict[str, Any]]:
    """file name -> content of the configs, which find their bundle from any working folder.

    They describe the network that was trained, not the default one: `monai.bundle.load` builds that of `train.json`,
    and an exported network has nothing but its config. Files that the bundle writes name ``version``, by default that
    of the repository.
    """
    contents = {path.name: load_config(path) for path in config_files(folder)}
    train = contents.get("train.json", {})
    packed = {name: for_any_folder(name, content, train) for name, content in contents.items()}
    for content in packed.values():
        if "origin" in content and version is not None:
            content["origin"] = content["origin"] | {"version": version}
        if "defaults" in content:
            content["defaults"] = as_trained(content["defaults"], trained.settings)
    if train and trained.names:
        packed["train.json"] |= network_settings(train, trained.settings)
        packed["fine_tune.json"] = fine_tune_config(train, trained.names)
    return packed


def as_trained(defaults: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that ``defaults`` has, with the values of the training where they are known."""
    found = {}
    for key, value in defaults.items():
        known = settings.get(key, value)
        found[key] = as_trained(value, known) if isinstance(value, Mapping) else known
    return found


def for_any_folder(name: str, content: Mapping[str, Any], train: Mapping[str, Any]) -> dict[str, Any]:
    """A config that finds its bundle, and the bundle's own `tools`, from any working folder.

    `bundle_root` is asked of the workflow that has read the file, since `monai.bundle.load` and federated clients give
    none; without a workflow, as in an export, it is the working folder. MONAI adds a bundle's root to Python's path
    only after `initialize`, but imports come before that. So `initialize` begins with the path, then imports again:
    MONAI resolves an import anew once its place in the list was run.

    Args:
        name: name of the file.
        content: content of the config.
        train: the content of `train.json`, whose imports serve overlays.
    """
    packed = dict(content)
    if "bundle_root" in packed:
        packed["bundle_root"] = FOUND_ROOT
        packed["imports"] = ["$import inspect", *packed.get("imports", [])]
    if "initialize" in packed or "bundle_root" in packed:
        imports = content.get("imports", train.get("imports", []))
        own = [entry for entry in entries(name, {"imports": imports}) if entry.kind == "import"]
        again = [f"${entry.text}" for entry in own if re.search(r"\btools\b", entry.text)]
        first = f"$runpy.run_path(@bundle_root + '/{OWN_TOOLS}')"
        packed["initialize"] = ["$import runpy", first, *again, *packed.get("initialize", [])]
    return packed


def config_entries(configs: Mapping[str, Mapping[str, Any]]) -> list[list[Entry]]:
    """The entries of the configs that run together: one with `bundle_root` alone, any other with `train.json`.

    Of a bundle that trains nothing it is `inference.json` in its place.
    """
    below = "train.json" if "train.json" in configs else "inference.json"
    base = entries(below, configs.get(below, {}))
    return [
        entries(name, content) if "bundle_root" in content else [*base, *entries(name, content)]
        for name, content in configs.items()
    ]


def authored_files(folder: Path) -> dict[str, bytes]:
    """Files that are packed as they are: the licence, the logging config, documents but the README."""
    found = {}
    for path in sorted((folder / "docs").rglob("*")):
        if path.is_file() and path.name != "README.md":
            found[path.relative_to(folder).as_posix()] = path.read_bytes()
    for name in ("LICENSE", "configs/logging.conf"):
        if (folder / name).is_file():
            found[name] = (folder / name).read_bytes()
    return found


def packed_readme(folder: Path, card: str, has_large_files: bool, has_weights: bool = True) -> str:
    """The bundle's README for a reader who has the archive, with the model card at its end."""
    path = folder / "docs" / "README.md"
    text = path.read_text() if path.is_file() else f"# {folder.name}\n"
    title, _, rest = text.partition("\n")
    own = rf"(?<![\w/])[\w./~-]*\b{re.escape(folder.name)}/"  # wherever the bundle lay
    rest = re.sub(own, "", rest).replace("From the repository's folder:", "From this folder:")
    fetch = [">     python -m monai.bundle download_large_files --bundle_path ."] if has_large_files else []
    both = "\"['configs/train.json','configs/fine_tune.json']\""
    fine_tune = [
        "> `configs/fine_tune.json` starts training from the packed weights and writes to `fine_tuned`; discriminators",
        "> begin anew.",
    ]
    how = [
        "> This is a packed bundle. Run commands from its folder, or from elsewhere with the paths of its configs:",
        ">",
        ">     pip install -r requirements.txt",
        *fetch,
        ">     python -m monai.bundle run --config_file configs/inference.json",
        *([f">     python -m monai.bundle run --config_file {both} --dataset_dir DATA"] if has_weights else []),
        ">",
        *(fine_tune if has_weights else []),
        "> `sha256sum --check SHA256SUMS` tells whether a file was altered. A config can run code: read it before you",
        "> run it.",
    ]
    return "\n".join([title, "", *how, rest.rstrip(), "", card])


def as_json(content: Any) -> bytes:
    """JSON as it is packed: indented, in the given order, plain text."""
    return (json.dumps(content, indent=4, ensure_ascii=False) + "\n").encode()
