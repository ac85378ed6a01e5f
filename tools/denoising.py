"""The command that measures what a trained denoiser has learnt: of images it was trained on, and of others."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import DataLoader
from torch import Tensor
from tqdm import tqdm

from tools.engines.batches import to_device
from tools.engines.draws import Draws
from tools.files import whole_file
from tools.losses.diffusion import DiffusionObjective
from tools.options import listed
from tools.trained import TrainedNetwork

COLUMNS = ("images", "patient", "part", "time", "network", "guess")


def denoising(
    bundle: str,
    dataset_dir: str | None = None,
    trained: str | None = None,
    weights: str | None = None,
    times: str | Sequence[float] = "0.1,0.3,0.5,0.7,0.9",
    per_patient: int = 1,
    count: int | None = None,
    seed: int = 0,
    overrides: Mapping[str, Any] | None = None,
    device: str | None = None,
    output: str | None = None,
) -> None:
    """Measure how well a diffusion bundle denoises its training images, and held-out ones, by the amount of noise.

    What is worse for held-out images than for those of the training was learnt by heart; where the network is no better
    than the linear guess of a flow, it has learnt nothing there yet. Each number is the mean over images of the squared
    error of the denoised sample, apart for its images, in [-1, 1], and its label channels; of latents, in units of
    these. Every image has noise of its own, the same at all times, and for all networks that are asked with one seed.

    Args:
        bundle: name of a bundle that denoises, or its folder.
        dataset_dir: folder of the data that it was trained on; its phantoms without it.
        trained: folder that holds `models` with the bundle's weights, if it is not the bundle's own.
        weights: file of weights, such as a moment's; `models/model.pt` without it.
        times: shares of the way from image to noise, in (0, 1), separated by commas.
        per_patient: number of slices of a patient that are asked about at most, at even distances.
        count: number of images of either set that are asked about at most, at even distances; all without it.
        seed: random seed of the noise.
        overrides: entries of train.json that the training was given and that weights do not state, such as
            "{'validation_subsets': [8, 9]}".
        device: device that computes; the bundle's own choice without it.
        output: CSV file with every image and time.
    """
    shares = _shares(times)
    if count is not None and count < 1:
        raise ValueError(f"count is {count}, expected 1 image or more")
    asked = TrainedNetwork(bundle, dataset_dir, trained, weights, device, overrides)
    objective = asked.objective
    if not isinstance(objective, DiffusionObjective):
        raise ValueError(f"{asked.name} denoises nothing; give a bundle of diffusion or of a flow")
    where = next(asked.load().parameters()).device
    rows: list[dict] = []
    for name, (images, patients) in asked.sets(per_patient, count).items():
        bar = tqdm(DataLoader(images), desc=f"Denoising {name} images", unit="image", disable=None)
        for index, (batch, patient) in enumerate(zip(bar, patients, strict=True)):
            found = errors_of(objective, to_device(batch, where), shares, Draws(seed, index, where))
            rows += [{"images": name, "patient": patient} | one for one in found]
    print(f"{asked.name}, {asked.weights}: mean squared errors of denoised samples")
    for line in table(rows):
        print(line)
    if output is not None:
        with whole_file(Path(output)) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)


def _shares(times: str | Sequence[float]) -> list[float]:
    """The times in (0, 1).

    Raises:
        ValueError: there is none, or another number or text.
    """
    given = [times] if isinstance(times, float | int) else times
    try:
        shares = [float(one) for one in listed(given)]
    except ValueError:
        shares = []
    if not shares or not all(0 < share < 1 for share in shares):
        raise ValueError(f"times is {times!r}, expected shares of the way to noise in (0, 1), such as 0.1,0.5,0.9")
    return shares


@torch.no_grad()
def errors_of(
    objective: DiffusionObjective, batch: dict, shares: Sequence[float], draws: Draws
) -> Iterator[dict[str, Any]]:
    """Yield the mean squared errors of one sample's parts, "image" and "label", denoised from each share of the way to
    noise: by the "network", and by its linear "guess" alone, None where it has none. Label voxels count where they are
    known.

    Args:
        objective: objective of the network.
        batch: batch of one, as of the training's dataset.
        shares: shares of the number of training times, in (0, 1).
        draws: source of the noise.
    """
    drawn = objective.draw(batch, draws)
    drawn["class"] = batch["class"].long() if objective.num_classes else None
    images = drawn["sample"].shape[1] if objective.channels is None else objective.channels.num_images
    for share in shares:
        at = drawn | {"time": torch.full_like(drawn["time"], share * objective.scheduler.num_train_timesteps)}
        said = {"network": objective.predict(at).float(), "guess": objective.guess(at)}
        errors = {
            name: None if one is None else (objective.denoised(at, one) - at["sample"]).square()
            for name, one in said.items()
        }
        parts = {"image": slice(0, images), "label": slice(images, None)}
        for part, channels in parts.items():
            if at["sample"][:, channels].numel():
                counted = at["counted"] if part == "label" else None
                means = {
                    name: None if error is None else _mean(error[:, channels], counted)
                    for name, error in errors.items()
                }
                yield {"part": part, "time": share} | means


def _mean(error: Tensor, counted: Tensor | None) -> float | None:
    """Mean of the errors that count; None where none does."""
    counting = error if counted is None else error[counted.expand_as(error)]
    return counting.mean().item() if counting.numel() else None


def table(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Lines of a table of means: images, part and who denoises, by time."""
    shares = sorted({row["time"] for row in rows})
    keys = list(dict.fromkeys((row["images"], row["part"]) for row in rows))
    yield f"{'time':<34}" + "".join(f"{share:>10g}" for share in shares)
    for images, part in keys:
        chosen = [row for row in rows if (row["images"], row["part"]) == (images, part)]
        number = len(chosen) // len(shares)
        for who in ("guess", "network"):
            cells = []
            for share in shares:
                known = [row[who] for row in chosen if row["time"] == share and row[who] is not None]
                cells.append(f"{np.mean(known):>10.4f}" if known else f"{'-':>10}")
            if any("-" not in cell for cell in cells):
                yield f"{f'{number} {images}, {part}, {who}':<34}" + "".join(cells)
