"""Generating volumes from latents inside MONAI's evaluators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from monai.engines.utils import PrepareBatch
from monai.inferers import Inferer
from torch import Tensor

from tools.networks.slabwise import SlabwiseGenerator


class PrepareLatents(PrepareBatch):
    """Hand a ``SupervisedEvaluator`` latents as input and real volumes, if there are any, as what to compare with.

    The evaluator's output then has "image" (latents), "label" (real volumes or None) and "pred" (generated volumes).

    Args:
        latent_key: of latents in the batch, [B, L].
        real_key: of real volumes, [B, 1, D, H, W]; may be missing in the batch.
        class_key: of class indices for a conditional generator, [B]; may be missing.
    """

    def __init__(self, latent_key: str = "latent", real_key: str = "image", class_key: str = "label") -> None:
        self.latent_key = latent_key
        self.real_key = real_key
        self.class_key = class_key

    def __call__(
        self, batchdata: dict, device: str | torch.device | None = None, non_blocking: bool = False, **kwargs: Any
    ) -> tuple[Tensor, Tensor | None, tuple, dict]:
        def moved(key: str) -> Tensor | None:
            value = batchdata.get(key)
            return None if value is None else value.to(device=device, non_blocking=non_blocking, **kwargs)

        label = moved(self.class_key)
        return moved(self.latent_key), moved(self.real_key), (), {} if label is None else {"label": label}


class OneByOneInferer(Inferer):
    """Run a generator on one latent at a time.

    Linear algebra rounds differently for other batch sizes; this way a volume depends on its seed alone. A volume
    is large enough to keep a device busy.

    Args:
        slab_length: axial slices that the generator's last layers make at a time; 0 makes whole volumes, which is
            faster as long as they fit into memory.
    """

    def __init__(self, slab_length: int = 0) -> None:
        super().__init__()
        if slab_length < 0:
            raise ValueError(f"slab_length is {slab_length}, expected slices of a slab, or 0 for whole volumes")
        self.slab_length = slab_length

    def __call__(self, inputs: Tensor, network: Callable, *args: Any, label: Tensor | None = None, **kwargs: Any):
        if self.slab_length > 0:
            network = SlabwiseGenerator(network, self.slab_length)
        labels = [None] * len(inputs) if label is None else label.split(1)
        return torch.cat([network(z, y, *args, **kwargs) for z, y in zip(inputs.split(1), labels, strict=True)])
