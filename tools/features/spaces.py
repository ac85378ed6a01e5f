"""Feature spaces by name, as commands and bundles choose them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from tools.features.radiomics import RadiomicFeatures
from tools.features.space import FeatureSpace
from tools.features.untrained import UntrainedFeatures, UntrainedSliceFeatures
from tools.options import listed

Weights = str | os.PathLike | None


def _medicalnet(weights: Weights, flat: bool) -> FeatureSpace:
    from tools.features.medicalnet import MedicalNetFeatures

    return MedicalNetFeatures(weights)


def _inception(weights: Weights, flat: bool) -> FeatureSpace:
    from tools.features.inception import InceptionFeatures

    return InceptionFeatures(weights, planes=("axial",), slices=1) if flat else InceptionFeatures(weights)


UNTRAINED: dict[str, Callable[[int], FeatureSpace]] = {
    "untrained": UntrainedFeatures,
    "untrained-slices": UntrainedSliceFeatures,
}
"""Spaces that follow from a seed."""

TRAINED: dict[str, Callable[[Weights, bool], FeatureSpace]] = {"medicalnet": _medicalnet, "inception": _inception}
"""Spaces that need weights; what they import is imported with them."""

FIXED: dict[str, Callable[[], FeatureSpace]] = {"radiomics": RadiomicFeatures}
"""Spaces that need nothing."""

NAMES = (*UNTRAINED, *TRAINED, *FIXED)

OF_FLAT = ("untrained-slices", "inception")
"""Spaces that 2D images have."""


def make_space(name: str, weights: Weights = None, seed: int = 0, flat: bool = False) -> FeatureSpace:
    """A feature space.

    Args:
        name: one of `NAMES`.
        weights: weights of "medicalnet" or "inception": the file, or the folder that holds it under its own name; None
            looks in torch.hub's folder and downloads it there.
        seed: random seed of untrained networks, >= 0.
        flat: True for 2D images, volumes of one slice, of which only the axial plane is looked at.

    Raises:
        ValueError: an unknown name, one of volumes for 2D images, or weights for a space that takes none; see also the
            spaces.
        FileNotFoundError: the weights are not there and cannot be downloaded.
        ImportError: "inception" without torchvision.
    """
    _check_name(name)
    if flat and name not in OF_FLAT:
        raise ValueError(f"feature space {name!r} is one of volumes; for 2D images choose from {', '.join(OF_FLAT)}")
    if name in TRAINED:
        return TRAINED[name](weights, flat)
    if weights is not None:
        raise ValueError(
            f"weights are {os.fspath(weights)!r}, but feature space {name!r} takes none; leave them out, or choose "
            f"{' or '.join(TRAINED)}"
        )
    return UNTRAINED[name](seed) if name in UNTRAINED else FIXED[name]()


def make_spaces(
    names: str | Sequence[str], weights: Weights = None, seed: int = 0, flat: bool = False
) -> list[FeatureSpace]:
    """Several feature spaces, as `make_space` makes one.

    Args:
        names: names of them, a sequence or separated by commas; a repeated one counts once.
        weights: weights for those that take any; a folder if these are more than one.
        seed: random seed of untrained networks.
        flat: True for 2D images.

    Raises:
        ValueError: no name, weights that none of the spaces takes, or one file for several; and see `make_space`.
    """
    names = list(dict.fromkeys(listed(names)))
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
    return [make_space(name, weights if name in TRAINED else None, seed, flat) for name in names]


def _check_name(name: str) -> None:
    if name not in NAMES:
        raise ValueError(f"unknown feature space {name!r}; choose from {', '.join(NAMES)}")
