"""Samples of labels alone against loops over pixels."""

import pytest
import torch

from tools.transforms.channels import UNKNOWN, Channels
from tools.transforms.label_samples import LabelsAlone

LABELS = {"core": 1, "oedema": 2, "brain": 9}


@pytest.fixture
def sample():
    image = torch.tensor([[-1.0, -1.0, 0.2, -0.9], [0.5, -1.0, -1.0, 1.0]])[None]
    label = torch.tensor([[0, 1, 2, 0], [UNKNOWN, UNKNOWN, 0, 2]], dtype=torch.uint8)[None]
    return {"image": image, "label": label, "known": torch.tensor([True, True, False]), "slice": 3}


def test_what_is_bright_and_of_no_class_is_the_body(sample):
    made = LabelsAlone(Channels({}, LABELS), "brain")(sample)
    for row in range(2):
        for column in range(4):
            was, bright = int(sample["label"][0, row, column]), bool(sample["image"][0, row, column] > -1)
            index = 3 if was == 0 and bright else was
            expected = [0, 0, 0] if was == UNKNOWN else [1 if index == number else -1 for number in (1, 2, 3)]
            assert made["image"][:, row, column].tolist() == expected
    assert made["known"].all()
    assert made["slice"] == 3
    assert sample["known"].tolist() == [True, True, False]  # what was given stays


def test_without_a_body_classes_are_those_of_the_files(sample):
    channels = Channels({}, {"core": 1, "oedema": 2})
    sample["known"] = torch.tensor([True, False])
    made = LabelsAlone(channels)(sample)
    assert torch.equal(made["label"], sample["label"])
    assert torch.equal(made["image"], channels.join(None, sample["label"][None], sample["known"][None])[0])


@pytest.mark.parametrize(
    ("channels", "body"), [(Channels({"t1": 99}, LABELS), "brain"), (Channels({}, LABELS), "skull")]
)
def test_another_sample_is_refused(channels, body):
    with pytest.raises(ValueError, match=r"expected no image, and the class '(brain|skull)'.*--body None"):
        LabelsAlone(channels, body)
