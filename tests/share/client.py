"""Uses an unpacked bundle as MONAI's own clients do, from the working folder it is started in.

    python client.py BUNDLE RESULT OVERRIDES

loads the network by `monai.bundle.load`, trains two federated rounds and evaluates by `monai.fl.client.MonaiAlgo`, and
writes to RESULT what a test wants to know.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from monai.bundle import load
from monai.fl.client import MonaiAlgo
from monai.fl.utils.constants import ExtraItems
from monai.fl.utils.exchange_object import ExchangeObject


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[key]) for key, value in one.items())


def loaded(bundle: Path, workflow_type: str) -> bool:
    """Whether `monai.bundle.load` gives the packed weights, whole, in the network that they were trained in."""
    network = load(bundle.name, bundle_dir=bundle.parent, workflow_type=workflow_type, source="github", device="cpu")
    return same(network.state_dict(), torch.load(bundle / "models" / "model.pt", weights_only=True))


def federated(bundle: Path, overrides: dict) -> dict:
    packed = torch.load(bundle / "models" / "model.pt", weights_only=True)
    algo = MonaiAlgo(
        bundle_root=str(bundle), send_weight_diff=False, train_kwargs=dict(overrides), eval_kwargs=dict(overrides)
    )
    algo.initialize(extra={ExtraItems.CLIENT_NAME: "site"})
    first = {key: value.clone() for key, value in algo.get_weights().weights.items()}
    rounds = []
    for _ in range(2):
        algo.train(ExchangeObject(weights=first))
        trained = algo.get_weights()
        rounds.append({"changed": not same(trained.weights, first), "statistics": trained.statistics})
    metrics = algo.evaluate(ExchangeObject(weights=first)).metrics
    return {
        "from_the_server": same({k: v.cpu() for k, v in algo.evaluator.network.state_dict().items()}, first),
        "fits": first.keys() == packed.keys(),
        "rounds": rounds,
        "earlier": len(list((bundle / "models").glob("earlier_*"))),
        "metrics": metrics,
    }


if __name__ == "__main__":
    folder, overrides = Path(sys.argv[1]), json.loads(sys.argv[3])
    result = {
        "loaded": {workflow_type: loaded(folder, workflow_type) for workflow_type in ("train", "inference")},
        **federated(folder, overrides),
    }
    Path(sys.argv[2]).write_text(json.dumps(result))
