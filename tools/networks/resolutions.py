"""The resolutions of networks whose blocks double or halve images, and their widths."""

from __future__ import annotations

from torch import Tensor

IMAGE_SIZES = (32, 64, 128, 256, 512, 1024)
CUBE_SIZES = (8, 16, 32, 64, 128, 256)


def sides_of(image_size: int, spatial_dims: int = 2) -> list[int]:
    """The resolutions of a network for images, or cubes, of a size: 4, 8, ... up to it.

    Raises:
        ValueError: the size is not a power of two from 32 to 1024, or of cubes from 8 to 256.
    """
    sizes = IMAGE_SIZES if spatial_dims == 2 else CUBE_SIZES
    if image_size not in sizes:
        raise ValueError(
            f"image_size is {image_size}, expected a power of two from {sizes[0]} to {sizes[-1]}: {sizes}. "
            f"{'Images' if spatial_dims == 2 else 'Volumes'} of another size are resized by the preprocessing."
        )
    return [2**power for power in range(2, image_size.bit_length())]


def width_of(side: int, channel_base: int = 16384, channel_max: int = 512) -> int:
    """Channels at a resolution: min(channel_base / side, channel_max)."""
    return min(channel_base // side, channel_max)


def check_image(image: Tensor, channels: int, side: int, spatial_dims: int = 2) -> None:
    """
    Raises:
        ValueError: the images are not [B, channels, side, side], or the volumes not [B, channels, side, side, side].
    """
    shape = (channels, *[side] * spatial_dims)
    if image.shape[1:] != shape:
        kind = "images" if spatial_dims == 2 else "volumes"
        raise ValueError(f"expected {kind} [B, {', '.join(map(str, shape))}], got {tuple(image.shape)}.")
