"""What a bundle's files say of it: its training, and what it does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

BUNDLES = Path(__file__).resolve().parents[2] / "bundles"


def bundle_names() -> list[str]:
    """Bundles that can be trained."""
    return sorted(path.parents[1].name for path in BUNDLES.glob("*/configs/train.json"))


def read_config(bundle: str, overrides: Mapping[str, Any]) -> ConfigParser:
    """A bundle's train.json with overrides, nothing of it built yet.

    Raises:
        ValueError: an override names what the bundle does not have.
    """
    parser = ConfigParser(ConfigParser.load_config_file(BUNDLES / bundle / "configs" / "train.json"))
    for key, value in overrides.items():
        root = key.split("#")[0].split("::")[0]
        if root not in parser:
            raise ValueError(f"overrides: bundle {bundle} has no {root!r} in its train.json.")
        parser.set(value, key)
    return parser


def has_reference(bundle: str) -> bool:
    """Return whether the bundle can also train as its paper's code is written."""
    return "implementation" in read_config(bundle, {})


def bundle_metadata(bundle: str) -> dict[str, Any]:
    """The content of a bundle's metadata.json."""
    return ConfigParser.load_config_file(BUNDLES / bundle / "configs" / "metadata.json")


def kind(bundle: str) -> str:
    """Return the word for what a bundle does: "generate", "translate"."""
    return bundle_metadata(bundle)["kind"]


def translates(bundle: str) -> bool:
    """Return whether a bundle makes images from other images."""
    return kind(bundle) == "translate"


def dimensions(bundle: str) -> int:
    """Return the dimensions of what a bundle's network makes: 2 or 3."""
    return len(bundle_metadata(bundle)["network_data_format"]["outputs"]["pred"]["spatial_shape"])
