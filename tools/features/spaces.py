"""Feature spaces by name, as commands and bundles choose them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from tools.features.radiomics import RadiomicFeatures
from tools.features.space import FeatureSpace
from tools.features.untrained import UntrainedFeatures, UntrainedSliceFeatures

Weights = str | os.PathLike | None


def _medicalnet(weights: Weights) -> FeatureSpace:
    from tools.features.medicalnet import MedicalNetFeatures

    return MedicalNetFeatures(weights)


def _inception(weights: Weights) -> FeatureSpace:
    from tools.features.inception import InceptionFeatures

    return InceptionFeatures(weights=weights)


UNTRAINED: dict[str, Callable[[int], FeatureSpace]] = {
    "untrained": UntrainedFeatures,
    "untrained-slices": UntrainedSliceFeatures,
}
"""Spaces that follow from a seed."""

TRAINED: dict[str, Callable[[Weights], FeatureSpace]] = {"medicalnet": _medicalnet, "inception": _inception}
"""Spaces that need weights; what they import is imported with them."""

FIXED: dict[str, Callable[[], FeatureSpace]] = {"radiomics": RadiomicFeatures}
"""Spaces that need nothing."""

NAMES = (*UNTRAINED, *TRAINED, *FIXED)


def make_space(name: str, weights: Weights = None, seed: int = 0) -> FeatureSpace:
    """A feature space.

    Args:
        name: one of `NAMES`.
        weights: weights of "medicalnet" or "inception": the file, or the folder that holds it under its own name; None
            looks in torch.hub's folder and downloads it there.
        seed: seed of untrained networks, >= 0.

    Raises:
        ValueError: an unknown name, or weights for a space that takes none; see also the spaces.
        FileNotFoundError: the weights are not there and cannot be downloaded.
        ImportError: "inception" without torchvision.
    """
    if name in TRAINED:
        return TRAINED[name](weights)
    _check_name(name)
    if weights is not None:
        raise ValueError(
            f"weights are {os.fspath(weights)!r}, but feature space {name!r} takes none; leave them out, or choose "
            f"{' or '.join(TRAINED)}"
        )
    return UNTRAINED[name](seed) if name in UNTRAINED else FIXED[name]()


def make_spaces(names: str | Sequence[str], weights: Weights = None, seed: int = 0) -> list[FeatureSpace]:
    """Several feature spaces, as `make_space` makes one.

    Args:
        names: names of feature spaces, a sequence or separated by commas; a repeated one counts once.
        weights: weights of those that take weights; a folder if these are more than one.
        seed: seed of untrained networks.

    Raises:
        ValueError: no name, weights that none of the spaces takes, or one file for several; and see `make_space`.
    """
    names = names.split(",") if isinstance(names, str) else names
    names = list(dict.fromkeys(stripped for name in names if (stripped := str(name).strip())))
    if not names:
        raise ValueError(f"no feature space is given; choose from {', '.join(NAMES)}")
    for name in names:
        _check_name(name)
    trained = [name for name in names if name in TRAINED]
    if weights is not None and not trained:
        raise ValueError(
            f"weights are {os.fspath(weights)!r}, but none of the feature spaces {', '.join(names)} takes any; leave "
            f"them out, or add {' or '.join(TRAINED)}"
        )
    if weights is not None and len(trained) > 1 and os.path.isfile(os.path.expanduser(weights)):
        raise ValueError(
            f"weights are the file {os.fspath(weights)!r}, but {' and '.join(trained)} need one each; give the folder "
            "that holds both under their own names"
        )
    return [make_space(name, weights if name in TRAINED else None, seed) for name in names]


def _check_name(name: str) -> None:
    if name not in NAMES:
        raise ValueError(f"unknown feature space {name!r}; choose from {', '.join(NAMES)}")
