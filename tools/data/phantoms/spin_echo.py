"""Spin echoes, with and without an inversion before them and a contrast agent in the blood: T1, T2 and FLAIR."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

R1_PER_MM, R2_PER_MM = 5.0, 7.1
"""Relaxivity of gadobutrol in plasma at 3 tesla, per second and mmol/l (Rohrer et al. 2005, doi
10.1097/01.rli.0000184756.66360.d3)."""


@dataclass(frozen=True)
class SpinTissue:
    """What decides on a tissue's signal in spin echoes: density of protons (water is 1), T1 and T2 in ms.

    ``agent`` is the concentration of gadolinium in mmol/l some minutes after the injection, ``spread`` the relative
    standard deviation of T1 and T2 between patients, ``texture`` that of the signal within one patient over a few mm.
    """

    density: float
    t1: float
    t2: float
    agent: float = 0.0
    spread: float = 0.0
    texture: float = 0.0

    def enhanced(self) -> SpinTissue:
        """The tissue with its agent: 1/T1 and 1/T2 rise in proportion to the concentration."""
        r1 = 1 / self.t1 + R1_PER_MM * self.agent / 1000
        r2 = 1 / self.t2 + R2_PER_MM * self.agent / 1000
        return replace(self, t1=1 / r1, t2=1 / r2)


@dataclass(frozen=True)
class SpinEcho:
    """Pulses of 90 degrees every ``repetition`` ms, refocused to an echo after ``echo`` ms."""

    repetition: float
    echo: float

    def signal(self, tissue: SpinTissue) -> float:
        """density (1 - exp(-TR / T1)) exp(-TE / T2); 1 would be all of the magnetisation of water."""
        return float(-tissue.density * np.expm1(-self.repetition / tissue.t1) * np.exp(-self.echo / tissue.t2))


@dataclass(frozen=True)
class InversionRecovery:
    """A spin echo, ``inversion`` ms after a pulse of 180 degrees: FLAIR, where fluid is just crossing zero then."""

    repetition: float
    inversion: float
    echo: float

    def signal(self, tissue: SpinTissue) -> float:
        """density |1 - 2 exp(-TI / T1) + exp(-TR / T1)| exp(-TE / T2) (Hajnal et al. 1992)."""
        longitudinal = 1 - 2 * np.exp(-self.inversion / tissue.t1) + np.exp(-self.repetition / tissue.t1)
        return float(tissue.density * abs(longitudinal) * np.exp(-self.echo / tissue.t2))


def one_patients(tissues: Mapping[int, SpinTissue], rng: np.random.Generator) -> dict[int, SpinTissue]:
    """One patient's tissues, the same in all images: T1 and T2 drawn within twice their ``spread``, which is then 0."""
    patient = {}
    for label, tissue in sorted(tissues.items()):
        factor = float(1 + tissue.spread * np.clip(rng.standard_normal(), -2, 2))
        patient[label] = replace(tissue, t1=tissue.t1 * factor, t2=tissue.t2 * factor, spread=0.0)
    return patient
