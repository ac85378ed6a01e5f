"""The picture of segmentations: where cases are cut, which are shown, and whose outlines stand where."""

import numpy as np

from tools.transforms.outlines import COLOURS
from tools.transforms.planes import GAP, HEADING
from tools.usefulness import design
from tools.usefulness.design import Arm
from tools.usefulness.segmentations import SIDE, Cuts, segmentations_picture, shown_arms

TRTR, TSTR = Arm(design.REAL, amount=4), Arm(design.SYNTHETIC, "gan")


def maps():
    """Two cases of two classes that one sagittal slice meets, and of which axial slices meet one at a time."""
    labels = np.zeros((2, 1, 6, 8, 10), np.uint8)
    labels[0, 0, 1, 2:6, 3] = 1
    labels[0, 0, 3, 2:5, 3] = 2
    labels[0, 0, 5, :, :] = 1  # much of one class, in an axial slice that shows the other not at all
    labels[1, 0, 1, 2:6, 7] = 1
    labels[1, 0, 3, 2:5, 6:8] = 2
    return labels


def test_a_case_is_cut_where_all_its_classes_are_seen():
    labels = maps()
    cuts = Cuts.of(labels)
    assert (cuts.plane, cuts.places) == ("sagittal", (3, 7))
    cut = cuts.sections(labels)
    assert np.array_equal(cut[1], labels[1, 0, ::-1, :, 7])  # the head is up
    assert set(np.unique(cut[0])) == {0, 1, 2}


def test_cases_without_labels_and_slices_have_a_cut_too():
    flat = np.zeros((3, 1, 8, 8), np.uint8)
    flat[1, 0, 2:5, 2:5] = 1
    cuts = Cuts.of(flat)
    assert (cuts.plane, cuts.places) == ("axial", (0, 0, 0))
    assert np.array_equal(cuts.sections(flat), flat[:, 0])
    assert Cuts.of(np.zeros((1, 1, 4, 6, 8), np.uint8)).places in ((2,), (3,), (4,))


def test_the_worst_and_the_best_case_are_shown_with_outlines_of_truth_and_predictions():
    n, side = 7, 40
    truth = np.zeros((n, side, side), np.uint8)
    truth[:, 8:20, 8:20] = 1
    said = np.zeros_like(truth)
    said[:, 8:20, 22:34] = 2
    images = np.full((n, side, side), -1.0, np.float32)
    dice = np.array([[0.9, 0.9], [0.2, np.nan], [0.5, 0.5], [0.7, 0.7], [0.6, 0.6], [0.1, 0.5], [np.nan, np.nan]])
    tables = {TRTR: dice, TSTR: dice}
    picture = segmentations_picture(images, truth, [f"case {i}" for i in range(n)], {TRTR: truth, TSTR: said}, tables)
    cell = SIDE + GAP
    assert picture.shape == (HEADING + 4 * cell, 3 * cell, 3)

    def colours(row, column):
        # the case's name is above what is looked at, and the Dice below
        part = picture[HEADING + row * cell : HEADING + (row + 1) * cell, column * cell : (column + 1) * cell][25:-25]
        return {tuple(map(int, c)) for c in part.reshape(-1, 3)} - {(0, 0, 0)}

    for row in range(4):
        assert colours(row, 0) == colours(row, 1) == {COLOURS[0]}
        assert colours(row, 2) == {COLOURS[1]}
    # in order of the mean Dice: nothing known, then 0.2, 0.3, 0.5, 0.6, 0.7, 0.9
    alone = [
        segmentations_picture(images[[k]], truth[[k]], [f"case {k}"], {TRTR: truth[[k]]}, {TRTR: dice[[k]]})
        for k in (6, 5, 4, 0)
    ]
    for row, one in enumerate(alone):
        same = picture[HEADING + row * cell : HEADING + (row + 1) * cell, : 2 * cell]
        assert np.array_equal(same, one[HEADING:])
    assert not np.array_equal(alone[1], alone[2])


def test_columns_are_of_all_real_patients_or_none():
    arms = design.arms_of(["gan"], [5, 20], list(design.WAYS.values()))
    found = shown_arms(arms)
    assert found[0] == Arm(design.REAL, amount=20)
    assert {(arm.way, arm.amount) for arm in found} == {
        (design.REAL, 20),
        (design.AUGMENTED, 20),
        (design.SYNTHETIC, 0),
        (design.BOTH, 20),
        (design.BOTH_AUGMENTED, 20),
    }
