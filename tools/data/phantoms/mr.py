"""From a label map to a magnitude MR image, for any part of the body: tissues, the sequence, then the scanner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

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


class MRSequence(Protocol):
    """What a tissue gives in the steady state; 1 would be all of the magnetisation of water."""

    def signal(self, tissue: Any) -> float: ...


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
    tissues: Mapping[int, Any],
    sequence: MRSequence,
    scanner: MRScanner,
    rng: np.random.Generator,
    spacing: tuple[float, float, float],
) -> np.ndarray:
    """Magnitude image of a label map.

    Args:
        labels: label map [z, y, x].
        tissues: tissue of every label in the map, ``MRTissue`` or what else the sequence takes, with ``t1``, ``spread``
            and ``texture``.
        sequence: function that gives a tissue's signal.
        scanner: the acquisition.
        rng: generator that draws the patient's T1 of each tissue, the texture, the coils' sensitivity and the noise.
        spacing: (z, y, x) in mm.

    Returns:
        Signal in arbitrary units, int16 [z, y, x], 0 and more.
    """
    size = max(tissues) + 1
    signal, texture = np.zeros(size, np.float32), np.zeros(size, np.float32)
    for label, tissue in sorted(tissues.items()):
        t1 = tissue.t1 * (1 + tissue.spread * np.clip(rng.standard_normal(), -2, 2))
        signal[label] = sequence.signal(replace(tissue, t1=float(t1)))
        texture[label] = tissue.texture
    image = signal[labels]
    field = grain(rng, labels.shape, [2.5 / h for h in spacing])
    field *= texture[labels]
    image *= 1 + field
    del field
    # the point spread function: a voxel on a boundary holds some of both sides
    gaussian_filter(image, scanner.blur, output=image, mode="nearest", truncate=3)
    image *= np.exp(scanner.bias * drift(rng, labels.shape))
    return _received(image, scanner, rng)


def _received(image: np.ndarray, scanner: MRScanner, rng: np.random.Generator, largest: int = 32767) -> np.ndarray:
    """The magnitude of a signal with noise, as integers up to ``largest``."""
    # the magnitude of a complex signal with Gaussian noise in both parts is Rician, and air is not 0
    real, imaginary = (rng.standard_normal(image.shape, np.float32) for _ in range(2))
    image = np.hypot(image + scanner.noise * real, scanner.noise * imaginary)
    return np.clip(np.rint(scanner.gain * image), 0, largest).astype(np.int16)


LARMOR = 63.87
"""Protons' frequency at 1.5 tesla in MHz."""

FAT_SHIFT = -3.4
"""Frequency of the methylene protons of fat against water, in parts per million (Ma 2008, doi 10.1002/jmri.21492)."""


@dataclass(frozen=True)
class WaterFat:
    """A tissue whose protons are those of water and those of fat, which precess at two frequencies.

    ``water`` and ``fat`` are their densities (pure water is 1); ``t1``, ``t2`` and ``t2_star`` in ms are those of the
    water, ``LIPID`` has those of the fat. ``spread`` and ``texture`` as in ``MRTissue``.
    """

    water: float
    fat: float
    t1: float
    t2: float
    t2_star: float
    spread: float = 0.0
    texture: float = 0.0


LIPID = WaterFat(0, 1, 343, 58, 25)
"""Relaxation of fat at 1.5 tesla (de Bazelaire et al. 2004, doi 10.1148/radiol.2303021331, subcutaneous fat)."""


@dataclass(frozen=True)
class SpoiledGradientEcho:
    """Gradient echoes after pulses of ``flip`` degrees every ``repetition`` ms, at the times ``echoes`` in ms.

    The defaults are those of CHAOS's T1-DUAL: at 1.5 tesla fat is against the water after 2.3 ms and with it after 4.6.
    """

    repetition: float = 150.0
    echoes: tuple[float, ...] = (4.6, 2.3)
    flip: float = 80.0

    def signal(self, t1: float, t2_star: float, echo: float) -> float:
        """Signal of protons with a density of 1 in the steady state (Ernst and Anderson 1966)."""
        angle, e1 = np.deg2rad(self.flip), np.exp(-self.repetition / t1)
        return float(np.sin(angle) * (1 - e1) / (1 - np.cos(angle) * e1) * np.exp(-echo / t2_star))

    def signals(self, tissue: WaterFat) -> list[tuple[float, complex]]:
        """Return what water and fat give at each echo; the fat's is turned by its phase against the water."""
        return [
            (
                tissue.water * self.signal(tissue.t1, tissue.t2_star, echo),
                tissue.fat * self.signal(LIPID.t1, LIPID.t2_star, echo) * fat_phase(echo),
            )
            for echo in self.echoes
        ]


