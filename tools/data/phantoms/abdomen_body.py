"""The abdomen of one patient: all that is drawn before any image of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tools.data.phantoms.abdomen_anatomy import AbdomenAnatomy, AbdomenTubes
from tools.data.phantoms.fields import Ripples, streams


@dataclass(frozen=True)
class AbdomenBody:
    """A patient: shape of everything, fraction of fat in the liver, and where the patient lies in the world (x, y, z),
    mm.
    """

    anatomy: AbdomenAnatomy
    tubes: AbdomenTubes
    ripples: tuple[Ripples, Ripples]  # of the liver and the spleen, and of the trunk's outline
    liver_fat: float
    offset: tuple[float, float, float]
    seeds: dict[str, Sequence[int]]  # of what is drawn for an image

    @classmethod
    def draw(cls, seed: int | Sequence[int]) -> AbdomenBody:
        """The patient of a seed, as ``numpy.random.default_rng`` takes it."""
        drawn = streams(seed, "anatomy", "tubes", "ripples", "patient")
        anatomy = AbdomenAnatomy.draw(drawn["anatomy"])
        rng = drawn["patient"]
        fat = rng.uniform(0.01, 0.045) if rng.random() < 0.65 else rng.uniform(0.07, 0.25)
        offset = np.round([rng.uniform(-12, 12), rng.uniform(-30, 30), rng.uniform(-300, 100)], 1)
        seeds = [*np.atleast_1d(seed).tolist()]
        return cls(
            anatomy=anatomy,
            tubes=AbdomenTubes.draw(anatomy, drawn["tubes"]),
            ripples=(Ripples.draw(drawn["ripples"]), Ripples.draw(drawn["ripples"], (90.0, 180.0))),
            liver_fat=float(fat),
            offset=tuple(offset.tolist()),
            seeds={name: [*seeds, number] for number, name in enumerate(("ct", "t1", "t2", "hu"), start=1)},
        )

    def random(self, what: str, *names: str) -> dict[str, np.random.Generator]:
        """Streams for an image of this body, the same at every call."""
        return streams(self.seeds[what], *names)
