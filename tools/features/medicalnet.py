"""MedicalNet's 3D ResNet-50 as a feature space: that of the FID and MMD of HA-GAN and CRF-GAN."""

from __future__ import annotations

import os

import torch
from monai.networks.nets import ResNet, resnet50
from torch import nn

from tools.errors import check_choice
from tools.features.network import NetworkFeatures
from tools.features.weights import WeightFile, load_weights

_HUB = "https://huggingface.co/TencentMedicalNet/MedicalNet-Resnet50/resolve/main"

PRETRAINING = {
    "8-datasets": WeightFile(
        "resnet_50.pth",
        "5b6189cafbee2f5604a7279b62bc163365aa6a86a377e1dc260a14275cacbd84",
        f"{_HUB}/resnet_50.pth",
        "MedicalNet's 3D ResNet-50, trained to segment 8 datasets",
    ),
    "23-datasets": WeightFile(
        "resnet_50_23dataset.pth",
        "ff48a62219073fb977fd3f4ddfb8dc1367f0ec156c8d6f6c37e205bd683a246e",
        f"{_HUB}/resnet_50_23dataset.pth",
        "MedicalNet's 3D ResNet-50, trained to segment 23 datasets",
    ),
}


class MedicalNetFeatures(NetworkFeatures):
    """Means over space of the last stage of MedicalNet's 3D ResNet-50 (Chen, Ma and Zheng, arXiv:1904.00625).

    As in HA-GAN's evaluation (github.com/batmanlab/HA-GAN, evaluation/fid_score.py), which CRF-GAN's follows: the
    network trained on 8 datasets, and volumes in [-1, 1] as they are. MedicalNet was itself trained on volumes with
    zero mean and unit variance over the voxels above 0 and noise in the others; `standardise` does the first of this,
    over all voxels.

    Args:
        weights: the file or its folder; None looks in torch.hub's folder and downloads it there.
        pretraining: "8-datasets" or "23-datasets".
        standardise: True brings every volume to zero mean and unit variance first. Then a change of brightness or
            contrast of a whole volume is not seen, and numbers are not those of the papers.
        check_hash: False accepts other weights of this network.

    Attributes:
        name: "medicalnet-resnet50-<first 8 digits of the weights' SHA-256>", and "-standardised" if so.
        dims: 2048.

    Raises:
        ValueError: unknown `pretraining`, or weights of another network or with another hash.
        FileNotFoundError: the weights are not there, see `WeightFile.locate`.
    """

    dims = 2048
    note = "with fewer volumes than 2048 dimensions a Fréchet distance is biased: compare equal numbers of volumes only"

    def __init__(
        self,
        weights: str | os.PathLike | None = None,
        pretraining: str = "8-datasets",
        standardise: bool = False,
        check_hash: bool = True,
    ) -> None:
        check_choice("pretraining", pretraining, PRETRAINING)
        path, digest = PRETRAINING[pretraining].locate(weights, check_hash)
        super().__init__(f"medicalnet-resnet50-{digest[:8]}" + ("-standardised" if standardise else ""))
        self.standardise = standardise
        self.network = medicalnet_resnet50()
        load_weights(self.network, path)
        self.freeze()

    def rows_of(self, volume: torch.Tensor) -> torch.Tensor:
        """[1, 1, D, H, W] -> [1, 2048]."""
        if self.standardise:
            # the small number keeps a constant volume finite: it becomes zero
            volume = (volume - volume.mean()) / (volume.std() + 1e-8)
        return self.network(volume)


class MedicalNetDistance(nn.Module):
    """How far two volumes are from each other in MedicalNet's 3D ResNet-50, as a loss that is learned from.

    As MONAI's ``PerceptualLoss`` has it: features of the last stage, at each place divided by their length over
    channels; the mean over places of their squared distance. Volumes are brought to zero mean and unit variance first.
    MONAI's own loads program and weights from the internet.

    Args:
        weights: file of the weights, or its folder, see `MedicalNetFeatures`.
        pretraining: "8-datasets" or "23-datasets".
        check_hash: False accepts other weights of this network.

    Raises:
        ValueError: weights of another network or with another hash.
        FileNotFoundError: the weights are not there.
    """

    def __init__(self, weights: str | os.PathLike, pretraining: str = "8-datasets", check_hash: bool = True) -> None:
        super().__init__()
        path, _ = PRETRAINING[pretraining].locate(weights, check_hash)
        network = medicalnet_resnet50()
        load_weights(network, path)
        self.network = nn.Sequential(
            *(network.conv1, network.bn1, network.act, network.maxpool),
            *(network.layer1, network.layer2, network.layer3, network.layer4),
        )
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> MedicalNetDistance:
        """Stays in evaluation mode, whatever contains it."""
        return super().train(False)

    def forward(self, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        """Distance [] of volumes [B, 1, D, H, W], of at least 16 voxels a side."""
        return (self.features(one) - self.features(other)).square().sum(1).mean()

    def features(self, volumes: torch.Tensor) -> torch.Tensor:
        """Features [B, 2048, D/8, H/8, W/8] of length 1."""
        axes = (1, 2, 3, 4)
        mean, deviation = volumes.mean(axes, keepdim=True), volumes.std(axes, keepdim=True)
        return nn.functional.normalize(self.network((volumes - mean) / (deviation + 1e-8)), dim=1)


def medicalnet_distance(
    weights: str | os.PathLike | None, device: str | torch.device = "cpu"
) -> MedicalNetDistance | None:
    """Return the distance by a file of weights, on a device; None without a file."""
    return None if weights is None else MedicalNetDistance(weights).to(device)


def medicalnet_resnet50() -> ResNet:
    """The network, without values: its parameters are on the meta device until weights are loaded.

    MONAI's ResNet-50 with MedicalNet's strides: the first convolution halves the volume, and the last two stages do not
    but dilate their convolutions by 2 and 4. MONAI's own loader of these weights keeps the strides of classification,
    with which the same weights give other features.
    """
    with torch.device("meta"):
        network = resnet50(
            pretrained=False,
            spatial_dims=3,
            n_input_channels=1,
            conv1_t_stride=2,
            feed_forward=False,
            shortcut_type="B",
            bias_downsample=False,
        )
    for stage, dilation in ((network.layer3, 2), (network.layer4, 4)):
        for block in stage:
            block.conv2.stride, block.conv2.dilation, block.conv2.padding = (1,) * 3, (dilation,) * 3, (dilation,) * 3
        stage[0].downsample[0].stride = (1,) * 3
    return network
