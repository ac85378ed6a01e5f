"""The chest's anatomy as numbers, drawn at random: what differs between patients, and how its pipes run.

The reference patient is described in mm around a point in the middle of the chest, x to the patient's left, y to the
back and z to the head; the sizes are those of an adult at full inspiration. Patients differ in the parameters of
``Anatomy``, in the run of the ``Tubes``, and in the scale of each axis.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tools.data.phantoms.shapes import Segment, grow_tree, path


@dataclass(frozen=True)
class Anatomy:
    """What differs between patients, in mm of the reference patient where nothing else is said."""

    scale: tuple[float, float, float]  # patient over reference along x, y, z
    cage: tuple[float, float]  # inner half width and half depth of the rib cage
    apex: float  # z of the top of the rib cage
    roundness: float  # exponent of the superellipses
    fat: tuple[float, float, float]  # thickness at the front, the sides and the back
    belly: float  # how far the front and sides widen below the chest
    shoulders: float  # how far the sides widen above it
    lopsided: tuple[float, float]  # relative dents of the outline, cosine and sine of twice the angle
    breasts: float  # thickness, 0 for none
    domes: tuple[float, float]  # z of the diaphragm's domes, right and left
    heart: tuple[float, float, float]  # centre
    heart_size: float  # relative
    heart_axis: tuple[float, float]  # turn to the left and down, degrees
    mediastinum: float  # half width
    aorta: tuple[float, float]  # radius, and z of the arch's top
    carina: float  # z where the trachea forks
    kyphosis: float  # how far the spine's ends lie in front of its middle
    scoliosis: float  # how far the spine swings to the side
    vertebra: tuple[float, float]  # height with disc, and z of one disc
    rib_drop: float  # how far a rib descends from the spine to its front end
    gas: float  # y up to which the stomach holds gas

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Anatomy:
        def near(value: float, by: float) -> float:
            return float(value + rng.uniform(-by, by))

        size = near(1.0, 0.06)
        dome = near(-48, 14)
        return cls(
            scale=(size * near(1, 0.05), size * near(1, 0.05), size * near(1, 0.05)),
            cage=(near(126, 7), near(96, 7)),
            apex=near(128, 7),
            roundness=near(2.35, 0.2),
            fat=(near(11, 6), near(15, 9), near(13, 7)),
            belly=near(6, 10),
            shoulders=near(18, 10),
            lopsided=(near(0, 0.03), near(0, 0.03)),
            breasts=float(rng.choice([0.0, 0.0, rng.uniform(16, 30)])),
            domes=(dome, dome - near(13, 8)),
            heart=(near(22, 7), near(-38, 5), near(-30, 8)),
            heart_size=near(1.0, 0.13),
            heart_axis=(near(38, 12), near(32, 10)),
            mediastinum=near(25, 4),
            aorta=(near(13.5, 2.5), near(62, 8)),
            carina=near(34, 8),
            kyphosis=near(17, 9),
            scoliosis=near(0, 6),
            vertebra=(near(24, 2), near(0, 12)),
            rib_drop=near(80, 14),
            gas=near(-45, 30),
        )

    def cage_section(self, z: np.ndarray, out: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Half width, half depth and centre y of the rib cage at heights ``z``, ``out`` mm outside its inner face."""
        t = np.clip((z + 50) / (self.apex + out + 50), 0, 1)
        # a bullet: nearly straight sides below, a dome at the top that leans to the back
        profile = np.sqrt(1 - t**2.8)
        return (self.cage[0] + out) * profile, (self.cage[1] + out) * profile, -5 + 22 * t**2

    def body_section(self, z: np.ndarray, depth: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Half width, half depth and centre y of the body at ``z``; ``depth`` is 0 at the skin, 1 under the fat."""
        # front and back follow the cage up to where its dome begins; the neck and shoulders are thicker
        _, half_depth, centre = self.cage_section(np.minimum(z, 0.72 * self.apex))
        widen = self.belly * _step((-z - 40) / 90)
        front = centre - half_depth - 18 - widen - (1 - depth) * self.fat[0]
        bow = self.kyphosis * (z / 150) ** 2
        back = self.cage[1] + 18 - 0.7 * bow + (1 - depth) * self.fat[2]
        width = self.cage[0] + 21 + 0.6 * widen + self.shoulders * _step((z - 50) / 90) + (1 - depth) * self.fat[1]
        return width, (back - front) / 2, (back + front) / 2

    def spine(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Centre (x, y) of the vertebral bodies at heights ``z``."""
        return self.scoliosis * np.sin(z / 60), 58 - self.kyphosis * (z / 150) ** 2

    def diaphragm(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Height of the diaphragm: two domes that fall off steeply to the back, and a saddle under the heart."""
        right, left = self.domes
        front_back = np.where(y < -20, 0.75, 1.0) * ((y + 20) / 85) ** 2
        domes = [
            right - 42 * (((x + 64) / 58) ** 2 + front_back),
            left - 42 * (((x - 66) / 56) ** 2 + front_back),
            min(right, left) - 26 - 30 * ((x / 60) ** 2 + front_back),
        ]
        return np.maximum.reduce(domes)

    def in_lungs(self, points: np.ndarray, margin: float) -> np.ndarray:
        """Return whether ``points`` [n, 3] (x, y, z) lie at least about ``margin`` mm inside the lungs: [n]."""
        x, y, z = points.T
        width, depth, centre = self.cage_section(z, -margin)
        cage = np.abs(x / np.maximum(width, 1)) ** 2.2 + np.abs((y - centre) / np.maximum(depth, 1)) ** 2.2 < 1
        centre_of_heart = np.linalg.norm((points - self.heart) / 52, axis=1) > self.heart_size
        return cage & (z > self.diaphragm(x, y) + margin) & (np.abs(x) > self.mediastinum) & centre_of_heart


def _step(t: np.ndarray) -> np.ndarray:
    """Smooth step from 0 to 1 as ``t`` goes from 0 to 1."""
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)


@dataclass(frozen=True)
class Tubes:
    """The chest's pipes, all in mm of the reference patient."""

    airways: list[Segment]
    great_vessels: list[Segment]
    lung_vessels: list[Segment]
    clavicles: list[Segment]

    @classmethod
    def draw(cls, anatomy: Anatomy, rng: np.random.Generator) -> Tubes:
        carina, apex = anatomy.carina, anatomy.apex
        radius, arch = anatomy.aorta
        hx, hy, hz = anatomy.heart
        hila = {-1: (-38.0, 2.0, carina - 22), 1: (42.0, 4.0, carina - 17)}
        trachea = rng.uniform(7.5, 9.5)
        airways = path([(0, -8, apex + 60), (1, 4, carina + 55), (0, 12, carina)], [trachea] * 3)
        airways += path([(0, 12, carina), (-22, 10, carina - 14), (-38, 12, carina - 32)], [7.0, 6.5, 3.5])
        airways += path([(0, 12, carina), (28, 15, carina - 18), (42, 19, carina - 36)], [6.5, 5.5, 3.5])
        airways += path([(-20, 10, carina - 12), (-40, 6, carina)], [4.5, 3.0])
        airways += path([(30, 14, carina - 18), (46, 8, carina - 8)], [4.2, 3.0])

        # the aorta rises on the right of the trunk, arches over the left bronchus and descends beside the spine
        top = np.linspace(0, np.pi, 9)
        bow = [
            (4 + 20 * (1 - np.cos(a)) / 2 - 16 * np.cos(a / 2) ** 2, -8 - 34 * np.cos(a), arch - 26 + 26 * np.sin(a))
            for a in top
        ]
        below = np.linspace(arch - 50, -190, 9)
        x, y = anatomy.spine(below)
        down = [(x_ + 22 - 14 * i / 8, y_ - 24, z_) for i, (x_, y_, z_) in enumerate(zip(x, y, below, strict=True))]
        great = path(
            [(hx - 20, hy + 2, hz + 28), (-12, -42, arch - 44), *bow, *down],
            [radius * r for r in [1.1, 1.1, *np.linspace(1.08, 0.92, 9), *np.linspace(0.9, 0.75, 9)]],
        )
        great += path([(-25, -24, carina - 24), (-25, -22, arch), (-14, -30, apex + 10)], [9, 8.5, 7])  # caval vein
        great += path([(-20, -16, -60), (-22, 6, -120), (-20, 22, -190)], [11, 11, 10])  # the lower one
        for x0, x1 in ((-8, -24), (6, 10), (16, 28)):  # to the head and arms
            great += path([(x0, -18, arch - 6), (x1, -20, apex + 50)], [6, 5])
        great += path([(hx - 4, hy - 16, hz + 36), (12, -38, carina - 14), (10, -18, carina - 10)], [13, 13, 12])
        great += path([(10, -20, carina - 12), (-14, -10, carina - 16), hila[-1]], [10.5, 10, 7])
        great += path([(10, -18, carina - 10), (28, 0, carina - 9), hila[1]], [10.5, 9, 7])

        vessels = []
        base = anatomy.domes[0] + 5
        for side, hilum in hila.items():
            # one tree per lobe and segment, the lower ones longer
            targets = np.array(
                [
                    (62, 10, apex - 30),
                    (75, -42, 62),
                    (92, 42, 58),
                    (108, -20, 8),
                    (88, -60, -20),
                    (100, 40, -25),
                    (62, 62, base - 5),
                    (108, 12, base - 12),
                    (80, 30, base + 2),
                ],
                float,
            ) * (side, 1, 1)
            targets += rng.normal(0, 9, targets.shape)
            vessels += grow_tree(rng, hilum, targets, lambda p: anatomy.in_lungs(p, 9.0))

        shoulder = [(30, -48, 102), (75, -40, 116), (135, -2, 126)]
        front = anatomy.body_section(np.float64(85.0), 1.0)
        clavicles = []
        for side in (-1, 1):
            points = [(16, front[2] - front[1] + 14, 84), *shoulder]
            clavicles += path([(side * x, y, z) for x, y, z in points], [7, 6, 5.5, 6.5])
        return cls(airways, great, vessels, clavicles)
