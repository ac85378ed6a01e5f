"""Sets of images before anything is measured: what can be read, of what size it is, and which set is too small."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np

from tools.data.image_sets import ImageFile, image_shape, read_image
from tools.io.left_out import in_words, listed
from tools.io.readers import VolumeError

logger = logging.getLogger(__name__)

PEEK = 5
"""Images of every set that are looked at to find out the unit of their values."""

NAMED = 20
"""Images that are named at the most for each reason for which some are left out."""

FEWEST = 2
"""Images of a set, which make a distribution."""

Sizes = dict[ImageFile, tuple[int, int, int]]


class LeftOut:
    """Images that cannot be used, by set, with the reason of each."""

    def __init__(self) -> None:
        self.reasons: dict[str, dict[str, str]] = {}
        self._said: set[tuple[str, str]] = set()

    def add(self, name: str, image: ImageFile, error: VolumeError) -> None:
        self.reasons.setdefault(name, {})[image.id] = error.reason

    def say(self) -> None:
        """Those that were added since the last time, in the log, many of one reason together."""
        for name, reasons in self.reasons.items():
            new = {identifier: reason for identifier, reason in reasons.items() if (name, identifier) not in self._said}
            self._said |= {(name, identifier) for identifier in new}
            if new:
                logger.warning("%s: %d images are left out:\n%s", name, len(new), listed(new, NAMED))

    def sentences(self, totals: Mapping[str, int]) -> list[str]:
        """One for every set of which something is left out, for a report."""
        found = []
        for name, reasons in self.reasons.items():
            found.append(f"{len(reasons)} of {totals[name]} images of {name} are left out ({in_words(reasons, NAMED)})")
        return found


def sizes_of(name: str, files: Sequence[ImageFile], left_out: LeftOut) -> Sizes:
    """The shape [D, H, W] of every image of a set whose header can be read."""
    sizes: Sizes = {}
    for file in files:
        try:
            sizes[file] = image_shape(file)
        except VolumeError as error:
            left_out.add(name, file, error)
    return sizes


def check_sizes(sets: Mapping[str, Sizes]) -> None:
    """Raises ValueError if slices of two images, of one set or of two, differ in size."""
    for name, sizes in sets.items():
        first, *others = sizes
        for file in others:
            if sizes[file][1:] != sizes[first][1:]:
                raise ValueError(
                    f"{name}: {file.id} has slices of {_size(sizes[file])} and {first.id} of {_size(sizes[first])}; "
                    "resample them to one size (--image_size)"
                )
    slices = {name: _size(next(iter(sizes.values()))) for name, sizes in sets.items()}
    if len(set(slices.values())) > 1:
        found = ", ".join(f"{name} {size}" for name, size in slices.items())
        raise ValueError(f"the sets have slices of different size ({found}); resample all to one size (--image_size)")


def check_truth(sizes: Sizes, truths: Mapping[str, ImageFile]) -> None:
    """Raises ValueError if an image and its truth differ in shape; a truth that cannot be read is no matter here."""
    for file, shape in sizes.items():
        try:
            true_shape = image_shape(truths[file.id])
        except VolumeError:
            continue
        if true_shape != shape:
            raise ValueError(f"{file.path} has shape {shape} and its truth {true_shape}; they must share a grid")


def enough(sets: Mapping[str, Sequence], left_out: LeftOut) -> list[str]:
    """Names of the sets that have images enough, the real one first.

    Raises:
        VolumeError: the real set has not, or no other has.
    """
    left_out.say()
    small = [name for name, files in sets.items() if len(files) < FEWEST]
    for name in small:
        logger.warning("%s is left out: %d of its images can be used, expected %d", name, len(sets[name]), FEWEST)
    if "real" in small or len(small) == len(sets) - 1:
        name = "real" if "real" in small else small[0]
        reasons = in_words(left_out.reasons.get(name, {}), 5)
        raise VolumeError(
            f"{len(sets[name])} image(s) of {name} can be used, and a distribution needs {FEWEST} ({reasons})"
        )
    return [name for name in sets if name not in small]


def value_range(name: str, files: Sequence[ImageFile], left_out: LeftOut) -> tuple[float, float] | None:
    """Least and greatest value of some images of a set; None if none of them can be read.

    Those that are looked at are spread over the set. Where all of these are bad, one after the other is tried.
    """
    chosen = [files[i] for i in np.linspace(0, len(files) - 1, min(PEEK, len(files))).astype(int)]
    found: list[tuple[float, float]] = []
    for file in dict.fromkeys([*chosen, *files]):
        if found and file not in chosen:
            break
        try:
            volume = read_image(file)[0]
        except VolumeError as error:
            if file.id not in left_out.reasons.get(name, {}):
                left_out.add(name, file, error)
            continue
        finite = volume[np.isfinite(volume)]
        if finite.size:
            found.append((float(finite.min()), float(finite.max())))
    return (min(low for low, _ in found), max(high for _, high in found)) if found else None


def _size(shape: Sequence[int]) -> str:
    return " x ".join(str(n) for n in shape[1:])
