"""The training by which images are judged, always the same for a task: a small network, Adam, equal steps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from tools.transforms.augmentation import RandomSamples
from tools.usefulness.samples import LabelledSet
from tools.usefulness.tasks import Task

LEARNING_RATE = 1e-3


def train(
    task: Task,
    sets: Sequence[LabelledSet],
    classes: int,
    steps: int,
    batch_size: int,
    seed: int,
    augmented: bool = False,
    device: str | torch.device = "cpu",
    progress: str = "",
    precision: str = "fp32",
) -> nn.Module:
    """A task's network trained for a number of steps.

    Args:
        task: task.
        sets: sets to train on. Each sample of a batch is drawn from one of them, all with the same probability however
            large they are, and each case of it with the same.
        classes: number of classes without background.
        steps: number of Adam steps, at 1e-3, the same for whatever is compared.
        batch_size: number of samples in a batch.
        seed: random seed of weights, draws and augmentation.
        augmented: True moves samples and changes their contrast, see `RandomSamples`.
        device: device to train on.
        progress: name of the training on a progress bar.
        precision: "fp32", or "bf16" for convolutions in half of the time where the processor has it.

    Returns:
        The network, in evaluation mode.
    """
    first = sets[0].images
    rng = np.random.default_rng(seed)
    change = RandomSamples(tuple(first.shape[2:]), mirror=False).set_random_state(seed) if augmented else None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = task.network(first.ndim - 2, first.shape[1], classes)
    network = network.to(device, memory_format=_layout(first.ndim))
    half = torch.autocast(torch.device(device).type, torch.bfloat16, enabled=precision == "bf16")
    optimizer = torch.optim.Adam(network.parameters(), LEARNING_RATE)
    for _ in tqdm(range(steps), desc=progress, unit="step", leave=False, disable=None):
        drawn = [_draw(sets[int(rng.integers(len(sets)))], rng, change) for _ in range(batch_size)]
        image, label = (torch.stack(part).to(device) for part in zip(*drawn, strict=True))
        optimizer.zero_grad(set_to_none=True)
        with half:
            outputs = network(image.contiguous(memory_format=_layout(image.ndim)))
        task.loss(outputs.float(), label).backward()
        optimizer.step()
    return network.eval()


def _layout(axes: int) -> torch.memory_format:
    """Channels last, in which convolutions are faster on a CPU too."""
    return torch.channels_last_3d if axes == 5 else torch.channels_last


def _draw(of: LabelledSet, rng: np.random.Generator, change: RandomSamples | None) -> tuple[Tensor, Tensor]:
    number = int(rng.integers(len(of)))
    image, label = of.images[number], of.labels[number]
    is_map = label.ndim > 0  # the class of an image stays where the image moves
    label = label.float() if is_map else label
    if change is not None:
        made = change({"image": image} | ({"label": label} if is_map else {}))
        image, label = made["image"], made["label"].float() if is_map else label
    return image, label
