"""LPIPS: a distance of images as a network trained on photographs sees them, from local files of its weights.

Zhang R, Isola P, Efros AA, Shechtman E, Wang O. The unreasonable effectiveness of deep features as a perceptual metric.
CVPR 2018.
"""

from __future__ import annotations

import os
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tools.torch_files import read_state_dict

VGG16 = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Widths of the convolutions of VGG16, block by block; between blocks the side is halved."""

SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""Mean and deviation of the colours of ImageNet for values in [-1, 1]."""


class LPIPS(nn.Module):
    """Version 0.1 with VGG16: for each of five maps, the squared difference of unit vectors, channels weighted.

    With y^l the features of block l and y^ = y / |y| over channels, the distance is the sum over l of the mean over
    pixels of the sum over channels c of w_c^l (x^_c^l - y^_c^l)^2 (Eq. 1). Each channel of medical images is given as
    a grey photograph, and the distance is the mean over channels.

    Args:
        trunk: file of torchvision's VGG16 weights, ``vgg16-397923af.pth``.
        heads: file of the weights w, ``vgg.pth`` in ``lpips/weights/v0.1`` of the PyPI package `lpips`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a file holds other weights.
    """

    def __init__(self, trunk: str | os.PathLike, heads: str | os.PathLike) -> None:
        super().__init__()
        self.blocks = nn.ModuleList()
        before, numbers = 3, []
        number = 0
        for block in VGG16:
            layers: list[nn.Module] = [nn.MaxPool2d(2)] if len(self.blocks) else []
            number += len(layers)
            for width in block:
                layers.extend([nn.Conv2d(before, width, 3, padding=1), nn.ReLU()])
                numbers.append(number)
                number += 2
                before = width
            self.blocks.append(nn.Sequential(*layers))
        convolutions = [layer for block in self.blocks for layer in block if isinstance(layer, nn.Conv2d)]
        weights = _taken(trunk, {f"features.{n}.{kind}" for n in numbers for kind in ("weight", "bias")})
        for n, convolution in zip(numbers, convolutions, strict=True):
            convolution.load_state_dict({kind: weights[f"features.{n}.{kind}"] for kind in ("weight", "bias")})
        of_heads = _taken(heads, {f"lin{level}.model.1.weight" for level in range(len(VGG16))})
        for level, block in enumerate(VGG16):
            head = of_heads[f"lin{level}.model.1.weight"]
            if head.numel() != block[-1]:
                raise ValueError(f"{heads} has {head.numel()} weights for block {level}, expected {block[-1]}")
            self.register_buffer(f"head{level}", head.float().flatten())
        self.register_buffer("shift", torch.tensor(SHIFT).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor(SCALE).view(1, 3, 1, 1))
        self.requires_grad_(False)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Distance of each image, [B], of images [B, C, H, W] in [-1, 1], of 32 pixels a side or more."""
        channels = first.shape[1]
        pair = torch.cat([first, second]).flatten(0, 1)[:, None].expand(-1, 3, -1, -1)
        x = (pair - self.shift) / self.scale
        distance = x.new_zeros(len(x) // 2)
        for level, block in enumerate(self.blocks):
            x = block(x)
            a, b = F.normalize(x, dim=1, eps=1e-10).chunk(2)
            head = getattr(self, f"head{level}").view(1, -1, 1, 1)
            distance = distance + (head * (a - b) ** 2).sum(1).mean((1, 2))
        return distance.view(-1, channels).mean(1)


def _taken(path: str | os.PathLike, names: set[str]) -> dict[str, Tensor]:
    """Tensors of these names in a file of weights."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file {Path(path).absolute()}; give LPIPS its two files of weights")
    state = read_state_dict(path)
    missing = sorted(names - state.keys())
    if missing:
        raise ValueError(f"{path} has no {missing[0]} (of {len(missing)} that are missing), expected weights of VGG16")
    return {name: state[name] for name in names}
