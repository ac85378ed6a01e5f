"""The abdomen's anatomy as numbers, drawn at random: what differs between patients, and how their pipes run.

The reference patient is described in mm around a point between the kidneys, before the second lumbar vertebra, x to the
patient's left, y to the back and z to the head; the sizes are those of an adult who holds the breath. Patients differ
in the parameters of ``AbdomenAnatomy``, in the run of the ``AbdomenTubes``, and in the scale of each axis.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import chain

import numpy as np

from tools.data.phantoms.shapes import Segment, grow_tree, path

HEIGHT = 240.0
"""mm along z in the reference patient that a scan covers, from below the kidneys to the lungs' bases."""

TOP = 122.0
"""z of the upper end of the scan."""


@dataclass(frozen=True)
class AbdomenAnatomy:
    """What differs between patients, in mm of the reference patient where nothing else is said."""

    scale: tuple[float, float, float]  # patient over reference along x, y, z
    cavity: tuple[float, float, float]  # half width, and half depths to the front and the back, inside the wall
    roundness: float  # exponent of the superellipses
    fat: tuple[float, float, float]  # under the skin at the front, the sides and the back
    belly: float  # how far the front bulges below the ribs
    waist: float  # how far the sides draw in there
    wall: float  # thickness of the muscles at the sides
    lopsided: tuple[float, float]  # relative dents of the outline, cosine and sine of twice the angle
    domes: tuple[float, float]  # z of the diaphragm's domes, right and left
    recess: float  # how far the lungs reach down at the back, below the domes
    lordosis: float  # how far the spine comes forward from the top of the scan to its bottom
    scoliosis: float  # how far it swings to the side
    vertebra: tuple[float, float]  # height with disc, and z of one disc
    rib_drop: float  # how far a rib would descend from the back to the front
    psoas: float  # relative size
    liver: tuple[float, float]  # z of its lower surface at x = -60, and rise of that surface to the left
    left_lobe: float  # how far the liver reaches to the left
    gallbladder: float  # radius, 0 where it has been removed
    spleen: float  # relative size
    kidneys: tuple[float, float, float, float]  # relative size and z, right and left
    renal_fat: float  # thickness around the kidneys
    stomach: tuple[float, float]  # relative radius, and y up to which it holds gas
    colon: tuple[float, float]  # relative radius, and y relative to its axis up to which it holds gas, in radii
    aorta: float  # radius
    caval: float  # radius of the inferior vena cava
    heart: tuple[float, float]  # x and y of its centre

    @classmethod
    def draw(cls, rng: np.random.Generator) -> AbdomenAnatomy:
        def near(value: float, by: float) -> float:
            return float(value + rng.uniform(-by, by))

        size, dome, stout = near(1.0, 0.06), near(100, 12), float(rng.uniform(0, 1))
        return cls(
            scale=(size * near(1, 0.05), size * near(1, 0.05), size * near(1, 0.05)),
            cavity=(near(124, 6), near(86, 6) + 14 * stout, near(77, 4)),
            roundness=near(2.35, 0.15),
            fat=(near(7, 4) + 16 * stout, near(8, 5) + 16 * stout, near(9, 4) + 14 * stout),
            belly=near(0, 8) + 18 * stout,
            waist=near(10, 6) - 12 * stout,
            wall=near(13, 3),
            lopsided=(near(0, 0.025), near(0, 0.025)),
            domes=(dome, dome - near(13, 7)),
            recess=near(62, 14),
            lordosis=near(14, 7),
            scoliosis=near(0, 5),
            vertebra=(near(31, 2), near(0, 15)),
            rib_drop=near(125, 15),
            psoas=near(1, 0.15),
            liver=(near(-22, 20), near(0.66, 0.12)),
            left_lobe=near(62, 24),
            gallbladder=float(rng.choice([0.0, *rng.uniform(9, 16, 5)])),
            spleen=near(1, 0.18),
            kidneys=(near(1, 0.1), near(-18, 9), near(1, 0.1), near(-4, 9)),
            renal_fat=near(5, 2) + 9 * stout,
            stomach=(near(0.95, 0.2), near(-38, 18)),
            colon=(near(1, 0.2), near(-0.3, 0.5)),
            aorta=near(9.5, 1.5),
            caval=near(11, 2),
            heart=(near(26, 8), near(-38, 6)),
        )

    def section(self, z: np.ndarray, y: np.ndarray, level: str) -> tuple[np.ndarray, np.ndarray]:
        """Half width [Z, 1, 1] and half depth [Z, Y, 1] of the "skin", the "muscle" under the fat or the "cavity"
        inside the wall, at heights ``z`` in front of and behind y = 0.
        """
        below = smooth_step((40 - z) / 110)
        width = self.cavity[0] - self.waist * below
        front = self.cavity[1] + self.belly * below
        back = self.cavity[2]
        if level != "cavity":
            width, front, back = width + self.wall, front + 11, back + 37
        if level == "skin":
            # the flanks carry the most
            front_fat, side, back_fat = self.fat
            width, front, back = (
                width + side * (1 + 0.25 * below),
                front + front_fat * (1 + 0.3 * below),
                back + back_fat,
            )
        return width, np.where(y < 0, front, back)

    def spine(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Centre (x, y) of the vertebral bodies at heights ``z``."""
        return self.scoliosis * np.sin(z / 60), 50 + self.lordosis * z / 130

    def diaphragm(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Height of the diaphragm: two domes that fall off steeply to the back, and a saddle under the heart."""
        right, left = self.domes
        slope = np.where(y < -15, 0.25, 0.7) * ((y + 15) / 85) ** 2
        domes = [
            right - self.recess * (0.32 * ((x + 60) / 58) ** 2 + slope),
            left - self.recess * (0.32 * ((x - 62) / 56) ** 2 + slope),
            min(right, left) - 12 - self.recess * (0.3 * (x / 60) ** 2 + slope),
        ]
        return np.maximum.reduce(domes)

    def cavity_depth(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """About how deep points lie inside the wall of the trunk, in mm; negative outside."""
        width, depth = self.section(z, y, "cavity")
        n = self.roundness
        radius = ((np.abs(x) / width) ** n + (np.abs(y) / depth) ** n) ** (1 / n)
        return (1 - radius) * np.minimum(width, depth)

    def liver_depth(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """About how deep points lie in the liver, in mm: under the diaphragm and the ribs, over the slope of its lower
        surface, in front of the stomach on the left; edges are round.
        """
        lower, rise = self.liver
        slope = lower + rise * (x + 60) - 0.12 * y
        # the back of the left lobe runs obliquely from the spine to the front
        behind = 0.65 * (26 - 1.1 * x - y) + 1.2 * np.maximum(-20 - x, 0)
        limits = (
            self.cavity_depth(x, y, z) - 2,
            0.62 * (self.diaphragm(x, y) - z),
            0.7 * (z - slope),
            behind,
            0.9 * (self.left_lobe - x) + 0.25 * (-20 - y),
        )
        return smooth_minimum(limits, 5.0)


def smooth_minimum(values: tuple[np.ndarray, ...], width: float) -> np.ndarray:
    """Minimum of depths in mm, rounded where two of them differ by less than about ``width``."""
    total = sum(np.exp(np.clip(-v / np.float32(width), -60, 60)) for v in values)
    return -np.float32(width) * np.log(total)


def smooth_step(t: np.ndarray) -> np.ndarray:
    """Smooth step from 0 to 1 as ``t`` goes from 0 to 1."""
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)


@dataclass(frozen=True)
class AbdomenTubes:
    """The abdomen's pipes, all in mm of the reference patient."""

    arteries: list[Segment]
    veins: list[Segment]
    portal: list[Segment]
    hepatic: list[Segment]
    mesentery: list[Segment]
    lung_vessels: list[Segment]
    stomach: list[Segment]
    duodenum: list[Segment]
    small_bowel: list[Segment]
    colon: list[Segment]
    pancreas: list[Segment]
    oesophagus: list[Segment]
    crura: list[Segment]
    adrenals: list[Segment]

    @classmethod
    def draw(cls, anatomy: AbdomenAnatomy, rng: np.random.Generator) -> AbdomenTubes:
        # a stream for each, so that a change in one organ leaves the others as they are
        rngs = dict(zip((f.name for f in fields(cls)), rng.spawn(len(fields(cls))), strict=True))
        right, left = _hila(anatomy)
        sx, sy = anatomy.spine(np.linspace(-140.0, 150.0, 9))
        heights = np.linspace(-140.0, 150.0, 9)
        aorta = [(x + 8 + 4 * z / 150, y - 31 - 0.04 * z, z) for x, y, z in zip(sx, sy, heights, strict=True)]
        thick = anatomy.aorta * np.linspace(0.85, 1.15, 9)
        origin = aorta[4]
        arteries = path(aorta, thick)
        arteries += path([origin, (left[0] - 25, left[1] - 8, left[2]), left], [3.2, 3, 2.6])
        arteries += path([origin, (-20, 30, right[2]), right], [3.2, 3, 2.6])
        arteries += path([aorta[4], (6, -2, 8), (4, -6, -25), (0, -12, -70)], [4, 4, 3.6, 2.5])  # to the bowel
        arteries += path([aorta[5], (6, 2, 40), (-24, -8, 38)], [4, 3.6, 2.5])  # to liver and spleen
        top = anatomy.domes[0]
        caval = [(-22, 24, -140), (-22, 24, -60), (-23, 20, 0), (-25, 18, 45), (-24, 14, top - 25), (-18, 0, top + 25)]
        veins = path(caval, anatomy.caval * np.array([0.95, 0.95, 1.05, 1.1, 1.15, 1.15]))
        veins += path([(-22, 22, left[2] + 2), (10, 8, left[2] + 4), left], [5, 5, 4.2])
        veins += path([(-22, 22, right[2] + 4), right], [5, 4.2])

        gate = (-42.0, 0.0, max(28.0, anatomy.liver[0] + 38))
        portal = path([(-2, -14, -80), (-6, -8, -20), (-10, -4, 8), (-26, -2, 0.6 * gate[2]), gate], [5, 6, 7, 7, 6.5])
        portal += path([(-10, -4, 8), (22, 6, 18), (52, 14, 26), (78, 30, 34)], [5, 4.6, 4.4, 3.5])

        def in_liver(points: np.ndarray) -> np.ndarray:
            return anatomy.liver_depth(*points.T) > 9

        targets = np.array(
            [(-90, 30, 60), (-95, -30, 45), (-80, 5, 0), (-55, -45, 45), (5, -50, 70), (30, -60, 75)], float
        )
        targets += rngs["portal"].normal(0, 8, targets.shape)
        portal += grow_tree(rngs["portal"], gate, targets, in_liver, 28.0, 5.0, generations=5)
        mouth = (-24.0, 12.0, top - 26)
        hepatic = []
        for target in np.array([(-100, 20, 40), (-62, -40, 35), (10, -52, 62)], float):
            target = target + rngs["hepatic"].normal(0, 6, 3)
            fork = np.add(mouth, target) / 2
            fork[2] += 6
            hepatic += path([mouth, fork, target], [5.2, 4.0, 1.8])
            hepatic += grow_tree(rngs["hepatic"], fork, target[None], in_liver, 26.0, 3.0, generations=4)

        return cls(
            arteries=arteries,
            veins=veins,
            portal=portal,
            hepatic=hepatic,
            mesentery=_mesentery(anatomy, rngs["mesentery"]),
            lung_vessels=_lung_vessels(anatomy, rngs["lung_vessels"]),
            stomach=_stomach(anatomy, rngs["stomach"]),
            duodenum=_jittered(
                rngs["duodenum"],
                [
                    (-20, -30, 18),
                    (-40, -20, 10),
                    (-44, -2, -10),
                    (-42, 4, -38),
                    (-15, 2, -48),
                    (22, 0, -38),
                    (34, -18, -22),
                ],
                [12, 12, 11, 11, 10.5, 10.5, 10.5],
                2,
            ),
            small_bowel=_small_bowel(anatomy, rngs["small_bowel"]),
            colon=_colon(anatomy, rngs["colon"]),
            pancreas=_jittered(
                rngs["pancreas"],
                [(-28, -6, -12), (-22, -12, 2), (-4, -16, 10), (20, -10, 18), (46, 4, 26), (70, 20, 34)],
                [15, 15, 12, 12, 12, 10],
                3,
            ),
            oesophagus=path([(4, 14, 160), (6, 8, anatomy.domes[1] + 5), (22, 2, anatomy.domes[1] - 22)], [8, 8, 9]),
            crura=path([(-14, 30, 95), (-12, 30, 55), (-10, 32, -5)], [5, 5.5, 3])
            + path([(18, 28, 95), (20, 34, 55), (18, 38, 5)], [5, 5.5, 3]),
            adrenals=path([(-30, 28, 52), (-36, 40, 34)], [2.6, 2.2])
            + path([(34, 24, 48), (40, 32, 30)], [3, 2.4])
            + path([(34, 24, 44), (32, 36, 28)], [3, 2.2]),
        )


def _hila(anatomy: AbdomenAnatomy) -> tuple[tuple, tuple]:
    """Return where the vessels enter the kidneys, right and left."""
    return (-44.0, 38.0, anatomy.kidneys[1]), (46.0, 36.0, anatomy.kidneys[3])


def _jittered(rng: np.random.Generator, points: list, radii: list, by: float) -> list[Segment]:
    points = np.add(points, rng.normal(0, by, (len(points), 3)))
    return path(
        smooth_path(points), np.interp(np.linspace(0, 1, 4 * len(radii) - 3), np.linspace(0, 1, len(radii)), radii)
    )


def smooth_path(points: np.ndarray, steps: int = 4) -> np.ndarray:
    """A Catmull-Rom spline through ``points`` [n, 3]: [(n - 1) * steps + 1, 3]."""
    points = np.asarray(points, float)
    padded = np.concatenate([[2 * points[0] - points[1]], points, [2 * points[-1] - points[-2]]])
    t = np.arange(steps)[:, None] / steps
    pieces = []
    for a, b, c, d in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        pieces.append(0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3))
    return np.concatenate([*pieces, points[-1:]])


def _stomach(anatomy: AbdomenAnatomy, rng: np.random.Generator) -> list[Segment]:
    """From the fundus under the left dome to the pylorus on the right."""
    size, left = anatomy.stomach[0], anatomy.domes[1]
    points = [
        (58, 10, left - 34),
        (62, -4, left - 50),
        (60, -28, left - 66),
        (40, -52, 10),
        (12, -54, 4),
        (-14, -38, 12),
    ]
    return _jittered(rng, points, [size * r for r in (30, 35, 32, 26, 20, 12)], 4)


def _colon(anatomy: AbdomenAnatomy, rng: np.random.Generator) -> list[Segment]:
    """Up on the right, across the front, down on the left, with haustra."""
    size = anatomy.colon[0]
    # it follows the wall, wherever that is
    side = anatomy.cavity[0] - anatomy.waist
    front = -(anatomy.cavity[1] + 0.6 * anatomy.belly) + 22
    points = [
        (26 - side, 12, -140),
        (25 - side, 6, -95),
        (27 - side, -4, min(-48, anatomy.liver[0] - 48)),
        (-72, -38, -46),
        (-40, front + 4, -58),
        (10, front, -66),
        (52, front + 6, -42),
        (84, -22, 14),
        (anatomy.cavity[0] - 24, 10, 26),
        (side - 19, 22, -20),
        (side - 17, 20, -80),
        (side - 20, 14, -140),
    ]
    points = smooth_path(np.add(points, rng.normal(0, 4, (len(points), 3))), 9)
    place = np.linspace(0, 1, len(points))
    radii = size * np.interp(place, [0, 0.25, 0.6, 0.8, 1], [22, 21, 17, 14, 12.5])
    radii *= 1 + 0.17 * np.sin(np.arange(len(points)) * rng.uniform(1.5, 1.9) + rng.uniform(0, 6))
    return path(points, radii)


def _small_bowel(anatomy: AbdomenAnatomy, rng: np.random.Generator) -> list[Segment]:
    """One pipe that goes to and fro, layer by layer, within the frame of the colon and below the stomach."""
    width = 0.6 * (anatomy.cavity[0] - anatomy.waist)
    low, high = np.array([-width, -(anatomy.cavity[1] + 0.7 * anatomy.belly) + 20, -145]), np.array([width, -2, -30])
    points = []
    for layer, z in enumerate(np.arange(high[2], low[2], -27.0)):
        rows = [[(x, y, z) for x in np.arange(low[0], high[0], 26.0)] for y in np.arange(low[1], high[1], 27.0)]
        rows = [row[::-1] if i % 2 else row for i, row in enumerate(rows)]
        points.extend(chain.from_iterable(rows[::-1] if layer % 2 else rows))
    points = smooth_path(np.clip(points + rng.normal(0, (8, 8, 15), (len(points), 3)), low, high))
    radii = 11 + 2 * np.sin(np.arange(len(points)) * 0.17 + rng.uniform(0, 6)) + rng.normal(0, 0.4, len(points))
    return path(points, radii)


def _mesentery(anatomy: AbdomenAnatomy, rng: np.random.Generator) -> list[Segment]:
    """Small vessels that fan out from the root of the mesentery through the fat."""
    segments = []
    for _ in range(34):
        start = np.array([rng.normal(0, 6), rng.normal(-10, 4), rng.uniform(-80, 0)])
        end = np.array(
            [rng.uniform(-70, 70), -anatomy.cavity[1] * rng.uniform(0.3, 0.85), start[2] - rng.uniform(0, 60)]
        )
        middle = (start + end) / 2 + rng.normal(0, 8, 3)
        segments += path([start, middle, end], [2.2, 1.6, 1.0])
    return segments


def _lung_vessels(anatomy: AbdomenAnatomy, rng: np.random.Generator) -> list[Segment]:
    """The lowest branches of both lungs' vessels, which come down from the hila."""

    def in_lungs(points: np.ndarray) -> np.ndarray:
        x, y, z = points.T
        return (anatomy.cavity_depth(x, y, z) > 6) & (z > anatomy.diaphragm(x, y) + 4)

    return [
        segment
        for side in (-1, 1)
        for segment in grow_tree(
            rng,
            (side * 40, 15, 190),
            np.array([(80, 55, 80), (60, 60, 90), (105, 10, 105), (85, -30, 130), (60, 20, 125)]) * (side, 1, 1)
            + rng.normal(0, 8, (5, 3)),
            in_lungs,
            45.0,
            5.0,
        )
    ]
