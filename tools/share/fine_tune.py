"""The config that fine-tunes a packed bundle: an overlay of `train.json` that starts from the packed weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

OF_A_RUN = ("seed", "batch_size", "precision", "data", "bundle")
"""Settings of a training run, not of the network that it trained."""


def network_settings(train: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Ids of ``train`` -> their values in the training that made the packed weights, without those of a run.

    Args:
        train: the content of `train.json`.
        settings: the content of `model.json`, how the packed weights were trained.
    """
    return {key: value for key, value in settings.items() if key in train and key not in OF_A_RUN}


def fine_tune_config(train: Mapping[str, Any], models: Iterable[str]) -> dict[str, Any]:
    """`fine_tune.json`, for `--config_file "['configs/train.json','configs/fine_tune.json']"`.

    The networks that inference needs begin with the packed weights; the others, as discriminators, begin anew, since
    they are not packed. Results go to `fine_tuned`, so that the packed weights stay.

    Args:
        train: the content of `train.json`.
        models: names of the packed weights, ids of `models` in ``train``.
    """
    models = list(models)
    networks = [(name, f"@models#{name}") for name in models]
    # of those that are trained, models may hold a moving average only
    if "network" in train:
        networks.append(("model", "@network"))
    networks += [(name, f"@{name}") for name in models if name in train and train["models"][name] != f"@{name}"]
    return {
        "pretrained_dir": "$@bundle_root + '/models'",
        "pretrained": [
            {
                "_target_": "tools.engines.weights.ModelCheckpointLoader",
                "path": f"$@pretrained_dir + '/{name}.pt'",
                "network": network,
            }
            for name, network in networks
        ],
        "ckpt_dir": "$@bundle_root + '/fine_tuned'",
        "output_dir": "$@bundle_root + '/fine_tuned'",
        # what is grown up begins at full size
        **({"growth#first_level": "$@image_size.bit_length() - 3"} if "growth" in train else {}),
        "run": ["$[part.load() for part in @pretrained]", *train["run"]],
    }
