"""What is measured of a labelled sample: size, parts and place of its labels, and values inside of them; and how far
two sets of samples are apart in these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import ndimage
from scipy.stats import wasserstein_distance

WHOLE = "the whole image"

TOUCHING = ndimage.generate_binary_structure(3, 3)
"""Voxels are of one part if they share a side, an edge or a corner."""

AXES = ("slice", "row", "column")

HALVINGS = 20
"""Ways in which real samples are halved for what is expected of a perfect model."""


def measures_of(
    images: np.ndarray,
    label: np.ndarray | None,
    spacing: Sequence[float],
    names: Sequence[str],
    classes: Sequence[str],
    unit: tuple[str, float] | None = None,
) -> dict[str, float]:
    """Every measure of a sample by its name.

    Of each image the median and the standard deviation of all voxels, and the median inside of each label; of each
    label its volume in ml, or mm2 where there is one slice, and the number of its connected parts.

    Args:
        images: [images, D, H, W] in HU, or in [-1, 1].
        label: class indices [D, H, W], `UNKNOWN` where nobody looked; None without labels.
        spacing: size of a voxel in mm [D, H, W].
        names: names of the images.
        classes: names of the classes, from index 1 on.
        unit: name of another unit of size, and how much of it a voxel is.

    Returns:
        Numbers by name; NaN for values inside of a label that is not there.
    """
    found: dict[str, float] = {}
    for name, image in zip(names, images, strict=True):
        found[f"{name}: median of {WHOLE}"] = float(np.median(image))
        found[f"{name}: deviation of {WHOLE}"] = float(np.std(image))
    if label is None:
        return found
    flat = label.shape[0] == 1
    of_spacing = ("mm2", np.prod(spacing[1:])) if flat else ("ml", np.prod(spacing) / 1000)
    word, size = unit or of_spacing
    for number, of in enumerate(classes, start=1):
        inside = label == number
        found[f"{of}: {word}"] = float(inside.sum() * size)
        found[f"{of}: parts"] = float(ndimage.label(inside, TOUCHING)[1])
        for name, image in zip(names, images, strict=True):
            found[f"{name}: median in {of}"] = float(np.median(image[inside])) if inside.any() else np.nan
    return found


def statistics_of(
    images: np.ndarray, label: np.ndarray, names: Sequence[str], classes: Sequence[str], known: Sequence[bool] = ()
) -> dict[str, float]:
    """What two sets of samples are compared in, of each class: whether it is shown (1 or 0), and where it is, the
    share of the image that it has in percent, the number of its parts, the middle of it as shares of the image's
    axes, 0 at the first slice, row or column, and the median of each image inside.

    Args:
        images: [images, D, H, W]; there may be none.
        label: class indices [D, H, W].
        names: names of the images.
        classes: names of the classes, from index 1 on.
        known: True for each class that is labelled, where not all are.

    Returns:
        Numbers by name; NaN for those of a class that is not shown.
    """
    share = ("share, %", 100 / label.size)
    measured = measures_of(images, label, (1, 1, 1), names, classes, share)
    found = {}
    for number, of in enumerate(classes, start=1):
        if len(known) and not known[number - 1]:
            continue
        inside = label == number
        shown = bool(inside.any())
        found[f"{of}: shown"] = float(shown)
        middle = np.array(np.nonzero(inside)).mean(1) if shown else np.full(3, np.nan)
        places = (middle + 0.5) / label.shape
        for what in (f"{of}: share, %", f"{of}: parts"):
            found[what] = measured[what] if shown else np.nan
        found |= {f"{of}: {axis}": place for axis, place, n in zip(AXES, places, label.shape, strict=True) if n > 1}
        found |= {f"{of}: {name} inside": measured[f"{name}: median in {of}"] for name in names}
    return found


class Statistic(NamedTuple):
    """One number of labels in two sets of samples.

    Attributes:
        real: mean of the real samples that have it; NaN where none has.
        real_std: its standard deviation.
        synthetic: mean of the synthetic samples that have it.
        synthetic_std: its standard deviation.
        distance: Wasserstein distance of both distributions, in standard deviations of the real one (1 stands in for
            one of 0).
        real_against_real: the same of one half of the real samples against the other, the mean of some halvings.
    """

    real: float
    real_std: float
    synthetic: float
    synthetic_std: float
    distance: float
    real_against_real: float


def compared(
    real: Sequence[Mapping[str, float]], synthetic: Sequence[Mapping[str, float]], seed: int = 0
) -> dict[str, Statistic]:
    """How far the labels of two sets are apart, by what is measured of them.

    Args:
        real: numbers of each real sample, as `statistics_of` gives them.
        synthetic: same of each synthetic one.
        seed: seed of the halvings.

    Example::

        compared([{"tumour: row": 0.4}, {"tumour: row": 0.5}], [{"tumour: row": 0.6}])["tumour: row"].distance  # 3.0
    """
    rng = np.random.default_rng(seed)
    names = dict.fromkeys(name for sample in (*real, *synthetic) for name in sample)
    return {name: _statistic(*(_values(of, name) for of in (real, synthetic)), rng) for name in names}


def _values(samples: Sequence[Mapping[str, float]], name: str) -> np.ndarray:
    values = np.array([sample.get(name, np.nan) for sample in samples], float)
    return values[np.isfinite(values)]


def _statistic(real: np.ndarray, synthetic: np.ndarray, rng: np.random.Generator) -> Statistic:
    unit = float(real.std()) if len(real) else 0.0
    unit = unit if unit > 0 else 1.0

    def apart(a: np.ndarray, b: np.ndarray) -> float:
        return float(wasserstein_distance(a, b)) / unit if len(a) and len(b) else np.nan

    halves = [np.array_split(rng.permutation(real), 2) for _ in range(HALVINGS)]
    own = float(np.mean([apart(*both) for both in halves]))
    means = (number for of in (real, synthetic) for number in ((of.mean(), of.std()) if len(of) else (np.nan, np.nan)))
    return Statistic(*map(float, means), apart(real, synthetic), own)
