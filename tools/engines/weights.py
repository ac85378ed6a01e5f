"""A network's weights in a file: keeping the best, loading them again."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import torch
from ignite.engine import Engine, Events
from torch import nn

from tools.engines.trainer import rank_and_world_size
from tools.files import whole_file


class BestModel:
    """Handler of a validation engine that keeps the networks of the best key metric as ``<name>.pt``.

    Args:
        directory: where the files go.
        models: the networks that inference needs, by name; "model" is the one that is validated.
        settings: what is needed to rebuild them.
    """

    def __init__(self, directory: str, models: dict[str, nn.Module], settings: dict) -> None:
        self.directory = Path(directory)
        self.models = models
        self.settings = settings

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.COMPLETED, self.completed)

    def completed(self, engine: Engine) -> None:
        state = engine.state
        if state.best_metric_epoch == state.epoch and rank_and_world_size()[0] == 0:
            result = {"epoch": state.epoch, state.key_metric_name: float(state.best_metric)}
            for name, network in self.models.items():
                save_model(self.directory / f"{name}.pt", network, self.settings | result)


def save_model(path: Path, network: nn.Module, settings: dict) -> None:
    """Write a network's state dict, and its settings as JSON beside it (``model.pt``, ``model.json``)."""
    with whole_file(path) as partial:
        torch.save(network.state_dict(), partial)
    with whole_file(path.with_suffix(".json")) as partial:
        partial.write_text(json.dumps(settings, indent=2) + "\n")


def model_settings(path: str | Path, default: dict | None = None) -> dict:
    """The settings with which the network in ``path`` was trained, read from the JSON file beside it.

    They complete and override ``default``, which serves alone where there is no such file: weights from elsewhere.
    """
    sidecar = Path(path).with_suffix(".json")
    return (default or {}) | (json.loads(sidecar.read_text()) if sidecar.is_file() else {})


class ModelCheckpointLoader:
    """Handler that loads weights into a network when an engine starts.

    "CheckpointLoader" in its name is how MONAI's federated clients find what they switch off: there the weights come
    from the server.

    Args:
        path: of a state dict, for instance ``model.pt``.
        network: that they belong to.
    """

    def __init__(self, path: str, network: nn.Module) -> None:
        self.path = Path(path)
        self.network = network

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, lambda _: self.load())

    def load(self) -> None:
        """
        Raises:
            FileNotFoundError: there are no weights yet.
            ValueError: they are of another network, or the file is not a state dict.
        """
        if not self.path.is_file():
            raise FileNotFoundError(
                f"no weights at {self.path}. Train the bundle first, which writes them, or give --ckpt_path."
            )
        try:
            self.network.load_state_dict(torch.load(self.path, map_location="cpu", weights_only=True))
        except (RuntimeError, pickle.UnpicklingError, AttributeError, TypeError) as error:
            raise ValueError(
                f"the weights in {self.path} do not fit the network. Is --image_size, or --num_classes, not that of "
                f"the training? First mismatch: {str(error)[:500]}"
            ) from error


ModelLoader = ModelCheckpointLoader
"""The name in configs of before."""
