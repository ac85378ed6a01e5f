"""A bundle's trained network, its objective, and the images that it was trained on or that were held out, as its own
`train.json` prepares them."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from torch import nn
from torch.utils.data import Dataset, Subset

from tools import collection
from tools.data.provenance import subject_digest
from tools.engines.weights import ModelCheckpointLoader, model_settings

logger = logging.getLogger(__name__)


class TrainedNetwork:
    """A trained bundle, with the sizes that its weights state.

    Attributes:
        name: the bundle's name.
        weights: file of the weights.
        objective: objective of its network.

    Args:
        bundle: name of a bundle of the collection, or its folder.
        dataset_dir: folder of the data that it was trained on; None takes the phantoms that it made itself.
        trained: folder that holds `models`; None takes the bundle's.
        weights: file of weights; None takes `models/model.pt` there.
        device: device that computes; None takes the bundle's own choice.
        overrides: further entries of train.json that the training was given and weights do not state, such as
            ``{"validation_subsets": [8, 9]}``.

    Raises:
        ValueError: a bundle that trains nothing, weights of another one, or entries that its train.json does not have.
        FileNotFoundError: there are no weights.
    """

    def __init__(
        self,
        bundle: str,
        dataset_dir: str | None = None,
        trained: str | None = None,
        weights: str | Path | None = None,
        device: str | torch.device | None = None,
        overrides: Mapping[str, Any] | None = None,
    ) -> None:
        found = bundle_of(bundle)
        root = Path(trained or found.folder)
        self.name = found.name
        self.weights = Path(weights or root / "models" / "model.pt")
        if not self.weights.is_file():
            raise FileNotFoundError(f"no weights at {self.weights}: train {found.name} first, or say where they are")
        self.config = self._config(found, root, dataset_dir, device, overrides or {})
        self._parser = ConfigParser(self.config)
        self.objective = self._parser.get_parsed_content("denoising" if "denoising" in self.config else "objective")

    def _config(
        self,
        bundle: collection.Bundle,
        root: Path,
        dataset_dir: str | None,
        device: str | torch.device | None,
        overrides: Mapping[str, Any],
    ) -> dict[str, Any]:
        """The training's config with the settings that the weights state."""
        config = json.loads((bundle.folder / "configs" / "train.json").read_text(encoding="utf-8"))
        stated = model_settings(self.weights, bundle=config["settings"]["bundle"])
        own = {key: value for key, value in stated.items() if key in config}
        config |= own | {"bundle_root": str(root), "dataset_dir": dataset_dir, "batch_size": 1, "num_workers": 0}
        if device is not None:
            config["device"] = str(device)
        if config["train"]["dataset"].get("classes"):
            config["train"]["dataset"]["complete"] = False
        parser = ConfigParser(config)
        for key, value in overrides.items():
            if key not in parser:
                raise ValueError(f"overrides: {bundle.name} has no {key!r} in its train.json")
            parser[key] = value
        return parser.get()

    def load(self, name: str = "network", weights: Path | None = None) -> nn.Module:
        """Return a network of the config, in evaluation mode, with the weights or with those of another file."""
        network = self._parser.get_parsed_content(name)
        ModelCheckpointLoader(weights or self.weights, network).load()
        return network.eval()

    def sets(self, per_patient: int, count: int | None = None) -> dict[str, tuple[Dataset, list[str]]]:
        """The "training" and the "held-out" images, at most ``per_patient`` of a patient and ``count`` of either set,
        with the patient of each.

        Load the network first: latents are those of its autoencoder.

        Raises:
            ValueError: the patients are not those of the weights.
        """
        stated = model_settings(self.weights).get("data", {}).get("subjects")
        sets = {}
        for name, parser in {"training": self._parser, "held-out": self._with_data_of_validation()}.items():
            data = parser.get_parsed_content("train#dataset")
            if hasattr(data, "encode"):
                data.encode()
            indices, patients = chosen(data, per_patient)
            check_patients(name, patients, stated)
            kept = evenly(len(indices), count or len(indices))
            sets[name] = Subset(data, [indices[i] for i in kept]), [patients[i] for i in kept]
        return sets

    def _with_data_of_validation(self) -> ConfigParser:
        """The same config with the validation's images in the place of the training's; encoders have weights."""
        other = ConfigParser(self.config | {"train_data": self.config["val_data"]})
        if "autoencoder" in self.config:
            encoder = other.get_parsed_content("autoencoder")
            encoder.load_state_dict(self._parser.get_parsed_content("autoencoder").state_dict())
            encoder.eval()
        return other


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


def chosen(data: Dataset, limit: int) -> tuple[list[int], list[str]]:
    """Numbers of at most ``limit`` images of a patient, at even distances, and the patient of each."""
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
    kept = [indices[place] for indices in places.values() for place in evenly(len(indices), limit)]
    return sorted(kept), [patients[index] for index in sorted(kept)]


def evenly(number: int, limit: int) -> list[int]:
    """At most ``limit`` of the numbers from 0 to ``number`` - 1, at even distances."""
    return np.unique(np.linspace(0, number - 1, min(limit, number)).round().astype(int)).tolist()


def check_patients(name: str, patients: list[str], digests: list[str] | None) -> None:
    """Compare patients of the images called ``name``, "training" or "held-out", with those whom weights state.

    Raises:
        ValueError: training images of others, or held-out ones of the training.
    """
    if digests is None:
        logger.warning("the weights do not say whom they were trained on: taken for the %s images of this folder", name)
        return
    known = set(digests)
    wrong = sorted({one for one in patients if (subject_digest(one) in known) != (name == "training")})
    if wrong:
        what = "are not in the weights' training" if name == "training" else "were in the weights' training"
        raise ValueError(
            f"{len(wrong)} patients of the {name} images, such as {wrong[0]}, {what}: give the folder that the bundle "
            "was trained on, divided as it was"
        )
