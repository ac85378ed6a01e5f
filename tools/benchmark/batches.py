"""The first batch of a bundle's own loader: what every measurement of its training sees, again and again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tools.benchmark.configs import read_config
from tools.engines.latents import LatentDataset
from tools.files import whole_file

Batch = dict[str, Tensor]


def write_first_batch(bundle: str, image_size: int, overrides: Mapping[str, Any], path: Path) -> int:
    """Take the first batch of a bundle's training: of its phantoms, or of the `dataset_dir` that overrides name.

    It has as many rows as the bundle's train.json says. Phantoms and preprocessed images go into the folder of
    ``path``, where the batches of other sizes find them.

    Args:
        bundle: name of the bundle.
        image_size: voxels or pixels a side.
        overrides: further entries of train.json.
        path: file for the batch; its folder is for one bundle with one set of overrides.

    Returns:
        The number of rows.
    """
    own = {
        "image_size": image_size,
        "device": "cpu",
        "bundle_root": str(path.parent),
        "train#dataloader#num_workers": 0,
    }
    parser = read_config(bundle, {**overrides, **own})
    if isinstance(dataset := parser.get_parsed_content("train#dataset"), LatentDataset):
        dataset.encode()  # as an autoencoder without training does
    loader = parser.get_parsed_content("train#dataloader")
    batch = {key: torch.as_tensor(value) for key, value in next(iter(loader)).items() if isinstance(value, Tensor)}
    with whole_file(path) as partial:
        torch.save(batch, partial)
    return len(next(iter(batch.values())))


def repeated(path: str, batch_size: int, pin_memory: bool = False) -> list[Batch]:
    """A loader's stand-in that holds one batch: the rows of the file's in turn, as many as asked for.

    It is taken as often as needed, so that only training is measured and not the making of batches.
    """
    batch = {}
    for key, rows in torch.load(path, weights_only=True).items():
        batch[key] = torch.empty((batch_size, *rows.shape[1:]), dtype=rows.dtype, pin_memory=pin_memory)
        for start in range(0, batch_size, len(rows)):
            batch[key][start : start + len(rows)] = rows[: batch_size - start]
    return [batch]
