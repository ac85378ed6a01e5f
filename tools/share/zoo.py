"""What the MONAI Model Zoo's own checks ask of a bundle, in a folder of its own.

They follow CONTRIBUTING.md and ci/verify_bundle.py of Project-MONAI/model-zoo: files, keys, version and changelog, the
metadata's schema, the network's shapes, TorchScript. The module imports nothing of ``tools``, so that it can run as a
program in a packed bundle, where ``tools`` is the packed one::

    python zoo.py FOLDER --export models/model.ts --result result.json
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from pydoc import locate
from typing import Any

import torch
from monai.bundle import ConfigParser, ckpt_export, verify_metadata, verify_net_in_out
from monai.bundle.properties import InferProperties, MetaProperties, TrainProperties

SCHEMA = Path(__file__).resolve().parents[1] / "metadata_schema.json"
"""What the schema of metadata requires that bundles name: packed too, for work without a network."""

NECESSARY = ("LICENSE", "configs/metadata.json")
WEIGHTS = "models/model.pt"
PREFERRED = (WEIGHTS, "configs/inference.json")

WITHOUT_WEIGHTS = ("simulate",)
"""Kinds of bundles, in the word of their metadata, that compute what they make: they have no network and no weights."""

SIMULATION_KEYS = ("bundle_root", "output_dir", "run")
"""What `inference.json` of such a bundle has; MONAI's properties describe networks."""

DENOISERS = ("DiffusionModelUNet", "LatentDiffusion", "PatchUNet", "PatchUNetMaisi", "label_guided")
"""Networks of diffusion, and what makes one."""

INFERENCE_KEYS = ("bundle_root", "device", "network_def", "inferer", "output_dir")
TRAIN_KEYS = (
    *("bundle_root", "device", "dataset_dir", "output_dir"),
    *("train#trainer", "train#trainer#max_epochs", "train#dataset", "train#handlers"),
    *("validate#evaluator", "validate#handlers", "validate#dataset"),
)
"""Without `train#dataset#data`: the guide has it, MONAI's properties and the zoo's program do not require it, and what
trains without pairs has two lists of data."""

VALIDATION_HANDLERS = ("ValidationHandler", "tools.engines.validation.Validation")
"""MONAI's and what is made of it here."""


def check_files(folder: Path) -> list[str]:
    """Necessary and preferred files that are missing; weights may be in `large_files.yml` instead."""
    large = large_files(folder)
    missing = [name for name in (*NECESSARY, *PREFERRED) if not (folder / name).is_file() and name not in large]
    if WEIGHTS in missing and "configs/metadata.json" not in missing and not has_weights(_metadata(folder)):
        missing.remove(WEIGHTS)
    return [f"{name} is missing" for name in missing]


def has_weights(metadata: dict[str, Any]) -> bool:
    """Return whether a bundle of this metadata has a network, whose weights it cannot do without."""
    return metadata.get("kind") not in WITHOUT_WEIGHTS


def check_keys(folder: Path) -> list[str]:
    """Ids that the zoo asks for, and those that MONAI's properties require, which a config does not have."""
    problems = []
    of_inference = (INFERENCE_KEYS, InferProperties) if has_weights(_metadata(folder)) else (SIMULATION_KEYS, {})
    for name, keys, properties in (("inference.json", *of_inference), ("train.json", TRAIN_KEYS, TrainProperties)):
        path = folder / "configs" / name
        if not path.is_file():
            continue
        parser = _parser(folder, path)
        required = {item["id"] for item in properties.values() if item["required"]}
        wanted = dict.fromkeys([*keys, *sorted(id.replace("::", "#") for id in required)])
        problems += [f"configs/{name} has no {key}" for key in wanted if key not in parser]
        for handler in parser.get("train#handlers", []) or []:
            target = handler.get("_target_")
            if target in VALIDATION_HANDLERS and handler.get("interval") != "@val_interval":
                problems.append(f"configs/{name}: the ValidationHandler's interval must be @val_interval")
    return problems


def check_metadata(folder: Path) -> list[str]:
    """Keys that MONAI's properties require, a version, and a changelog that has it."""
    metadata = json.loads((folder / "configs" / "metadata.json").read_text())
    parser = ConfigParser({"_meta_": metadata})
    ids = [item["id"].replace("::", "#") for item in MetaProperties.values() if item["required"]]
    problems = [f"configs/metadata.json has no {id.removeprefix('_meta_#')}" for id in ids if id not in parser]
    for key in ("version", "changelog", "schema"):
        if key not in metadata:
            problems.append(f"configs/metadata.json has no {key}")
    if metadata.get("version") not in metadata.get("changelog", {}):
        problems.append(f"version {metadata.get('version')} is not in the changelog of configs/metadata.json")
    return list(dict.fromkeys(problems))


