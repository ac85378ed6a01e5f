import numpy as np
import pytest
import torch

from tools.transforms.channels import UNKNOWN, Channels, scaled

BRATS = {"t1ce": 99.5, "t1": 99.5, "flair": 99.5, "t2": 99.5}
TUMOUR = {"core": 1, "oedema": 2, "enhancing tumour": [4, 3]}


def test_names_numbers_and_kinds():
    one_hot, report = Channels(BRATS, TUMOUR), Channels(BRATS, TUMOUR, encoding=40)
    assert one_hot.number == 7
    assert report.number == 5
    assert one_hot.names == ("t1ce", "t1", "flair", "t2", "core", "oedema", "enhancing tumour")
    assert one_hot.is_label.tolist() == [False] * 4 + [True] * 3
    assert report.names[4] == "label"
    assert report.is_label.tolist() == [False] * 4 + [True]
    assert Channels({"ct": [-160, 240]}).is_label.tolist() == [False]
    assert one_hot.values == (0, 1, 2, 4)
    # nnU-Net wants them without gaps
    assert one_hot.classes == {"background": 0, "core": 1, "oedema": 2, "enhancing tumour": 3}
    assert Channels(BRATS, {"b": 2, "a": 1}).classes == {"background": 0, "b": 2, "a": 1}


def test_files_values_become_indices_and_values_again():
    channels = Channels(BRATS, TUMOUR)
    values = np.array([0.0, 1, 2, 3, 4, 9])
    index = channels.indices(values)
    assert index.tolist() == [0, 1, 2, 3, 3, 0]
    assert channels.to_values(index).tolist() == [0, 1, 2, 4, 4, 0]
    with pytest.raises(ValueError, match=r"holds 1.5, expected whole numbers"):
        channels.indices(np.array([1.0, 1.5]))


@pytest.mark.parametrize("encoding", ["one_hot", 40])
def test_join_and_split_are_each_others_way_back(encoding):
    channels = Channels(BRATS, TUMOUR, encoding)
    random = torch.Generator().manual_seed(0)
    image = torch.rand(2, 4, 6, 5, generator=random) * 2 - 1
    label = torch.randint(4, (2, 1, 6, 5), generator=random).to(torch.uint8)
    sample = channels.join(image, label)
    again, index = channels.split(sample)
    assert torch.equal(again, image)
    assert torch.equal(index, label)
    assert index.dtype == torch.uint8
    for b, (y, x) in ((0, (2, 3)), (1, (5, 4))):  # the encodings, said voxel by voxel
        k = int(label[b, 0, y, x])
        if encoding == "one_hot":
            expected = [1.0 if k == c else -1.0 for c in (1, 2, 3)]
        else:
            expected = [(0, 40, 80, 160)[k] / 127.5 - 1]
        assert sample[b, 4:, y, x].tolist() == pytest.approx(expected, abs=1e-6)


def test_one_channel_is_split_half_way_between_values():
    channels = Channels({"t1": 99.5}, TUMOUR, encoding=40)
    grey = torch.tensor([0.0, 19.9, 20.1, 59.9, 60.1, 119.9, 120.1, 255])  # thresholds 20, 60, 120
    sample = torch.stack([torch.zeros(8), grey / 127.5 - 1])[None]
    assert channels.split(sample)[1].flatten().tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_values_need_not_ascend():
    channels = Channels({"t1": 99.5}, {"b": 4, "a": 1}, encoding=40)
    label = torch.tensor([[[0, 1, 2]]], dtype=torch.uint8)
    assert channels.split(channels.join(torch.zeros(1, 1, 3), label))[1].flatten().tolist() == [0, 1, 2]


def test_what_is_unknown_is_neither_inside_nor_outside():
    channels = Channels({"ct": [-160, 240]}, {"pancreas": 1, "liver": 2})
    label = torch.tensor([[[0, 1, UNKNOWN]], [[0, 1, 2]]], dtype=torch.uint8)
    known = torch.stack([channels.known(), channels.known(["pancreas"])])
    assert known.tolist() == [[True, True], [True, False]]
    sample = channels.join(torch.zeros(2, 1, 3), label, known)
    assert sample[0, 1:].tolist() == [[-1, 1, 0], [-1, -1, 0]]
    assert sample[1, 1:].tolist() == [[-1, 1, -1], [0, 0, 0]]
    with pytest.raises(ValueError, match="cannot say that a class is unknown"):
        Channels({"ct": [0, 1]}, {"a": 1, "b": 2}, 40).join(torch.zeros(2, 1, 3), label[1:].repeat(2, 1, 1), known)


def test_scales():
    rng = np.random.default_rng(0)
    volume = rng.gamma(2, 50, (8, 9, 10))
    values, (low, high) = scaled(volume, 99.5)
    body = sorted(v for v in volume.ravel() if v > volume.sum() / volume.size)
    position = 0.995 * (len(body) - 1)  # linear between the two neighbours
    below = int(position)
    expected = body[below] + (position - below) * (body[below + 1] - body[below])
    assert low == 0
    assert high == pytest.approx(expected, rel=1e-12)
    assert values == pytest.approx(np.clip(volume / expected * 2 - 1, -1, 1), abs=1e-6)
    assert scaled(volume, 100.0)[1] == (0, pytest.approx(volume.max()))
    ct, window = scaled(np.array([-1000.0, -160, 40, 240, 900]), (-160.0, 240.0))
    assert ct.tolist() == [-1, -1, 0, 1, 1]
    assert window == (-160, 240)
    with pytest.raises(ValueError, match="one value everywhere"):
        scaled(np.zeros((2, 2)), 99.5)
    with pytest.raises(ValueError, match="NaN"):
        scaled(np.array([np.nan, 1.0]), (0.0, 1.0))


@pytest.mark.parametrize(
    ("images", "labels", "encoding", "message"),
    [
        ({}, None, "one_hot", "needs an image"),
        ({"ct": [240, -160]}, None, "one_hot", r"expected a window \[low, high\]"),
        ({"t1": 0}, None, "one_hot", "percentile above 0"),
        ({"t1": 99.5}, {"a": 1, "b": [2, 1]}, "one_hot", "none that another class has"),
        ({"t1": 99.5}, {"a": 0}, "one_hot", "0 is background"),
        ({"t1": 99.5}, {"a": 7}, 40, "above 255"),
        ({"t1": 99.5}, {"a": 7}, "onehot", "expected 'one_hot' or a positive factor"),
    ],
)
def test_what_cannot_be_is_refused(images, labels, encoding, message):
    with pytest.raises(ValueError, match=message):
        Channels(images, labels, encoding)
