"""Outlines of labels over slices."""

import numpy as np

from tools.transforms.outlines import COLOURS, fullest_slice, outlined


def test_outline_is_the_inner_edge_of_each_label():
    labels = np.zeros((12, 12), int)
    labels[2:9, 3:8] = 1
    labels[4:6, 4:6] = 2
    grey = np.full((12, 12), 90, np.uint8)
    picture = outlined(grey, labels)
    for i in range(12):
        for j in range(12):
            cross = [(i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)]
            around = [labels[k, m] for k, m in cross if 0 <= min(k, m) <= max(k, m) < 12]
            edge = labels[i, j] > 0 and any(a != labels[i, j] for a in around)
            assert tuple(picture[i, j]) == (COLOURS[labels[i, j] - 1] if edge else (90, 90, 90))


def test_labels_are_enlarged_with_the_picture():
    labels = np.zeros((4, 4), int)
    labels[1:3, 1:3] = 1
    picture = outlined(np.zeros((12, 12), np.uint8), labels)
    rows, columns = np.nonzero(picture.any(2))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (3, 8, 3, 8)


def test_fullest_slice():
    labels = np.zeros((5, 6, 7), int)
    labels[3, 2:4] = 2
    labels[1, 2] = 1
    assert (fullest_slice(labels, 0), fullest_slice(labels, 1)) == (3, 2)
    assert fullest_slice(np.zeros((5, 6, 7)), 0) == 2