def check_new_version(name: str, version: str, model_info: dict[str, Any]) -> list[str]:
    """Check whether this version is published already, according to a `model_info.json`."""
    if f"{name}_v{version}" not in model_info:
        return []
    return [
        f"version {version} of {name} is published already; give a new version and say in the changelog what is new"
    ]


def check_schema(folder: Path, schema: str | None = None) -> list[str]:
    """The metadata against its schema: a local copy, which the project has of the one that its bundles name; any other
    is fetched from its URL.
    """
    path = folder / "configs" / "metadata.json"
    url = json.loads(path.read_text()).get("schema")
    if schema is None and url == json.loads(SCHEMA.read_text())["$id"]:
        schema = str(SCHEMA)
    if schema is not None and not Path(schema).is_file():
        return [f"--filepath {schema}: no such file; give a copy of the metadata's schema, or leave the option out"]
    with tempfile.TemporaryDirectory() as temporary:
        try:
            verify_metadata(meta_file=str(path), filepath=schema or os.path.join(temporary, "schema.json"))
        except (OSError, RuntimeError) as error:  # also URLError
            return [f"the schema {url} could not be fetched ({error}); give a local copy with --filepath"]
        except ValueError as error:
            return [f"configs/metadata.json does not verify: {str(error).strip()}"]
    return []


def check_shape(folder: Path) -> list[str]:
    """Channels and type of what goes into the network and comes out, against the metadata."""
    extra = {"label": torch.zeros(1, dtype=torch.long)} if _classes(folder) > 0 else {}
    if denoises(folder):
        extra["timesteps"] = torch.zeros(1)
        extra |= _told(folder)
    return _tried(
        "the network is not what configs/metadata.json says",
        verify_net_in_out,
        net_id="network_def",
        meta_file=str(folder / "configs" / "metadata.json"),
        config_file=str(folder / "configs" / "inference.json"),
        bundle_root=str(folder),
        device="cpu",
        extra_forward_args=extra,
    )


def _told(folder: Path) -> dict[str, torch.Tensor]:
    """What a network of diffusion is told beside a sample and a time."""
    parser = _parser(folder, folder / "configs" / "inference.json")
    parser["device"], parser["bundle_root"] = "cpu", str(folder)
    network = parser.get_parsed_content("network_def")
    told = {}
    if getattr(network, "num_class_embeds", None):
        told["class_labels"] = torch.zeros(1, dtype=torch.long)
    denoiser = getattr(network, "denoiser", network)
    for name in ("spacing", "top_region_index", "bottom_region_index"):  # of MAISI's U-Net
        if getattr(denoiser, f"include_{name}_input", False):
            told[f"{name}_tensor"] = torch.ones(1, getattr(denoiser, f"{name}_layer")[0].in_features)
    if "control" in parser:
        shape = _metadata(folder)["network_data_format"]["inputs"]["image"]["spatial_shape"]
        told["labels"] = torch.zeros(1, parser.get_parsed_content("sample_channels").num_labels, *shape)
    return told


def check_torchscript(folder: Path, export: str = "models/verify_model.ts") -> list[str]:
    """Check whether the weights fit the network and export to TorchScript, and a given `models/model.ts` can be read.

    Args:
        folder: folder of the bundle.
        export: path of the TorchScript, relative to ``folder``.
    """
    given = folder / "models" / "model.ts"
    problems = _tried("models/model.ts cannot be read", torch.jit.load, str(given)) if given.is_file() else []
    return problems + _tried(
        "models/model.pt does not export to TorchScript",
        ckpt_export,
        net_id="network_def",
        filepath=str(folder / export),
        ckpt_file=str(folder / "models" / "model.pt"),
        meta_file=str(folder / "configs" / "metadata.json"),
        config_file=str(folder / "configs" / "inference.json"),
        bundle_root=str(folder),
    )


def check_weights(folder: Path) -> list[str]:
    """Check whether the weights fit a network that does not export."""

    def load() -> None:
        network = ConfigParser(
            ConfigParser.load_config_file(str(folder / "configs" / "inference.json")) | {"bundle_root": str(folder)}
        ).get_parsed_content("network_def")
        network.load_state_dict(torch.load(folder / "models" / "model.pt", weights_only=True))

    return _tried("models/model.pt does not fit the network", load)


