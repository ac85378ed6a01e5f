"""LPIPS against its equation, with files of weights laid out as the published ones."""

import pytest
import torch
import torch.nn.functional as F

from tools.losses.lpips import LPIPS, VGG16

CONVOLUTIONS = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
"""Numbers of VGG16's convolutions among torchvision's layers."""
LAST_OF_BLOCKS = (2, 7, 14, 21, 28)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lpips")
    generator = torch.Generator().manual_seed(0)
    widths = [width for block in VGG16 for width in block]
    trunk = {"classifier.0.bias": torch.zeros(3)}  # and more that is not needed
    for number, before, after in zip(CONVOLUTIONS, [3, *widths[:-1]], widths, strict=True):
        trunk[f"features.{number}.weight"] = torch.randn(after, before, 3, 3, generator=generator) * before**-0.5 / 2
        trunk[f"features.{number}.bias"] = torch.randn(after, generator=generator) / 10
    heads = {
        f"lin{level}.model.1.weight": torch.rand(1, block[-1], 1, 1, generator=generator)
        for level, block in enumerate(VGG16)
    }
    torch.save(trunk, folder / "vgg16.pth")
    torch.save(heads, folder / "vgg.pth")
    return folder / "vgg16.pth", folder / "vgg.pth", trunk, heads


@torch.no_grad()
def test_distance_is_its_equation(files):
    trunk_file, heads_file, trunk, heads = files
    first, second = (torch.rand(2, 2, 32, 32, generator=torch.Generator().manual_seed(i)) * 2 - 1 for i in (1, 2))

    def features(grey):
        x = (torch.stack([grey] * 3) - torch.tensor([-0.030, -0.088, -0.188])[:, None, None]) / torch.tensor(
            [0.458, 0.448, 0.450]
        )[:, None, None]
        x = x[None]
        for number in CONVOLUTIONS:
            x = F.relu(F.conv2d(x, trunk[f"features.{number}.weight"], trunk[f"features.{number}.bias"], padding=1))
            if number in LAST_OF_BLOCKS:
                yield x[0]
                x = F.max_pool2d(x, 2)

    distance = LPIPS(trunk_file, heads_file)(first, second)
    for row in range(2):
        expected = 0
        for channel in range(2):
            for level, (a, b) in enumerate(
                zip(features(first[row, channel]), features(second[row, channel]), strict=True)
            ):
                weight = heads[f"lin{level}.model.1.weight"].flatten()
                unit = [one / one.pow(2).sum(0, keepdim=True).sqrt() for one in (a, b)]
                expected += (weight[:, None, None] * (unit[0] - unit[1]) ** 2).sum(0).mean().item() / 2
        assert distance[row].item() == pytest.approx(expected, rel=1e-4)


def test_gradients_reach_images_and_no_weight(files):
    network = LPIPS(*files[:2])
    image = torch.zeros(1, 1, 32, 32, requires_grad=True)
    network(image, torch.ones(1, 1, 32, 32)).sum().backward()
    assert image.grad.abs().sum() > 0
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_other_files_are_named(files, tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing"):
        LPIPS(tmp_path / "nothing.pth", files[1])
    with pytest.raises(ValueError, match=r"vgg\.pth has no features\.0\.bias"):
        LPIPS(files[1], files[1])
