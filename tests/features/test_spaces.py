"""Feature spaces by name: the right one, and errors that list them."""

import sys

import pytest
import torch

from tests.processes import in_another_process
from tools.features import inception as inception_features
from tools.features import medicalnet
from tools.features.spaces import NAMES, make_space, make_spaces


@pytest.fixture
def trained(monkeypatch):
    """Stand-ins for the spaces with weights, which say what weights they were given."""

    def stand_in(kind):
        return lambda weights=None: (kind, weights)

    monkeypatch.setattr(medicalnet, "MedicalNetFeatures", stand_in("medicalnet"))
    monkeypatch.setattr(inception_features, "InceptionFeatures", stand_in("inception"))


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("untrained", "untrained-resnet10-seed3"),
        ("untrained-slices", "untrained-slices-resnet10-seed3"),
        ("radiomics", "radiomics-1-firstorder-glcm-haar"),
    ],
)
def test_spaces_without_weights(name, label):
    space = make_space(name, seed=3)
    assert space.name == label
    rows = space(torch.rand(1, 1, 17, 16, 16) * 2 - 1)
    assert rows.shape == (17 if space.rows == "slice" else 1, space.dims)
    assert rows.dtype == torch.float32
    assert space.note
    with pytest.raises(ValueError, match=f"'a.pth', but feature space '{name}' takes none"):
        make_space(name, weights="a.pth")


def test_spaces_with_weights(trained):
    assert make_space("medicalnet", "m.pth") == ("medicalnet", "m.pth")
    assert make_space("inception") == ("inception", None)


def test_unknown_names():
    with pytest.raises(ValueError, match="unknown feature space 'vgg'; choose from untrained, untrained-slices, "):
        make_space("vgg", weights="a.pth")
    with pytest.raises(ValueError, match="unknown feature space 'vgg'"):
        make_spaces(["untrained", "vgg"])
    assert NAMES == ("untrained", "untrained-slices", "medicalnet", "inception", "radiomics")


def test_several_spaces(trained, tmp_path):
    made = make_spaces(" untrained, radiomics,untrained ", seed=2)
    assert [space.name for space in made] == ["untrained-resnet10-seed2", "radiomics-1-firstorder-glcm-haar"]
    assert make_spaces(("inception", "medicalnet"), tmp_path) == [("inception", tmp_path), ("medicalnet", tmp_path)]
    assert make_spaces(["medicalnet", "radiomics"], "m.pth")[0] == ("medicalnet", "m.pth")
    (tmp_path / "m.pth").touch()
    with pytest.raises(ValueError, match=r"inception and medicalnet need one each; give the folder"):
        make_spaces(["inception", "medicalnet"], tmp_path / "m.pth")
    with pytest.raises(ValueError, match="none of the feature spaces untrained, radiomics takes any"):
        make_spaces("untrained,radiomics", "m.pth")
    with pytest.raises(ValueError, match="no feature space is given"):
        make_spaces([])


def imported():
    return set(sys.modules)


def test_torchvision_is_imported_when_it_is_needed():
    assert {"tools.features.spaces", "torchvision"} & in_another_process(imported) == {"tools.features.spaces"}