def check_imports(folder: Path) -> list[str]:
    """Modules of the bundle's ``tools`` that do not import, or come from another place than the bundle."""
    problems = []
    for path in sorted((folder / "tools").rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        try:
            file = importlib.import_module(module).__file__
        except Exception as error:  # whatever a module raises, the bundle cannot use it
            problems.append(f"{module} does not import: {type(error).__name__}: {error}")
        else:
            if not Path(file).resolve().is_relative_to(folder.resolve()):
                problems.append(f"{module} was imported from outside the bundle")
    return problems


def check_bundle(folder: str | os.PathLike, schema: str | None = None) -> list[str]:
    """All checks.

    Args:
        folder: folder of the bundle, which must be the first place where Python finds ``tools``.
        schema: a local copy of the metadata's schema, see `check_schema`.

    Returns:
        Problems, each a line; empty if there are none.
    """
    folder = Path(folder)
    problems = check_files(folder)
    return problems or [*check_schema(folder, schema), *check_in_place(folder)]


def check_in_place(folder: Path, export: str | None = None) -> list[str]:
    """All checks but that of the schema; those that run the network only if the others found nothing.

    Args:
        folder: folder of the bundle, as for ``check_bundle``.
        export: path of the TorchScript, relative to ``folder``; None throws it away.
    """
    problems = check_files(folder)
    if problems:
        return problems
    problems = [*check_keys(folder), *check_metadata(folder), *check_imports(folder)]
    if problems:
        return problems
    if not has_weights(_metadata(folder)):
        return []
    if not scripts(folder):
        return check_shape(folder) + check_weights(folder)
    problems = check_shape(folder) + check_torchscript(folder, export or "models/verify_model.ts")
    if export is None:
        (folder / "models" / "verify_model.ts").unlink(missing_ok=True)
    return problems


def large_files(folder: Path) -> set[str]:
    """Paths that a bundle's `large_files.yml` lists."""
    path = folder / "large_files.yml"
    if not path.is_file():
        return set()
    return {item["path"] for item in ConfigParser.load_config_file(str(path))["large_files"]}


def _parser(folder: Path, path: Path) -> ConfigParser:
    parser = ConfigParser()
    parser.read_config(str(path))
    parser.read_meta(str(folder / "configs" / "metadata.json"))
    return parser


def _metadata(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "configs" / "metadata.json").read_text())


def denoises(folder: Path) -> bool:
    """Whether the network is MONAI's of diffusion, or has it: it takes a time beside a sample, and has no TorchScript.

    Its attention has a shape that is not known before it runs; the model zoo leaves such networks out of its check too.
    """
    config = json.loads((folder / "configs" / "inference.json").read_text())
    return config["network_def"]["_target_"].split(".")[-1] in DENOISERS


def scripts(folder: Path) -> bool:
    """Whether TorchScript can compile the network: a class of which it cannot says so by ``scriptable``."""
    config = json.loads((folder / "configs" / "inference.json").read_text())
    return not denoises(folder) and getattr(locate(config["network_def"]["_target_"]), "scriptable", True)


def _classes(folder: Path) -> int:
    return _settings(folder).get("num_classes", 0)


def _settings(folder: Path) -> dict[str, Any]:
    """What the weights say of their training."""
    sidecar = folder / "models" / "model.json"
    return json.loads(sidecar.read_text()) if sidecar.is_file() else {}


def _tried(what: str, call: Callable, *arguments: Any, **options: Any) -> list[str]:
    try:
        call(*arguments, **options)
    except Exception as error:  # the network's own code can raise anything
        reason = error.__cause__ or error
        return [f"{what}: {type(reason).__name__}: {str(reason).strip()[:1000]}"]
    return []


def main() -> None:
    parser = argparse.ArgumentParser(description="Check a bundle as the MONAI Model Zoo does, but for the schema.")
    parser.add_argument("folder")
    parser.add_argument("--export")
    parser.add_argument("--result", required=True)
    arguments = parser.parse_args()
    sys.path[0] = os.path.abspath(arguments.folder)  # in place of the folder of this file
    problems = check_in_place(Path(arguments.folder), arguments.export)
    Path(arguments.result).write_text(json.dumps(problems))


if __name__ == "__main__":
    main()
