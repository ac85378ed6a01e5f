"""The head's anatomy as numbers, drawn at random: what differs between patients, and how the cortex folds.

The reference patient is described in mm around a point between the thalami, x to the patient's left, y to the back and
z to the head; the sizes are those of a young adult and close to the MNI template's (whose y is -16 - y here). Patients
differ in the parameters of ``BrainAnatomy``, in their ``Folds``, in the scale of each axis and in how they lie.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

CEREBRUM = ((0.0, 0.0, 26.0), (66.0, 87.0, 51.0))
"""Centre and half axes of both hemispheres without their temporal lobes."""

HEMISPHERE = ((29.0, 0.0, 26.0), (37.0, 87.0, 51.0))
"""The same of the left one alone."""


@dataclass(frozen=True)
class BrainAnatomy:
    """What differs between patients, in mm of the reference patient where nothing else is said."""

    scale: tuple[float, float, float]  # patient over reference along x, y, z
    tilt: tuple[float, float, float]  # turn of the head about x, y, z in degrees
    torque: float  # how far the right hemisphere lies in front of the left one
    temporal: tuple[float, float]  # relative size of the temporal lobes, right and left
    gap: float  # of cerebrospinal fluid between brain and skull
    skull: float  # thickness
    scalp: float  # thickness
    face: float  # relative size
    neck: tuple[float, float]  # half width and half depth
    cortex: float  # thickness of the grey matter
    sulci: tuple[float, float]  # half width and mean depth
    fissure: float  # half width between the hemispheres
    insula: tuple[float, float]  # |x| of the insula, right and left
    sylvian: tuple[float, float]  # slope of the lateral sulcus, right and left
    ventricles: tuple[float, float]  # relative radius of the lateral ventricles, right and left
    horns: float  # how far the occipital horns reach back
    nuclei: float  # relative size of the deep grey matter
    cerebellum: tuple[float, float, float]  # relative size along x, y, z
    folia: tuple[float, float]  # leaves of the cerebellum per turn, and their phase
    brainstem: float  # relative radius

    @classmethod
    def draw(cls, rng: np.random.Generator) -> BrainAnatomy:
        def near(value: float, by: float) -> float:
            return float(value + rng.uniform(-by, by))

        size, vent, sylvian = near(1.0, 0.05), near(1.0, 0.35), near(0.34, 0.12)
        return cls(
            scale=(size * near(1, 0.04), size * near(1, 0.05), size * near(1, 0.04)),
            tilt=(near(0, 9), near(0, 3), near(0, 4)),
            torque=near(3, 4),
            temporal=(near(1, 0.08), near(1, 0.08)),
            gap=near(2.0, 0.8),
            skull=near(6.5, 1.5),
            scalp=near(5.5, 1.5),
            face=near(1, 0.08),
            neck=(near(56, 7), near(60, 6)),
            cortex=near(2.6, 0.3),
            sulci=(near(0.8, 0.35), near(15, 3)),
            fissure=near(0.8, 0.3),
            insula=(near(37, 2), near(37, 2)),
            sylvian=(near(sylvian, 0.06), near(sylvian, 0.06)),
            ventricles=(vent * near(1, 0.15), vent * near(1, 0.15)),
            horns=near(46, 10),
            nuclei=near(1, 0.08),
            cerebellum=(near(1, 0.08), near(1, 0.08), near(1, 0.08)),
            folia=(near(13, 2), near(0, 3)),
            brainstem=near(1, 0.08),
        )

    @property
    def turn(self) -> Rotation:
        return Rotation.from_euler("xyz", self.tilt, degrees=True)


@dataclass(frozen=True)
class Folds:
    """Where the cortex folds in: the sulci lie where a random sum of plane waves crosses zero.

    ``waves`` [n, 3] are wave vectors in rad per mm, ``phases`` [n]. Between two sulci lies half a wave, about 12 mm.
    """

    waves: np.ndarray
    phases: np.ndarray

    STRAIGHT = 0.75  # 1: a sulcus goes straight down to the hemisphere's centre
    SHALLOW = 1.1

    @classmethod
    def draw(cls, rng: np.random.Generator, length: tuple[float, float] = (21.0, 30.0), waves: int = 12) -> Folds:
        directions = rng.standard_normal((waves, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        lengths = rng.uniform(*length, (waves, 1))
        return cls((2 * np.pi / lengths * directions).astype(np.float32), rng.uniform(0, 2 * np.pi, waves))

    def value(self, points: np.ndarray) -> np.ndarray:
        """The sum of waves at ``points`` [3, n], of unit variance."""
        total = sum(
            np.cos(wave @ points + np.float32(phase)) for wave, phase in zip(self.waves, self.phases, strict=True)
        )
        return total * np.float32((2 / len(self.phases)) ** 0.5)

    def distances(self, points: np.ndarray, centre: np.ndarray, half_axes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """About how far ``points`` [3, n] are from the middle of the nearest sulcus, and of the nearest shallow one,
        in mm: [n] each.

        The waves f are taken where the line from ``centre`` [3, n or 1] through a point leaves the ellipsoid of
        ``half_axes`` [3], so that sulci stand upright on the surface. They lie where f is 0, the shallow ones, which
        part broad gyri, where |f| is ``SHALLOW``; the distance to f = a is |f - a| / |grad f|.
        """
        half_axes = half_axes[:, None]
        q = (points - centre) / half_axes
        radius = np.maximum(np.linalg.norm(q, axis=0), 0.05)
        u = q / radius
        keep = np.float32(self.STRAIGHT)
        seen = keep * (centre + half_axes * u) + (1 - keep) * points
        value, gradient = np.zeros(points.shape[1], np.float32), np.zeros_like(points)
        for wave, phase in zip(self.waves, self.phases, strict=True):
            angle = wave @ seen + np.float32(phase)
            value += np.cos(angle)
            gradient -= wave[:, None] * np.sin(angle)
        # chain rule through the projection
        across = gradient * half_axes
        across -= u * (u * across).sum(0)
        gradient = keep * across / (radius * half_axes) + (1 - keep) * gradient
        value = np.abs(value)
        slope = np.maximum(np.linalg.norm(gradient, axis=0), 0.02)
        level = np.float32(self.SHALLOW * (len(self.phases) / 2) ** 0.5)
        return value / slope, np.abs(value - level) / slope
