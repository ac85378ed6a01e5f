"""A bundle's own training, taken from its train.json, on one batch and without anything around it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from tools.benchmark.batches import write_first_batch
from tools.benchmark.configs import read_config
from tools.engines.trainer import AlternatingTrainer
from tools.errors import causes


def learnable_parameters(bundle: str, image_size: int, overrides: Mapping[str, Any]) -> int:
    """Return how many parameters the bundle's updates train, in all their networks together.

    The networks are built without memory for their weights, so that it costs a moment at any size.

    Raises:
        ValueError: the bundle cannot be built so, for instance at this size.
    """
    own = {"image_size": image_size, "device": torch.device("meta")}
    parser = read_config(bundle, {**overrides, **own, **without_data(bundle, overrides)})
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


def without_data(bundle: str, overrides: Mapping[str, Any]) -> dict[str, None]:
    """Entries that read the data, for what is measured without them: the privacy of a training that is not private."""
    config = read_config(bundle, overrides)
    return {"private": None} if "private" in config and config["epsilon"] is None else {}


def grown_up(bundle: str) -> dict[str, str]:
    """Entries by which networks that grow begin at full size, as they are for most of a run."""
    return {"growth#first_level": "$@image_size.bit_length() - 3"} if "growth" in read_config(bundle, {}) else {}


def build_trainer(
    bundle: str,
    image_size: int,
    batch_size: int,
    precision: str,
    device: torch.device,
    overrides: Mapping[str, Any],
    batch: str = "",
) -> AlternatingTrainer:
    """The bundle's trainer with its updates, draws, average and precision, for one batch of its own, without handlers.

    As replaced parts of a config are never built, there is no data set, phantom, checkpoint or log.

    Args:
        bundle: name of the bundle.
        image_size: voxels or pixels a side.
        batch_size: rows of the batch.
        precision: "fp32", "bf16" or "fp16".
        device: device of the networks.
        overrides: further entries of train.json.
        batch: file of `write_first_batch`; without one it is made here.
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
            **grown_up(bundle),
            **without_data(bundle, overrides),
        },
    )
    if "initialize" in parser:  # seeds and determinism, which change which kernels run
        parser.get_parsed_content("initialize")
    with TemporaryDirectory() as folder:
        if not batch:
            batch = str(Path(folder) / "batch.pt")
            write_first_batch(bundle, image_size, overrides, Path(batch))
        parser["train#dataloader"] = {
            "_target_": "tools.benchmark.batches.repeated",
            "path": batch,
            "batch_size": "@batch_size",
            "pin_memory": device.type == "cuda",
        }
        if "growth" in parser:  # which makes loaders of its own
            parser["train#growing#loader"] = {**parser["train#dataloader"], "_mode_": "callable"}
        return parser.get_parsed_content("train#trainer")
