"""MAISI's classes and what its networks are told of them, against the values that NVIDIA publishes."""

import nibabel
import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from tools.transforms.maisi import (
    CLASSES,
    MADE,
    NAMES,
    LoadLabelsd,
    anatomy_sizes,
    bits,
    cleaned,
    on_grid,
    region_ends,
    regions_of,
)
from tools.transforms.published import LABELS, PlaceByCodesd, SplitLabelsd

PUBLISHED = {
    **{
        "liver": 1,
        "spleen": 3,
        "left kidney": 14,
        "portal vein and splenic vein": 17,
        "brain": 22,
        "hepatic tumor": 26,
    },
    **{"left lung upper lobe": 28, "right lung lower lobe": 32, "vertebrae L5": 33, "vertebrae T12": 38},
    **{"vertebrae C7": 50, "vertebrae C1": 56, "trachea": 57, "colon": 62, "left rib 1": 63, "right rib 12": 86},
    **{"left humerus": 87, "right clavicula": 92, "left femur": 93, "right femur": 94, "sacrum": 97},
    **{"left gluteus maximus": 98, "right iliopsoas": 107, "heart": 115, "prostate": 118, "skull": 120},
    **{"thyroid gland": 126, "vertebrae S1": 127, "bone lesion": 128, "airway": 132},
}
"""Some of `label_dict.json`, all places where its order breaks among them."""

CHANNELS = {
    0: 0,
    1: 1,
    2: 3,
    14: 15,
    15: 17,
    16: 19,
    17: 22,
    110: 115,
    111: 118,
    121: 128,
    122: 129,
    123: 132,
    124: 200,
}
"""Some of `label_dict_124_to_132.json`: each end of a run of successive values."""


def test_values_are_the_published_ones():
    assert {name: CLASSES[name] for name in PUBLISHED} == PUBLISHED
    assert len(NAMES) == len(set(NAMES)) == 133
    assert list(CLASSES.values()) == list(range(134))
    assert len(MADE) == 125
    assert {channel: MADE[channel] for channel in CHANNELS} == CHANNELS


def test_bits_are_the_digits_of_each_value():
    values = torch.randint(0, 201, (2, 1, 3, 4, 5))
    digits = bits(values.float())
    assert digits.shape == (2, 8, 3, 4, 5)
    for place in np.ndindex(2, 3, 4, 5):
        b, *voxel = place
        expected = [int(digit) for digit in reversed(f"{values[b, 0][tuple(voxel)]:08b}")]
        assert digits[(b, slice(None), *voxel)].tolist() == expected


@pytest.mark.parametrize(
    ("there", "regions"),
    [
        (["left lung lower lobe", "liver"], ["chest", "abdomen"]),
        (["skull", "right femur", "body"], ["head", "lower"]),
        (["kidney"], ["abdomen"]),
    ],
)
def test_regions_are_those_whose_classes_are_there(there, regions):
    values = torch.tensor([0.0, *(200.0 if name == "body" else CLASSES[name] for name in there)])
    assert regions_of(values) == regions
    first, last = region_ends(regions)
    order = ["head", "chest", "abdomen", "lower"]
    assert (first.index(1), last.index(1)) == (order.index(regions[0]), order.index(regions[-1]))
    assert (sum(first), sum(last)) == (1, 1)


def test_what_has_no_region_or_no_such_name_is_refused():
    with pytest.raises(ValueError, match="none of the classes brain, skull"):
        regions_of(torch.tensor([0.0, 200.0]))
    for given in ([], ["thorax"], "chest"):
        with pytest.raises(ValueError, match="expected one or several of head, chest, abdomen, lower"):
            region_ends(given)


def test_sizes_are_told_in_the_published_order():
    assert anatomy_sizes({}) == [0.5] * 5 + [-1] * 5
    assert anatomy_sizes({"liver": 0.7, "hepatic tumor": 0.3, "gallbladder": -1}) == [
        *(-1, 0.7, 0.5, 0.5, 0.5),
        *(-1, -1, 0.3, -1, -1),
    ]
    for given, said in (
        ({"spleen": 0.5}, "anatomy_sizes has spleen, expected names of gallbladder"),
        ({"liver": 70}, r"has {'liver': 70}, expected numbers from 0 to 1"),
        ({"lung tumor": 0.5, "bone lesion": 0.5}, "has lung tumor and bone lesion, expected one tumour"),
    ):
        with pytest.raises(ValueError, match=said):
            anatomy_sizes(given)


