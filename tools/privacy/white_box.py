"""Attacks of somebody who has the weights: does the network know its training images from others?

The network and its data are those of the bundle's own `train.json`, with the sizes that its weights state: images are
asked about as it saw them, each the mean of its patient's.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.data import DataLoader
from torch.utils.data import Dataset, Subset
from tqdm import tqdm

from tools import collection
from tools.data.provenance import subject_digest
from tools.engines.batches import to_device
from tools.engines.draws import Draws
from tools.engines.weights import ModelCheckpointLoader, model_settings, weights_beside
from tools.metrics.membership import by_patient

logger = logging.getLogger(__name__)

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
    found = bundle_of(bundle)
    root = Path(trained or found.folder)
    config, weights = _config(found, root, dataset_dir, device)
    parser = ConfigParser(config)
    objective = parser.get_parsed_content("denoising" if "denoising" in config else "objective")
    kind = DENOISING if hasattr(objective, "errors") else DISCRIMINATOR
    if kind == DISCRIMINATOR:
        path = Path(weights_beside(weights, "discriminator"))
        if not hasattr(objective, "realness") or "discriminator" not in config["models"]:
            raise ValueError(
                f"{found.name} keeps no discriminator that can be asked and denoises nothing: there is no test with "
                "its weights. Leave --bundle out; distance and DOMIAS need samples alone"
            )
        network = parser.get_parsed_content("discriminator")
    else:
        path, network = weights, parser.get_parsed_content("network")
    ModelCheckpointLoader(path, network).load()
    network.eval()
    sets = {"training": parser, "held-out": _with_data_of_validation(config, network, parser)}
    subjects = model_settings(weights).get("data", {}).get("subjects")
    scores = {}
    for name, one in sets.items():
        data = one.get_parsed_content("train#dataset")
        if hasattr(data, "encode"):
            data.encode()
        indices, patients = chosen(data, PER_PATIENT)
        _check(name, patients, subjects)
        loader = DataLoader(Subset(data, indices), batch_size=1)
        bar = tqdm(loader, desc=f"The network on {name} images", unit="image", disable=None)
        where = next(network.parameters()).device
        with torch.no_grad():
            rows = [_asked(objective, to_device(batch, where)) for batch in bar]
        scores[name] = np.array(rows), patients
    columns = np.concatenate([rows for rows, _ in scores.values()])
    spread = np.maximum(columns.std(0), 1e-12)
    members, others = (by_patient((rows / spread).mean(1), patients) for rows, patients in scores.values())
    return Evidence(kind, f"{found.name}, {path}", members, others)


def bundle_of(given: str) -> collection.Bundle:
    """A bundle by its name in the collection, or by its folder.

    Raises:
        ValueError: there is none, or it trains nothing.
    """
    path = Path(given)
    is_folder = (path / "configs" / "metadata.json").is_file()
    found = collection.Bundle(path.resolve().name, path) if is_folder else collection.get(given)
    if not (found.folder / "configs" / "train.json").is_file():
        raise ValueError(f"{found.name} runs weights of others and has no train.json, which says what it was shown")
    return found


def _config(
    bundle: collection.Bundle, root: Path, dataset_dir: str | None, device: str | torch.device | None
) -> tuple[dict[str, Any], Path]:
    """The training's config with the settings that the weights state, and their place."""
    config = json.loads((bundle.folder / "configs" / "train.json").read_text(encoding="utf-8"))
    weights = root / "models" / "model.pt"
    if not weights.is_file():
        raise FileNotFoundError(f"no weights at {weights}: train {bundle.name} first, or say with --trained where")
    settings = model_settings(weights, bundle=config["settings"]["bundle"])
    own = {key: value for key, value in settings.items() if key in config}
    config |= own | {"bundle_root": str(root), "dataset_dir": dataset_dir, "batch_size": 1, "num_workers": 0}
    if device is not None:
        config["device"] = str(device)
    if config["train"]["dataset"].get("classes"):
        config["train"]["dataset"]["complete"] = False
    return config, weights


def _with_data_of_validation(config: dict[str, Any], network: torch.nn.Module, parser: ConfigParser) -> ConfigParser:
    """The same config with the validation's images in the place of the training's; encoders are those with weights."""
    other = ConfigParser(config | {"train_data": config["val_data"]})
    if "autoencoder" in config:
        encoder = other.get_parsed_content("autoencoder")
        encoder.load_state_dict(parser.get_parsed_content("autoencoder").state_dict())
        encoder.eval()
    return other


def chosen(data: Dataset, limit: int) -> tuple[list[int], list[str]]:
    """Numbers of the images that are asked about, at most ``limit`` of a patient at even distances, and the patient of
    each.
    """
    while isinstance(getattr(data, "data", None), Dataset):
        data = data.data
    if hasattr(data, "store"):
        store = data.store
        patients = [store.subjects[number] for number in store.volume_of]
    else:
        patients = [str(item.get("subject", item["id"])) for item in data.data]
    places: dict[str, list[int]] = {}
    for index, patient in enumerate(patients):
        places.setdefault(patient, []).append(index)
    kept = [
        indices[place]
        for indices in places.values()
        for place in np.unique(np.linspace(0, len(indices) - 1, min(limit, len(indices))).round().astype(int))
    ]
    return sorted(kept), [patients[index] for index in sorted(kept)]


def _check(name: str, patients: list[str], digests: list[str] | None) -> None:
    """Compare patients with those whom the weights state."""
    if digests is None:
        logger.warning("the weights do not say whom they were trained on: taken for the %s images of this folder", name)
        return
    known = set(digests)
    wrong = sorted({one for one in patients if (subject_digest(one) in known) != (name == "training")})
    if wrong:
        what = "are not in the weights' training" if name == "training" else "were in the weights' training"
        raise ValueError(
            f"{len(wrong)} patients of the {name} images, such as {wrong[0]}, {what}: give with --bundle_data the "
            "folder that the bundle was trained on"
        )


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
