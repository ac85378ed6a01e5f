"""Attacks of somebody who has the weights: does the network know its training images from others?

The network and its data are those of the bundle's own `train.json`, with the sizes that its weights state: images are
asked about as it saw them, each the mean of its patient's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import DataLoader
from tqdm import tqdm

from tools.engines.batches import to_device
from tools.engines.draws import Draws
from tools.engines.weights import weights_beside
from tools.metrics.membership import by_patient
from tools.trained import TrainedNetwork

TIMES = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Shares of the way to noise at which a denoiser is asked."""

NOISES = 2
"""Noises at each of these times, the same for every image."""

PER_PATIENT = 16
"""Slices of a patient that are asked about at most, at even distances."""

DISCRIMINATOR, DENOISING = "discriminator", "denoising loss"


@dataclass(frozen=True)
class Evidence:
    """Scores that are higher for what a network knows.

    Attributes:
        kind: `DISCRIMINATOR` or `DENOISING`.
        network: words for the network and its weights.
        members: [patients] of the training.
        others: [patients] that were held out.
    """

    kind: str
    network: str
    members: np.ndarray
    others: np.ndarray


def white_box(
    bundle: str, dataset_dir: str | None = None, trained: str | None = None, device: str | torch.device | None = None
) -> Evidence:
    """Ask a bundle's network about its training and its validation images.

    Of a GAN the discriminator's logit is the score (Hayes et al. 2019, LOGAN), of a diffusion model minus the error of
    denoising (Carlini et al. 2023, Matsumoto et al. 2023), at fixed times and with the same noise for every image, each
    time's errors in units of their deviation. It is the network that was averaged where it is that which is published.

    Args:
        bundle: name of a bundle of the collection, or its folder.
        dataset_dir: folder of the data that it was trained on; None takes the phantoms that it made itself.
        trained: folder that holds `models`; None takes the bundle's.
        device: device that computes; None takes the bundle's own choice.

    Raises:
        ValueError: a bundle whose weights hold neither, or data that are not those of the weights.
        FileNotFoundError: there are no weights.
    """
    asked = TrainedNetwork(bundle, dataset_dir, trained, device=device)
    objective = asked.objective
    kind = DENOISING if hasattr(objective, "errors") else DISCRIMINATOR
    if kind == DISCRIMINATOR:
        path = Path(weights_beside(asked.weights, "discriminator"))
        if not hasattr(objective, "realness") or "discriminator" not in asked.config["models"]:
            raise ValueError(
                f"{asked.name} keeps no discriminator that can be asked and denoises nothing: there is no test with "
                "its weights. Leave --bundle out; distance and DOMIAS need samples alone"
            )
        network = asked.load("discriminator", path)
    else:
        path, network = asked.weights, asked.load()
    where = next(network.parameters()).device
    scores = {}
    for name, (images, patients) in asked.sets(PER_PATIENT).items():
        bar = tqdm(DataLoader(images), desc=f"The network on {name} images", unit="image", disable=None)
        with torch.no_grad():
            rows = [_asked(objective, to_device(batch, where)) for batch in bar]
        scores[name] = np.array(rows), patients
    columns = np.concatenate([rows for rows, _ in scores.values()])
    spread = np.maximum(columns.std(0), 1e-12)
    members, others = (by_patient((rows / spread).mean(1), patients) for rows, patients in scores.values())
    return Evidence(kind, f"{asked.name}, {path}", members, others)


def _asked(objective: Any, batch: dict) -> list[float]:
    """Scores of one image: D's, or one for each time and noise."""
    if not hasattr(objective, "errors"):
        return objective.realness(batch).tolist()
    scores = []
    for number in range(NOISES):
        drawn = objective.draw(batch, Draws(0, number, next(iter(objective.network.parameters())).device))
        for share in TIMES:
            time = torch.full_like(drawn["time"], share * objective.scheduler.num_train_timesteps)
            scores.append(-objective.errors(drawn | {"time": time}).item())
    return scores