@dataclass(frozen=True)
class FastSpinEcho:
    """A train of refocused echoes with an effective ``echo`` time, every ``repetition`` ms; T2-weighted.

    ``fat`` is what spectral presaturation (SPIR) leaves of the fat's signal. The times are those of CHAOS's T2-SPIR.
    """

    repetition: float = 1800.0
    echo: float = 70.0
    fat: float = 0.1

    def signal(self, t1: float, t2: float) -> float:
        """Signal of protons with a density of 1 after a pulse of 90 degrees."""
        return float(-np.expm1(-self.repetition / t1) * np.exp(-self.echo / t2))

    def signals(self, tissue: WaterFat) -> list[tuple[float, complex]]:
        """Return what water and fat give at the one echo, where they are in phase."""
        fat = self.fat * tissue.fat * self.signal(LIPID.t1, LIPID.t2)
        return [(tissue.water * self.signal(tissue.t1, tissue.t2), complex(fat))]


def fat_phase(echo: float) -> complex:
    """Turn of fat against water after ``echo`` ms at 1.5 tesla, as a complex number of magnitude 1."""
    return complex(np.exp(2j * np.pi * LARMOR * FAT_SHIFT * echo / 1000))


def water_fat_images(
    labels: np.ndarray,
    tissues: Mapping[int, WaterFat],
    sequence: SpoiledGradientEcho | FastSpinEcho,
    scanner: MRScanner,
    rng: np.random.Generator,
    spacing: tuple[float, float, float],
    sections: int = 1,
    largest: int = 4095,
) -> list[np.ndarray]:
    """Magnitude images of a label map at all echoes of a sequence: |water + fat|, or |water - fat| out of phase.

    Water and fat add up within a voxel before the magnitude is taken; where a voxel holds half of each, as on the
    border of an organ in fat, they cancel out of phase. This draws the black outlines of such images.

    Args:
        labels: label map [z, y, x].
        tissues: tissue of every label in the map.
        sequence: function that gives a tissue's signals.
        scanner: the acquisition.
        rng: generator that draws the patient's T1 of each tissue, the texture and the coils' sensitivity, which all
            echoes share, and the noise, which they do not.
        spacing: spacing of the labels, (z, y, x) in mm.
        sections: number of label slices that make one thick slice of the image.
        largest: value that can be stored.

    Returns:
        an image for each echo, Signal in arbitrary units, int16 [z / sections, y, x], from 0 to ``largest``.
    """
    size = max(tissues) + 1
    texture = np.zeros(size, np.float32)
    signals = [np.zeros((2, size), np.complex64) for _ in sequence.signals(LIPID)]
    for label, tissue in sorted(tissues.items()):
        t1 = tissue.t1 * (1 + tissue.spread * np.clip(rng.standard_normal(), -2, 2))
        texture[label] = tissue.texture
        for table, pair in zip(signals, sequence.signals(replace(tissue, t1=float(t1))), strict=True):
            table[:, label] = pair
    field = 1 + grain(rng, labels.shape, [2.5 / h for h in spacing]) * texture[labels]

    def voxels(values: np.ndarray) -> np.ndarray:
        """Signal of each thick, blurred voxel."""
        fine = values[labels] * field
        gaussian_filter(fine, (0, scanner.blur, scanner.blur), output=fine, mode="nearest", truncate=3)
        return fine.reshape(-1, sections, *labels.shape[1:]).mean(1)

    shape = (labels.shape[0] // sections, *labels.shape[1:])
    sensitivity = np.exp(scanner.bias * drift(rng, shape))
    images = []
    for water, fat in signals:
        total = voxels(water.real + fat.real) + 1j * voxels(fat.imag)
        images.append(_received(np.abs(total) * sensitivity, scanner, rng, largest))
    return images
