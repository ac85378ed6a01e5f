"""The metadata of a packed bundle: what its author wrote, made true for the network that was trained."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any

from tools.share.requirements import CORE

VERSION = re.compile(r"\d+\.\d+\.\d+(?:[A-Za-z][\w.]*)?")


def packed_metadata(
    metadata: Mapping[str, Any],
    settings: Mapping[str, Any],
    versions: Mapping[str, str],
    version: str | None = None,
) -> dict[str, Any]:
    """The metadata that goes into the archive.

    The shapes are those of the trained network: `configs/metadata.json` in the repository describes the default one.

    Args:
        metadata: metadata of the repository.
        settings: the content of `model.json`, how the network was trained.
        versions: distribution -> version of what the packed bundle needs.
        version: version of the archive; None takes that of the metadata.

    Raises:
        ValueError: the version is missing, no version number, or not in the changelog.
    """
    packed = copy.deepcopy(dict(metadata))
    packed["version"] = released_version(metadata, version)
    packed |= {key: versions[name] for name, key in zip(CORE, _CORE_KEYS, strict=True) if name in versions}
    packed["required_packages_version"] = {k: v for k, v in versions.items() if k not in CORE}
    packed["network_data_format"] = trained_format(packed.get("network_data_format", {}), settings)
    return packed


def released_version(metadata: Mapping[str, Any], version: str | None = None) -> str:
    """The version of an archive; arguments and errors as of ``packed_metadata``."""
    version = str(version or metadata.get("version") or "")
    if not VERSION.fullmatch(version):
        raise ValueError(f"the version is {version!r}; it must look like 0.1.0. Give --version or mend metadata.json.")
    if version not in metadata.get("changelog", {}):
        known = ", ".join(metadata.get("changelog", {})) or "nothing"
        raise ValueError(
            f"version {version} is not in the changelog of metadata.json, which has {known}. "
            "Say there what is new in it."
        )
    return version


_CORE_KEYS = ("monai_version", "pytorch_version", "numpy_version")


def trained_format(data_format: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """`network_data_format` of a network trained with ``settings``.

    A latent vector has the length, and a generated volume the side or sides, that were trained with; a slab of
    neighbouring slices has each modality's slices as channels.
    """
    trained = copy.deepcopy(dict(data_format))
    slices = int(settings.get("slices", 1))
    for side in ("inputs", "outputs"):
        for tensor in trained.get(side, {}).values():
            if tensor.get("format") == "latent" and "latent_dim" in settings:
                tensor["num_channels"] = settings["latent_dim"]
            shape = tensor.get("spatial_shape", [])
            if shape and "volume_size" in settings:
                tensor["spatial_shape"] = list(settings["volume_size"])
            elif shape and "image_size" in settings and all(isinstance(length, int) for length in shape):
                tensor["spatial_shape"] = [settings["image_size"]] * len(shape)
            if slices > 1:
                tensor["num_channels"] *= slices
                names = tensor.get("channel_def", {}).values()
                of_slices = [f"{name}, slice {n} of {slices}" for name in names for n in range(1, slices + 1)]
                tensor["channel_def"] = {str(number): name for number, name in enumerate(of_slices)}
    return trained
