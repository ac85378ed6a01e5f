"""A bundle's own training, taken from its train.json, on synthetic batches and without anything around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser

from tools.engines.trainer import AlternatingTrainer

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


def bundle_metadata(bundle: str) -> dict[str, Any]:
    """The content of a bundle's metadata.json."""
    return ConfigParser.load_config_file(BUNDLES / bundle / "configs" / "metadata.json")


def translates(bundle: str) -> bool:
    """Return whether a bundle is trained on slices of MR and CT, and not on volumes."""
    return bundle_metadata(bundle)["kind"] == "translate"


def learnable_parameters(bundle: str, image_size: int, overrides: Mapping[str, Any]) -> int:
    """Return how many parameters the bundle's updates train, in all their networks together.

    The networks are built without memory for their weights, so that it costs a moment at any size.

    Raises:
        ValueError: the bundle cannot be built so, for instance at this size.
    """
    parser = read_config(bundle, {**overrides, "image_size": image_size, "device": torch.device("meta")})
    if "implementation" in parser:  # fused optimizers need real weights
        parser["implementation"] = "reference"
    try:
        with torch.device("meta"):
            updates = parser.get_parsed_content("train#updates")
    except Exception as error:  # whatever a network's constructor raises, wrapped by the config parser
        reason = causes(error)[-1]
        raise ValueError(f"bundle {bundle} at image_size {image_size}: {type(reason).__name__}: {reason}") from error
    networks = [network for update in updates for network in update.networks.values()]
    parameters = {id(p): p.numel() for network in networks for p in network.parameters()}
    return sum(parameters.values())


def build_trainer(
    bundle: str,
    image_size: int,
    batch_size: int,
    precision: str,
    device: torch.device,
    overrides: Mapping[str, Any],
) -> AlternatingTrainer:
    """The bundle's trainer with its updates, draws, average and precision; batches are synthetic, handlers none.

    As replaced parts of a config are never built, there is no data set, phantom, checkpoint or log.
    """
    parser = read_config(
        bundle,
        {
            **overrides,
            "image_size": image_size,
            "batch_size": batch_size,
            "precision": precision,
            "device": device,
            "train#handlers": [],
            "train#trainer#max_epochs": 1,
        },
    )
    parser["train#dataloader"] = _batches(bundle, parser) | {
        "batch_size": "@batch_size",
        "pin_memory": device.type == "cuda",
    }
    if "initialize" in parser:  # seeds and determinism, which change which kernels run
        parser.get_parsed_content("initialize")
    return parser.get_parsed_content("train#trainer")


def _batches(bundle: str, parser: ConfigParser) -> dict[str, Any]:
    """The loader's stand-in for a bundle's kind of training data, as a part of its config."""
    if translates(bundle):
        return {
            "_target_": "tools.benchmark.training.unpaired_batches",
            "image_size": "@load_size",
            "mr_channels": "$@network_def#in_modalities * @slices",
            "ct_channels": "@slices",
        }
    batches = {"_target_": "tools.benchmark.training.synthetic_batches", "image_size": "@image_size"}
    return batches | ({"num_classes": "@num_classes"} if "num_classes" in parser else {})


def unpaired_batches(
    image_size: int, batch_size: int, mr_channels: int, ct_channels: int, pin_memory: bool = False
) -> Sequence[dict[str, torch.Tensor]]:
    """Batches as `synthetic_batches`, for translation: "mr" and "ct", slices [B, channels, image_size, image_size]."""
    batch = {
        name: torch.empty(batch_size, channels, image_size, image_size).uniform_(-1, 1)
        for name, channels in (("mr", mr_channels), ("ct", ct_channels))
    }
    return _pinned(batch, pin_memory)


def synthetic_batches(
    image_size: int, batch_size: int, num_classes: int = 0, pin_memory: bool = False
) -> Sequence[dict[str, torch.Tensor]]:
    """A loader's stand-in: one batch of random volumes [B, 1, S, S, S] in [-1, 1], and labels [B] if there are classes.

    It is repeated as often as needed, so that only training is measured and not the making of batches.
    """
    batch = {"image": torch.empty(batch_size, 1, image_size, image_size, image_size).uniform_(-1, 1)}
    if num_classes > 0:
        batch["label"] = torch.arange(batch_size) % num_classes
    return _pinned(batch, pin_memory)


def _pinned(batch: dict[str, torch.Tensor], pin_memory: bool) -> list[dict[str, torch.Tensor]]:
    return [{key: value.pin_memory() if pin_memory else value for key, value in batch.items()}]


def causes(error: BaseException) -> list[BaseException]:
    """The error and what it was raised from, the origin last; MONAI's config parser wraps what components raise."""
    chain = [error]
    while (origin := chain[-1].__cause__) is not None:
        chain.append(origin)
    return chain
