"""Outlines of labels over slices, to judge by eye whether a label lies where it belongs."""

from __future__ import annotations

import numpy as np

COLOURS = (
    (255, 64, 64),
    (64, 200, 255),
    (255, 220, 0),
    (80, 255, 80),
    (255, 128, 255),
    (255, 160, 64),
    (128, 160, 255),
    (0, 255, 200),
    (190, 110, 255),
    (200, 230, 120),
    (255, 190, 190),
    (0, 150, 130),
    (210, 140, 90),
    (160, 210, 255),
    (230, 60, 160),
)
"""RGB of labels 1, 2, 3, ..., again and again."""


def fullest_slice(labels: np.ndarray, axis: int) -> int:
    """Index along ``axis`` of the slice with the most voxels above 0 in ``labels`` [z, y, x]; the middle if none."""
    others = tuple(i for i in range(labels.ndim) if i != axis)
    counts = (labels > 0).sum(others)
    return int(counts.argmax()) if counts.any() else labels.shape[axis] // 2


def outlined(grey: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """RGB of a picture with a line, one pixel wide, along the inner edge of each label.

    Args:
        grey: uint8 [rows, columns], shown as it is.
        labels: whole numbers [any rows, any columns], of the same field; 0 has no outline.

    Returns:
        uint8 [rows, columns, 3].
    """
    rows, columns = grey.shape
    i = np.arange(rows) * labels.shape[0] // rows
    j = np.arange(columns) * labels.shape[1] // columns
    large = np.pad(labels[i[:, None], j[None]], 1, mode="edge")
    middle = large[1:-1, 1:-1]
    neighbours = (large[:-2, 1:-1], large[2:, 1:-1], large[1:-1, :-2], large[1:-1, 2:])
    edge = (middle > 0) & np.logical_or.reduce([n != middle for n in neighbours])
    picture = np.repeat(grey[..., None], 3, axis=2)
    picture[edge] = np.asarray(COLOURS, np.uint8)[(middle[edge].astype(int) - 1) % len(COLOURS)]
    return picture
