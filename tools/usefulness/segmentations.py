"""The picture of segmentations: slices of test cases with the true outlines, and with those of what networks say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tools.transforms.outlines import outlined
from tools.transforms.planes import GAP, PLANES, centred, grey, grid, headed, planes_of, resized, section
from tools.usefulness.design import AUGMENTED, BOTH, BOTH_AUGMENTED, REAL, SYNTHETIC, Arm
from tools.usefulness.results import mean_dice

CASES = 4
"""Cases that are shown: the worst, the best, and two between, by the Dice of what real images taught."""

SIDE = 160
"""Pixels of a slice's longer side, at least."""

LETTERS = 13
"""Height of letters."""

WINDOW = (-1.0, 1.0)
"""Values of an image, black to white."""

TITLES = {
    REAL: "TRTR",
    AUGMENTED: "TRTR augmented",
    SYNTHETIC: "TSTR {model}",
    BOTH: "real + {model}",
    BOTH_AUGMENTED: "real + {model}, augmented",
}
"""Heading of the column of each way that is tested on real images."""


@dataclass(frozen=True)
class Cuts:
    """Where each case of a set is cut: one plane for all, and of each case the slice that shows most of its labels.

    Attributes:
        plane: one of `tools.transforms.planes.PLANES`.
        places: index of the slice of each case.
    """

    plane: str
    places: tuple[int, ...]

    @classmethod
    def of(cls, labels: np.ndarray) -> Cuts:
        """Those of label maps [n, 1, (D,) H, W]: that class which a slice shows least of has to be large in it.

        So all classes of a case are seen, where one slice meets all of them; of several planes that one is taken which
        does this best for all cases together.
        """
        volumes = [_volume(one) for one in labels]
        found = {plane: [_fullest(one, plane) for one in volumes] for plane in planes_of(volumes[0].shape)}
        plane = max(found, key=lambda name: tuple(np.sum([shown for shown, _ in found[name]], axis=0)))
        return cls(plane, tuple(place for _, place in found[plane]))

    def sections(self, volumes: np.ndarray) -> np.ndarray:
        """The slices of a set [n, 1, (D,) H, W], upright: [n, rows, columns]."""
        cut = zip(volumes, self.places, strict=True)
        return np.stack([section(_volume(one), self.plane, place) for one, place in cut])


def segmentations_picture(
    images: np.ndarray,
    truth: np.ndarray,
    ids: Sequence[str],
    sections: Mapping[Arm, np.ndarray],
    tables: Mapping[Arm, np.ndarray],
) -> np.ndarray:
    """Cases in rows, from the worst to the best by the first of the trainings; the truth and trainings in columns.

    Args:
        images: [n, rows, columns] in [-1, 1], a slice of each case.
        truth: whole numbers [n, rows, columns], its true labels.
        ids: name of each case.
        sections: uint8 [n, rows, columns] by training, what its network says in these slices.
        tables: Dice [n, classes] of whole cases by training, written in the corner of each slice.

    Returns:
        uint8 [H, W, 3].
    """
    cases = _spread(np.nan_to_num(_dice(tables[next(iter(sections))]), nan=-1.0))
    columns = {"truth": (truth, None)}
    for arm, of_arm in sections.items():
        columns[TITLES[arm.way].format(model=arm.model)] = (of_arm, _dice(tables[arm]))
    times = max(1, -(-SIDE // max(images.shape[1:])))
    width = max(
        images.shape[2] * times, *(ImageFont.load_default(LETTERS).getlength(title) + 2 * GAP for title in columns)
    )
    rows = []
    for case in cases:
        picture = grey(images[case], WINDOW)
        picture = resized(picture, *(n * times for n in picture.shape))
        row = []
        for labels, dice in columns.values():
            drawn = outlined(picture, labels[case])
            drawn = drawn if dice is None else _noted(drawn, "–" if np.isnan(dice[case]) else f"{dice[case]:.2f}")
            row.append(centred(drawn, drawn.shape[0], int(np.ceil(width))))
        rows.append(row)
    return headed(grid(rows, [ids[case] for case in cases]), list(columns))


def shown_arms(arms: Sequence[Arm]) -> list[Arm]:
    """Trainings with as many real patients as there are, or none, that are tested on real images; TRTR first."""
    most = max(arm.amount for arm in arms)
    return sorted(
        (arm for arm in arms if arm.way in TITLES and arm.amount in (0, most)), key=lambda arm: arm.way != REAL
    )


def _volume(one: np.ndarray) -> np.ndarray:
    """[D, H, W] of [1, (D,) H, W]."""
    return one[0] if one.ndim == 4 else one


def _fullest(volume: np.ndarray, plane: str) -> tuple[tuple[int, int], int]:
    """Of the slice that shows most: pixels of the class that it shows least of, and of all; and its index."""
    axis = PLANES.index(plane)
    others = tuple(i for i in range(3) if i != axis)
    classes = np.unique(volume[volume > 0])
    if not len(classes):
        return (0, 0), volume.shape[axis] // 2
    areas = np.stack([(volume == c).sum(others) for c in classes])  # [classes, slices]
    least, total = areas.min(0), areas.sum(0)
    place = int(np.lexsort((total, least))[-1])
    return (int(least[place]), int(total[place])), place


def _dice(table: np.ndarray) -> np.ndarray:
    """Mean over classes of Dice [n, classes] of each case; NaN for one without any class."""
    return mean_dice(table, np.eye(len(table)), None)


def _spread(values: np.ndarray) -> list[int]:
    """Indices of values at equal distances in their order, the least and the greatest among them."""
    order = np.argsort(values, kind="stable")
    return list(dict.fromkeys(order[np.linspace(0, len(order) - 1, CASES).round().astype(int)].tolist()))


def _noted(picture: np.ndarray, text: str) -> np.ndarray:
    """A picture with a few letters at the lower left."""
    image = Image.fromarray(picture)
    font = ImageFont.load_default(LETTERS)
    place = (GAP, picture.shape[0] - GAP)
    ImageDraw.Draw(image).text(place, text, "white", font, anchor="ls", stroke_width=1, stroke_fill="black")
    return np.array(image)
