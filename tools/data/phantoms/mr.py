"""From a label map to a magnitude MR image, for any part of the body: tissues, the sequence, then the scanner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from tools.data.phantoms.fields import drift, grain


@dataclass(frozen=True)
class MRTissue:
    """What decides on a tissue's signal: density of protons (water is 1), relaxation times T1 and T2* in ms.

    ``spread`` is the relative standard deviation of T1 between patients, ``texture`` that of the signal within one
    patient over a few mm.
    """

    density: float
    t1: float
    t2_star: float
    spread: float = 0.0
    texture: float = 0.0


@dataclass(frozen=True)
class MPRAGE:
    """Magnetisation-prepared rapid gradient echo: an inversion, then a train of small pulses; times in ms.

    ``repetition`` from inversion to inversion, ``inversion`` from there to the middle of the train, ``pulses`` of
    ``flip`` degrees every ``spacing``, each with its echo after ``echo``. The defaults are GSP's protocol (Holmes et
    al. 2015: TR 2200, TI 1100, echoes from 1.5 to 7 ms, flip angle 7 degrees, 144 partitions).
    """

    repetition: float = 2200.0
    inversion: float = 1100.0
    echo: float = 3.4
    flip: float = 7.0
    spacing: float = 9.8
    pulses: int = 144

    def signal(self, tissue: MRTissue) -> float:
        """Magnitude in the middle of the train, in the steady state; 1 would be all of the magnetisation of water.

        The longitudinal magnetisation relaxes towards 1 with T1 between pulses, and during the train towards a lower
        value with a shorter T1* (Deichmann et al. 2000, doi 10.1006/nimg.2000.0601, equations 1 to 4).
        """
        train = self.pulses * self.spacing
        before, after = self.inversion - train / 2, self.repetition - self.inversion - train / 2
        cosine = np.cos(np.deg2rad(self.flip))
        t1_star = 1 / (1 / tissue.t1 - np.log(cosine) / self.spacing)
        limit = -np.expm1(-self.spacing / tissue.t1) / -np.expm1(-self.spacing / t1_star)
        e1, e2, e3 = np.exp(-before / tissue.t1), np.exp(-train / t1_star), np.exp(-after / tissue.t1)

        # m before the inversion -> 1 - (1 + m) e1 before the train -> its end -> m again: solved for m
        m = (1 + e3 * (limit - 1 + e2 * (1 - e1 - limit))) / (1 + e1 * e2 * e3)
        middle = limit + (1 - (1 + m) * e1 - limit) * np.exp(-train / 2 / t1_star)
        echo = np.exp(-self.echo / tissue.t2_star)
        return float(abs(tissue.density * np.sin(np.deg2rad(self.flip)) * middle * echo))


@dataclass(frozen=True)
class MRScanner:
    """One acquisition: ``gain`` (intensity of a signal of 1), ``noise`` (standard deviation, a signal), ``bias``
    (standard deviation of the logarithm of the coils' sensitivity) and resolution ``blur`` in voxels.
    """

    gain: float
    noise: float
    bias: float
    blur: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> MRScanner:
        """Noise of 2 to 5 percent of white matter's signal, sensitivity that varies by 5 to 12 percent."""
        return cls(
            gain=float(rng.uniform(6000, 16000)),
            noise=float(rng.uniform(0.0009, 0.0021)),
            bias=float(rng.uniform(0.05, 0.12)),
            blur=float(rng.uniform(0.4, 0.5)),
        )


def mr_image(
    labels: np.ndarray,
    tissues: Mapping[int, MRTissue],
    sequence: MPRAGE,
    scanner: MRScanner,
    rng: np.random.Generator,
    spacing: tuple[float, float, float],
) -> np.ndarray:
    """Magnitude image of a label map.

    Args:
        labels: label map [z, y, x].
        tissues: tissue of every label in the map.
        sequence: gives a tissue's signal.
        scanner: the acquisition.
        rng: draws the patient's T1 of each tissue, the texture, the coils' sensitivity and the noise.
        spacing: (z, y, x) in mm.

    Returns:
        arbitrary units, int16 [z, y, x], 0 and more.
    """
    size = max(tissues) + 1
    signal, texture = np.zeros(size, np.float32), np.zeros(size, np.float32)
    for label, tissue in sorted(tissues.items()):
        t1 = tissue.t1 * (1 + tissue.spread * np.clip(rng.standard_normal(), -2, 2))
        signal[label] = sequence.signal(MRTissue(tissue.density, t1, tissue.t2_star))
        texture[label] = tissue.texture
    image = signal[labels]
    field = grain(rng, labels.shape, [2.5 / h for h in spacing])
    field *= texture[labels]
    image *= 1 + field
    del field
    # the point spread function: a voxel on a boundary holds some of both sides
    gaussian_filter(image, scanner.blur, output=image, mode="nearest", truncate=3)
    image *= np.exp(scanner.bias * drift(rng, labels.shape))
    # the magnitude of a complex signal with Gaussian noise in both parts is Rician, and air is not 0
    real, imaginary = (rng.standard_normal(labels.shape, np.float32) for _ in range(2))
    image = np.hypot(image + scanner.noise * real, scanner.noise * imaginary)
    return np.clip(np.rint(scanner.gain * image), 0, 32767).astype(np.int16)
