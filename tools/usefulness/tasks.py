"""What images are used for: segmentation or classification, each with its network, its loss and what is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.losses import DiceCELoss
from monai.metrics import compute_dice
from monai.networks.nets import ResNet, UNet
from torch import Tensor, nn

from tools.usefulness.results import Metric, class_auc, class_f1, mean_dice
from tools.usefulness.samples import LabelledSet

CHANNELS = (16, 32, 64, 128)
"""Channels of either network at each of its four resolutions."""


@dataclass(frozen=True)
class Task:
    """A use of images.

    Attributes:
        name: its name, by which it is asked for.
        learner: the network, in words.
        network: function of the number of axes, images and classes that gives an untrained network.
        loss: function of outputs and labels of a batch that gives a number.
        predict: function of a network, a set, the number of classes and a device that gives an array [cases, ...].
        measure: function of such predictions, their set and the number of classes that gives a table [cases, columns].
        metrics: function of such a table by name, the chief one first, see `Results`.
        titles: name of each metric where it is shown.
        csv: name of the file with every number of the tables, and its columns after those of the training.
        rows: function of a table's row and the names of classes that gives the rest of the rows of that file.
    """

    name: str
    learner: str
    network: Callable[[int, int, int], nn.Module]
    loss: Callable[[Tensor, Tensor], Tensor]
    predict: Callable[[nn.Module, LabelledSet, int, Any], np.ndarray]
    measure: Callable[[np.ndarray, LabelledSet, int], np.ndarray]
    metrics: Mapping[str, Metric]
    titles: Mapping[str, str]
    csv: tuple[str, tuple[str, ...]]
    rows: Callable[[np.ndarray, Sequence[str]], Iterator[list[Any]]]

    @property
    def chief(self) -> str:
        """The title of its first metric."""
        return self.titles[next(iter(self.metrics))]


def _unet(axes: int, images: int, classes: int) -> UNet:
    return UNet(axes, images, classes + 1, channels=CHANNELS, strides=(2, 2, 2), num_res_units=2)


def _resnet(axes: int, images: int, classes: int) -> ResNet:
    """A residual network of ten layers (He et al. 2016), with norms of groups: of a few steps batches know little."""
    return ResNet(
        "basic",
        [1, 1, 1, 1],
        list(CHANNELS),
        spatial_dims=axes,
        n_input_channels=images,
        num_classes=classes,
        norm=("group", {"num_groups": 8}),
    )


@torch.no_grad()
def segment(network: nn.Module, cases: LabelledSet, classes: int, device: str | torch.device = "cpu") -> np.ndarray:
    """The class of every voxel, as the network says: uint8 [n, 1, (D,) H, W], 0 for background."""
    found = [network(image[None].to(device)).argmax(1).byte().cpu().numpy() for image in cases.images]
    return np.stack(found)


def dice_of(predicted: np.ndarray, cases: LabelledSet, classes: int) -> np.ndarray:
    """Dice of every class on every case: float64 [n, classes], NaN for a class that a case does not have."""
    found = []
    for index, label in zip(predicted, cases.labels, strict=True):
        one, true = (_one_hot(x[None].long(), classes) for x in (torch.from_numpy(index), label))
        found.append(compute_dice(one, true, include_background=False)[0].double().numpy())
    return np.stack(found)


@torch.no_grad()
def classify(network: nn.Module, cases: LabelledSet, classes: int, device: str | torch.device = "cpu") -> np.ndarray:
    """The probability of every class, as the network says: float32 [n, classes]."""
    return np.stack([network(image[None].to(device)).softmax(1)[0].cpu().numpy() for image in cases.images])


def probabilities_of(predicted: np.ndarray, cases: LabelledSet, classes: int) -> np.ndarray:
    """The true class and the probability of every class: float64 [n, 1 + classes]."""
    return np.concatenate([cases.labels.numpy()[:, None], predicted], 1).astype(np.float64)


def _one_hot(index: Tensor, classes: int) -> Tensor:
    return torch.cat([index == c for c in range(classes + 1)], 1).float()


def _dice_rows(row: np.ndarray, classes: Sequence[str]) -> Iterator[list[Any]]:
    for label, value in zip(classes, row, strict=True):
        yield [label, None if np.isnan(value) else f"{value:.6f}"]


def _probability_rows(row: np.ndarray, classes: Sequence[str]) -> Iterator[list[Any]]:
    for label, value in zip(classes, row[1:], strict=True):
        yield [classes[int(row[0])], label, f"{value:.6f}"]


SEGMENTATION = Task(
    "segmentation",
    "segmenter",
    _unet,
    DiceCELoss(to_onehot_y=True, softmax=True),
    segment,
    dice_of,
    {"dice": mean_dice},
    {"dice": "Dice"},
    ("dice.csv", ("class", "dice")),
    _dice_rows,
)

CLASSIFICATION = Task(
    "classification",
    "classifier",
    _resnet,
    nn.functional.cross_entropy,
    classify,
    probabilities_of,
    {"auc": class_auc, "f1": class_f1},
    {"auc": "AUC", "f1": "F1"},
    ("probabilities.csv", ("true", "class", "probability")),
    _probability_rows,
)

TASKS = {task.name: task for task in (SEGMENTATION, CLASSIFICATION)}
