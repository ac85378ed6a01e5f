"""Which images a study shows: drawn from sets of volumes by a seed."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tools.data.image_sets import ImageFile
from tools.study.folder import Question

logger = logging.getLogger(__name__)

CENTRAL = (0.2, 0.8)
"""Where slices are taken from, so that none shows next to nothing."""


@dataclass(frozen=True)
class Drawn:
    """Where an image of a study comes from.

    Attributes:
        set: "real" or a model's name.
        file: the volume.
    """

    set: str
    file: ImageFile


class Draws:
    """Draws volumes, planes and positions for questions; the same seed and sets give the same draws.

    Args:
        sets: name -> volumes.
        planes: planes to take slices in, in turn.
        seed: seed of the draws and of the opaque names.

    Attributes:
        images: opaque name -> what was drawn for it, of all questions so far.
    """

    def __init__(self, sets: Mapping[str, Sequence[ImageFile]], planes: Sequence[str], seed: int) -> None:
        self.images: dict[str, Drawn] = {}
        self._rng = np.random.default_rng([seed, 2024])
        self._seed = seed
        self._planes = planes
        self._queues = {name: self._endless(name, files) for name, files in sets.items()}

    def questions(self, section: str, couples: Sequence[Sequence[str]]) -> list[Question]:
        """One question for every couple of sets (or single set), each with its own plane and position."""
        turns = [self._planes[i % len(self._planes)] for i in range(len(couples))]
        self._rng.shuffle(turns)
        questions = []
        for number, (sets, plane) in enumerate(zip(couples, turns, strict=True)):
            position = round(float(self._rng.uniform(*CENTRAL)), 4)
            drawn = {}
            for name in sets:
                file = next(self._queues[name])
                drawn[self._opaque("image", section, number, name, file.id)] = Drawn(name, file)
            self.images |= drawn
            # neither the order of images nor that of questions says anything
            identifier = self._opaque("question", section, number)
            questions.append(Question(identifier, section, tuple(sorted(drawn)), plane, position))
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
