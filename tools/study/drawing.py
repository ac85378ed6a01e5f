"""Which images a study shows: drawn from sets of volumes by a seed, and checked to be comparable."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tools.data.image_sets import ImageFile, read_image
from tools.data.readers import VolumeError
from tools.evaluate.intensity import common_unit, unit_of
from tools.study.pictures import PLANES, Geometry

logger = logging.getLogger(__name__)

CENTRAL = (0.2, 0.8)
"""Where slices are taken from, so that none shows next to nothing."""


@dataclass(frozen=True)
class Drawn:
    """An image of a question.

    Attributes:
        name: opaque, of its file.
        set: "real" or a model's name.
        file: the volume.
    """

    name: str
    set: str
    file: ImageFile


@dataclass(frozen=True)
class DrawnQuestion:
    """A question before its images are written; see `tools.study.folder.Question`."""

    id: str
    section: str
    images: tuple[Drawn, ...]
    plane: str
    position: float


@dataclass(frozen=True)
class VolumeFacts:
    """What is compared between volumes before they are shown side by side."""

    geometry: Geometry
    values: tuple[float, float]


class Draws:
    """Draws volumes, planes and positions for questions; the same seed and sets give the same draws.

    Args:
        sets: name -> volumes.
        planes: to take slices in, in turn.
        seed: of the draws and of the opaque names.
    """

    def __init__(self, sets: Mapping[str, Sequence[ImageFile]], planes: Sequence[str], seed: int) -> None:
        self._rng = np.random.default_rng([seed, 2024])
        self._seed = seed
        self._planes = planes
        self._queues = {name: self._endless(name, files) for name, files in sets.items()}

    def questions(self, section: str, couples: Sequence[Sequence[str]]) -> list[DrawnQuestion]:
        """One question for every couple of sets (or single set), each with its own plane and position."""
        turns = [self._planes[i % len(self._planes)] for i in range(len(couples))]
        self._rng.shuffle(turns)
        questions = []
        for number, (sets, plane) in enumerate(zip(couples, turns, strict=True)):
            position = round(float(self._rng.uniform(*CENTRAL)), 4)
            images = []
            for name in sets:
                file = next(self._queues[name])
                images.append(Drawn(self._opaque("image", section, number, name, file.id), name, file))
            # neither the order of images nor that of questions says anything
            images.sort(key=lambda image: image.name)
            questions.append(
                DrawnQuestion(self._opaque("question", section, number), section, tuple(images), plane, position)
            )
        return sorted(questions, key=lambda question: question.id)

    def _endless(self, name: str, files: Sequence[ImageFile]) -> Iterator[ImageFile]:
        """All volumes of a set in random order, and once more if they run out."""
        rng, rounds = np.random.default_rng([self._seed, *name.encode()]), 0
        while True:
            if rounds == 1:
                logger.warning(
                    "%s has %d volumes, fewer than are asked for; some are shown twice, at other places, which "
                    "may tell an attentive reader where they come from",
                    name,
                    len(files),
                )
            yield from (files[i] for i in rng.permutation(len(files)))
            rounds += 1

    def _opaque(self, *parts: object) -> str:
        message = "\n".join(str(part) for part in parts).encode()
        return hmac.digest(str(self._seed).encode(), message, "sha256").hex()[:24]


def read_checked(file: ImageFile, as_stored: bool) -> tuple[np.ndarray, Geometry]:
    """A volume, float32 [D, H, W], and its geometry; ``as_stored`` takes voxels for cubes.

    Raises:
        VolumeError: it cannot be read, or holds NaN.
    """
    volume, spacing = _read(file)
    return volume, Geometry(volume.shape, (1.0, 1.0, 1.0) if as_stored or spacing is None else spacing)


@lru_cache(maxsize=2)
def _read(file: ImageFile) -> tuple[np.ndarray, tuple[float, float, float] | None]:
    volume, spacing = read_image(file)
    if not np.isfinite(volume).all():
        raise VolumeError.of(file.path, "it holds values that are no numbers (NaN); mend or remove it")
    return volume, spacing


def facts_of(questions: Sequence[DrawnQuestion], as_stored: bool) -> dict[str, VolumeFacts]:
    """Geometry and values of every volume that is drawn, by its path."""
    facts: dict[str, VolumeFacts] = {}
    for file in dict.fromkeys(image.file for question in questions for image in question.images):
        volume, geometry = read_checked(file, as_stored)
        facts[file.path] = VolumeFacts(geometry, (float(volume.min()), float(volume.max())))
    return facts


def check_comparable(
    questions: Sequence[DrawnQuestion],
    facts: Mapping[str, VolumeFacts],
    window: Sequence[float] | None,
    whole_volumes: bool,
) -> tuple[tuple[float, float], bool]:
    """The window that images are shown in, and whether values are HU, if nothing but the content tells images apart.

    Raises:
        ValueError: two images of a pair differ in geometry or in the unit of their values; so do any two scans of a
            survey, or any two volumes of a study in which readers scroll.
    """
    unit = None
    for question in questions:
        ranges = {f"{image.set} ({image.file.id})": facts[image.file.path].values for image in question.images}
        unit = common_unit(ranges, window)
        if len(question.images) == 2:
            first, second = question.images
            if not facts[first.file.path].geometry.same_as(facts[second.file.path].geometry):
                raise _different(first, second, facts, "a pair", "resample one set to the grid of the other")
    every = [image for question in questions for image in question.images]
    ranges: dict[str, tuple[float, float]] = {}
    for image in every:
        low, high = facts[image.file.path].values
        known = ranges.get(image.set, (low, high))
        ranges[image.set] = min(low, known[0]), max(high, known[1])
    unit = common_unit(ranges, window)
    for image in every:
        geometry, reference = facts[image.file.path].geometry, facts[every[0].file.path].geometry
        if whole_volumes and not geometry.same_as(reference):
            raise _different(every[0], image, facts, "a study with --volumes", "bring all volumes to one grid")
    if any(question.section == "survey" for question in questions):
        _check_survey_pictures(questions, facts)
    return unit.window, any((known := unit_of(values)) and known.name == "HU" for values in ranges.values())


def _check_survey_pictures(questions: Sequence[DrawnQuestion], facts: Mapping[str, VolumeFacts]) -> None:
    """Raises ValueError if scans of one plane differ in size: size would tell where they come from."""
    first: dict[str, Drawn] = {}
    for question in questions:
        image = question.images[0]
        other = first.setdefault(question.plane, image)
        one, two = facts[other.file.path].geometry, facts[image.file.path].geometry
        axes = [axis for axis in range(3) if PLANES[axis] != question.plane]
        same = all(one.shape[a] == two.shape[a] for a in axes) and np.allclose(
            [one.spacing[a] for a in axes], [two.spacing[a] for a in axes], rtol=0.01
        )
        if not same:
            raise _different(other, image, facts, f"{question.plane} scans of a survey", "bring all to one grid")


def _different(first: Drawn, second: Drawn, facts: Mapping[str, VolumeFacts], where: str, remedy: str) -> ValueError:
    one, two = facts[first.file.path].geometry, facts[second.file.path].geometry
    hint = ", or give --as_stored to take voxels for cubes" if one.shape == two.shape else ""
    return ValueError(
        f"{where} would show different geometry: {first.file.path} ({first.set}) has {one}, {second.file.path} "
        f"({second.set}) {two}; {remedy}{hint}"
    )
