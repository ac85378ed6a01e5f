"""A network's weights in a file: keeping the best, loading them again."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from pathlib import Path

from ignite.engine import Engine, Events
from torch import Tensor, nn

from tools.engines.processes import rank_and_world_size
from tools.files import whole_file
from tools.networks.self_described import description_in
from tools.torch_files import read_state_dict, write_torch_file

logger = logging.getLogger(__name__)


class BestModel:
    """Handler of a validation engine that keeps the networks of the best key metric as ``<name>.pt``.

    Args:
        directory: folder for the files.
        models: the networks that inference needs, by name; "model" is the one that is validated.
        settings: values needed to rebuild the networks.
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
            value = float(state.best_metric)
            result = {"epoch": state.epoch, state.key_metric_name: None if math.isnan(value) else value}
            for name, network in self.models.items():
                save_model(self.directory / f"{name}.pt", network, self.settings | result, name)


def save_model(path: Path, network: nn.Module, settings: dict, name: str | None = None) -> None:
    """Write a network's state dict, its settings within, and again as JSON beside it (``model.pt``, ``model.json``).

    The file is a plain state dict to whoever loads it. The settings are in torch's own metadata of it, the attribute
    ``_metadata`` that `torch.save` keeps; see ``settings_in``.

    Args:
        path: path of the weights.
        network: network whose weights they are.
        settings: values needed to rebuild it; primitives only.
        name: name of the network among those of the bundle, as in ``models`` of its `train.json`.
    """
    settings = json.loads(json.dumps(settings))  # a tuple or a number of NumPy would not be what is read again
    state = network.state_dict()
    state._metadata[""] |= {"settings": settings} | ({} if name is None else {"name": name})
    write_torch_file(path, state)
    with whole_file(path.with_suffix(".json")) as partial:
        partial.write_text(json.dumps(settings, indent=2) + "\n")


def last_weights(path: str | Path) -> Path:
    """Return where a training keeps the weights of its last epoch, beside those of the best at ``path``."""
    path = Path(path)
    return path.with_name(f"{path.stem}_last{path.suffix}")


def weights_beside(path: str | Path, name: str) -> str:
    """Return where the weights ``name`` are that belong to those of the model at ``path``: of the same epoch, best or
    last.
    """
    path = Path(path)
    return str(path.with_name(f"{name}{'_last' if path.stem.endswith('_last') else ''}{path.suffix}"))


ADVICE = "Train the bundle first, which writes them"


def no_weights(path: str | Path, advice: str = ADVICE) -> str:
    """Return what to say where there are no weights at ``path``: what to do, and whether there are those of the last
    epoch.
    """
    last = last_weights(path)
    if last.is_file():
        return (
            f"no weights at {path}: no validation has chosen the best yet. Those of the last epoch are there: "
            f"--ckpt_path {last} takes them."
        )
    return f"no weights at {path}. {advice}, or give --ckpt_path."


def settings_in(state: Mapping[str, Tensor]) -> dict:
    """The settings that ``save_model`` put into a state dict, empty if there are none."""
    return getattr(state, "_metadata", {}).get("", {}).get("settings", {})


def model_settings(
    path: str | Path, default: dict | None = None, bundle: str | None = None, network: str | None = None
) -> dict:
    """The settings with which the network in ``path`` was trained: those in the file, and in the JSON file beside it.

    They complete and override ``default``, which serves alone where there are none: weights from elsewhere. A warning
    then says so, and another one where the two files disagree; what is in the weights' own file holds.

    Args:
        path: path of a state dict; if there is none yet, ``default`` is returned.
        default: settings by name.
        bundle: bundle whose weights are expected.
        network: name of the network that is expected, as in ``models`` of the bundle's `train.json`.

    Raises:
        ValueError: the file holds no weights (see `tools.torch_files`), or those of another bundle or network.
    """
    default = default or {}
    path = Path(path)
    if not path.exists():
        return default
    state = read_state_dict(path)
    sidecar = path.with_suffix(".json")
    beside = json.loads(sidecar.read_text()) if sidecar.is_file() else {}
    description = {key: value for key, value in description_in(state).items() if key in default}
    within = settings_in(state) | description
    found = beside | within
    for what, expected, given in (
        ("bundle", bundle, found.get("bundle")),
        ("network", network, getattr(state, "_metadata", {}).get("", {}).get("name")),
    ):
        if None not in (expected, given) and expected != given:
            raise ValueError(
                f"{path} has weights of the {what} {given}, expected {expected}: give its own --ckpt_path."
            )
    differing = [
        f"{key} {within[key]} (not {beside[key]})" for key in within if beside.get(key, within[key]) != within[key]
    ]
    if differing:
        logger.warning(f"{sidecar} is not of the weights beside it, which were trained with {', '.join(differing)}.")
    standing_in = {key: value for key, value in default.items() if key not in found}
    if standing_in:
        logger.warning(
            f"{path} does not say how it was trained, and there is no {sidecar.name} beside it that does: taken for "
            f"{', '.join(f'{key} {value}' for key, value in standing_in.items())}."
        )
    return default | found


class ModelCheckpointLoader:
    """Handler that loads weights into a network when an engine starts.

    "CheckpointLoader" in its name is how MONAI's federated clients find what they switch off: there the weights come
    from the server.

    Args:
        path: path of a state dict, for instance ``model.pt``.
        network: network that the weights belong to.
        advice: beginning of a sentence that says how to get weights, where there are none.
    """

    def __init__(self, path: str, network: nn.Module, advice: str = ADVICE) -> None:
        self.path = Path(path)
        self.network = network
        self.advice = advice

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, lambda _: self.load())

    def load(self) -> None:
        """
        Raises:
            FileNotFoundError: no weights are there yet.
            ValueError: the weights are of another network, or the file holds none; see `tools.torch_files`.
        """
        if not self.path.exists():
            raise FileNotFoundError(no_weights(self.path, self.advice))
        state = read_state_dict(self.path)
        try:
            self.network.load_state_dict(state)
        except (RuntimeError, ValueError) as error:
            asked = (
                "is --image_size, or another size, not that of the training? "
                if isinstance(error, RuntimeError)
                else ""
            )
            raise ValueError(
                f"the weights in {self.path} do not fit the network, a {type(self.network).__name__}: {asked}"
                f"{' '.join(str(error).split())[:500]}"
            ) from error


ModelLoader = ModelCheckpointLoader
"""Its name in configs of earlier versions."""
