"""Translating whole volumes with a network that sees slices, or thin slabs of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from monai.inferers import Inferer
from torch import Tensor


class SlabInferer(Inferer):
    """Run a 2D network over all axial slices of volumes, a batch of slices at a time.

    A network with ``slices`` > 1 takes and makes slabs. One slab is centred on each slice, so every slice is predicted
    up to ``slices`` times, from different neighbourhoods, and the mean is kept: neighbouring slices then share most
    of their predictions, which smooths the jumps between slices that Crespi et al. name as a limit of 2D
    translation. The slabs at both ends repeat the last slice.

    Args:
        slices: number of slices of a slab, odd; the one that the network was built with.
        batch_size: slabs that go through the network together; None takes 8 on a GPU and 1 on a CPU, where batches are
            no faster and take more memory.
        fuse: average all predictions of a slice; False keeps the one from the slab that is centred on it.
        mirror: average with what becomes of the mirror image, left for right, which training shows as often: errors
            that the network makes on one of them only are halved. It takes twice as long.
    """

    def __init__(self, slices: int = 1, batch_size: int | None = None, fuse: bool = True, mirror: bool = False) -> None:
        if slices < 1 or slices % 2 == 0:
            raise ValueError(f"slices must be odd, so that there is a middle one; got {slices}")
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}, expected 1 or more, or None")
        self.slices = slices
        self.batch_size = batch_size
        self.fuse = fuse
        self.mirror = mirror

    @torch.no_grad()
    def __call__(self, inputs: Tensor, network: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """
        Args:
            inputs: [B, modalities, D, H, W], axial first.
            network: [n, modalities * slices, H, W] to [n, modalities out * slices, H, W].

        Returns:
            [B, modalities out, D, H, W].
        """
        return torch.stack([self._volume(volume, network, *args, **kwargs) for volume in inputs])

    def _volume(self, volume: Tensor, network: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        depth, height, width = volume.shape[1:]
        half = self.slices // 2
        padded = F.pad(volume[None], (0, 0, 0, 0, half, half), mode="replicate")[0] if half else volume
        # [modalities, D, H, W, slices] -> [D, modalities * slices, H, W], the slices of a modality together
        slabs = padded.unfold(1, self.slices, 1).permute(1, 0, 4, 2, 3).reshape(depth, -1, height, width)

        together = self.batch_size or (1 if volume.device.type == "cpu" else 8)

        def translate(slabs: Tensor) -> Tensor:
            return torch.cat([network(part, *args, **kwargs).float() for part in slabs.split(together)])

        made = translate(slabs)
        if self.mirror:
            made = (made + translate(slabs.flip(-1)).flip(-1)) / 2
        made = made.unflatten(1, (-1, self.slices)).transpose(0, 1)  # [modalities out, D, slices, H, W]
        if not self.fuse:
            return made[:, :, half]
        total, counts = made.new_zeros(made.shape[:2] + made.shape[3:]), made.new_zeros(depth, 1, 1)
        for place in range(self.slices):
            offset = place - half  # slab i predicts slice i + offset there
            first, last = max(0, offset), depth + min(0, offset)
            total[:, first:last] += made[:, first - offset : last - offset, place]
            counts[first:last] += 1
        return total / counts