def test_a_label_map_of_a_file_comes_to_the_grid(tmp_path):
    """Turned to the right, the front and the head, of half the voxels, cut and padded around the middle."""
    labels = np.zeros((8, 8, 8), np.uint8)
    labels[:4] = CLASSES["liver"]  # of axes that run to the left: at the right
    path = tmp_path / "labels.nii.gz"
    nibabel.save(nibabel.Nifti1Image(labels, np.diag([-1.0, 1, 1, 1])), path)
    item = LoadLabelsd("labels", (2.0, 2.0, 2.0), (4, 2, 8))({"labels": str(path), "seed": 0})
    made = item["labels"]
    assert made.shape == (1, 4, 2, 8)
    assert made.affine.diagonal().tolist() == [2, 2, 2, 1]
    assert (made[0, 2:, :, 2:6] == CLASSES["liver"]).all()
    assert (made[0, :2] == 0).all()
    assert (made[0, :, :, [0, 1, 6, 7]] == 0).all()
    assert "labels" not in LoadLabelsd("labels", (1, 1, 1), (2, 2, 2))({"seed": 0})


def test_the_same_grid_changes_nothing():
    values = torch.randint(0, 133, (1, 6, 5, 4)).float()
    affine = torch.diag(torch.tensor([1.5, 2.0, 3.0, 1.0], dtype=torch.float64))
    assert torch.equal(on_grid(MetaTensor(values, affine=affine), (1.5, 2.0, 3.0), (6, 5, 4)).as_tensor(), values)


@pytest.mark.parametrize("axcodes", ["RAS", "LAS", "LPI"])
def test_places_are_around_the_origin(axcodes):
    item = PlaceByCodesd("pred", (1, 2, 3), axcodes)({"pred": torch.zeros(1, 4, 5, 6), "name": "a"})
    affine = item["pred"].affine.numpy()
    assert nibabel.aff2axcodes(affine) == tuple(axcodes)
    assert nibabel.affines.voxel_sizes(affine).tolist() == [1, 2, 3]
    assert nibabel.affines.apply_affine(affine, (1.5, 2, 2.5)).tolist() == [0, 0, 0]


def test_label_maps_are_cleaned():
    labels = np.zeros((20, 20, 20), np.int64)
    labels[2:14, 2:14, 2:14] = 200
    labels[17:20, 17:20, 17:20] = CLASSES["liver"]  # beside the body
    labels[3:8, 3:8, 3:8] = CLASSES["liver"]
    labels[10, 10, 10] = CLASSES["liver"]  # a second piece
    labels[4, 4, 4] = CLASSES["hepatic vessel"]
    labels[5, 5, 5] = CLASSES["hepatic tumor"]
    labels[9, 3:5, 3], labels[12, 3, 3] = CLASSES["lung tumor"], CLASSES["lung tumor"]
    labels[3, 12, 12], labels[8, 12, 12] = CLASSES["left rib 1"], CLASSES["left rib 1"]  # of which there may be two
    expected = labels.copy()
    expected[17:20, 17:20, 17:20] = 0
    expected[10, 10, 10] = 200
    expected[4, 4, 4] = expected[5, 5, 5] = CLASSES["liver"]
    with_tumour = expected.copy()
    with_tumour[12, 3, 3] = 200  # the smaller piece
    assert np.array_equal(cleaned(labels, "lung tumor"), with_tumour)
    expected[9, 3:5, 3] = CLASSES["left lung upper lobe"]
    expected[12, 3, 3] = 200  # a second piece of the lobe
    assert np.array_equal(cleaned(labels), expected)
    with_tumour = expected.copy()
    with_tumour[5, 5, 5] = CLASSES["hepatic tumor"]
    assert np.array_equal(cleaned(labels, "hepatic tumor"), with_tumour)
    assert not cleaned(np.zeros((4, 4, 4), np.int64)).any()


def test_labels_leave_the_image():
    image, labels = torch.rand(1, 2, 2, 2), torch.tensor([0.0, 1, 132, 200]).repeat(2).reshape(1, 2, 2, 2)
    split = SplitLabelsd("pred")({"pred": torch.cat([image, labels])})
    assert torch.equal(split["pred"], image)
    assert split[LABELS].unique().tolist() == [0, 1, 132, CLASSES["body"]]
    assert SplitLabelsd("pred")({"pred": image}).keys() == {"pred"}
