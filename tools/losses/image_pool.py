"""A memory of past generated images for discriminators (Shrivastava et al. 2017)."""

from __future__ import annotations

import torch
from torch import Tensor


class ImagePool:
    """Shows a discriminator older images half of the time, so that it does not chase the newest ones only.

    Until it is full, it stores what it is given and returns it. From then on each image is, with probability one half,
    exchanged for a stored one, and otherwise returned.

    With several processes each has a pool of its own rows; a checkpoint keeps that of process 0.

    Args:
        size: number of images that are remembered; 0 returns everything as it is.
    """

    def __init__(self, size: int = 50) -> None:
        if size < 0:
            raise ValueError(f"a pool cannot hold {size} images; 0 is none")
        self.size = size
        self.images: list[Tensor] = []

    def exchange(self, images: Tensor, uniforms: Tensor) -> Tensor:
        """Images for the discriminator.

        Args:
            images: new images [B, C, H, W], without gradient.
            uniforms: random numbers [B, 2], uniform in [0, 1): whether to exchange, and for which one.

        Returns:
            Images [B, C, H, W], new or remembered.
        """
        return torch.stack([self._one(image, *row) for image, row in zip(images, uniforms.tolist(), strict=True)])

    def _one(self, image: Tensor, whether: float, which: float) -> Tensor:
        if self.size == 0:
            return image
        if len(self.images) < self.size:
            self.images.append(image)
            return image
        if whether < 0.5:
            return image
        place = int(which * self.size)
        older, self.images[place] = self.images[place], image
        return older.to(image.device)

    def state_dict(self) -> dict:
        """The remembered images, for a checkpoint."""
        return {"images": [image.cpu() for image in self.images]}

    def load_state_dict(self, state: dict) -> None:
        """Remember what ``state_dict`` gave."""
        self.images = list(state["images"])
