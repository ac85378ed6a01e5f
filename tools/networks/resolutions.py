"""The resolutions of networks whose blocks double or halve images, and their widths."""

from __future__ import annotations

from torch import Tensor

IMAGE_SIZES = (32, 64, 128, 256, 512, 1024)


def sides_of(image_size: int) -> list[int]:
    """The resolutions of a network for images of a size: 4, 8, ... up to it.

    Raises:
        ValueError: the size is not a power of two from 32 to 1024.
    """
    if image_size not in IMAGE_SIZES:
        raise ValueError(
            f"image_size is {image_size}, expected a power of two from 32 to 1024: {IMAGE_SIZES}. Images of another "
            "size are resized by the preprocessing."
        )
    return [2**power for power in range(2, image_size.bit_length())]


def width_of(side: int, channel_base: int = 16384, channel_max: int = 512) -> int:
    """Channels at a resolution: min(channel_base / side, channel_max)."""
    return min(channel_base // side, channel_max)


def check_image(image: Tensor, channels: int, side: int) -> None:
    """
    Raises:
        ValueError: the images are not [B, channels, side, side].
    """
    if image.shape[1:] != (channels, side, side):
        raise ValueError(f"expected images [B, {channels}, {side}, {side}], got {tuple(image.shape)}.")
