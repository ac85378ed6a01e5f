"""InceptionV3 on slices, with random weights: which slices it sees, how they are prepared, and its features."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from tools.features.inception import INCEPTION, InceptionFeatures, _inception_v3
from tools.features.weights import file_sha256
from tools.metrics.inception import inception_score


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Random weights that keep the outputs of all layers at one scale."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for key, value in _inception_v3().state_dict().items():
        if value.ndim > 1:
            bound = (6 / value[0].numel()) ** 0.5
            state[key] = torch.empty(value.shape).uniform_(-bound, bound, generator=generator)
        elif not key.endswith("num_batches_tracked"):
            low = -0.1 if key.endswith(("bias", "mean")) else 0.8
            state[key] = torch.empty(value.shape).uniform_(low, low + 0.2, generator=generator)
    path = tmp_path_factory.mktemp("weights") / INCEPTION.name
    torch.save(state, path)
    return path


@pytest.fixture(scope="module")
def features(weights):
    return InceptionFeatures(weights, slices=2, check_hash=False)


@pytest.fixture(scope="module")
def volumes():
    return torch.rand(2, 1, 5, 12, 9, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.fixture(scope="module")
def rows(features, volumes):
    return features(volumes)


def test_rows_by_plane_and_position(features, volumes, rows):
    out = rows
    assert (out.shape, out.dtype, features.dims, features.rows) == ((12, 2048), torch.float32, 2048, "slice")
    assert torch.equal(out[6:], features(volumes[1:]))  # whatever the batch, and every time
    volume = volumes[1, 0]
    slices = [volume[1], volume[3], volume[:, 3], volume[:, 9], volume[:, :, 2], volume[:, :, 6]]
    with torch.no_grad():
        alone = torch.cat([features.network(features.prepared(one[None])) for one in slices])
    assert torch.allclose(out[6:], alone, rtol=1e-3, atol=1e-4)
    assert not torch.allclose(out[6:7], alone[1:2], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("thickness", "slices", "expected"),
    [
        (5, 2, [1, 3]),
        (9, 3, [1, 4, 7]),
        (64, 4, [8, 24, 40, 56]),
        (10, 1, [5]),
        (3, 16, [0, 1, 2]),
        (1, 16, [0]),
        (17, 16, [0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16]),
    ],
)
def test_chosen_slices(features, monkeypatch, thickness, slices, expected):
    monkeypatch.setattr(features, "slices", slices)
    volume = torch.arange(thickness)[None, :, None].expand(2, -1, 3)
    assert features.slices_of(volume, "coronal")[:, 0, 0].tolist() == expected


def test_positions(features):
    places = features.positions((5, 12, 9))
    assert places[:2] == pytest.approx([0.3, 0.7])
    assert np.isnan(places[2:]).tolist() == [True] * 4


def test_planes(weights, volumes, features, rows):
    axial = InceptionFeatures(weights.parent, "axial", slices=2, check_hash=False)
    assert axial.name == f"inception-v3-{file_sha256(weights)[:8]}-axial-2"
    assert features.name.endswith("-axial+coronal+sagittal-2")
    assert len(axial.positions((5, 12, 9))) == 2
    assert torch.equal(axial(volumes[:1]), rows[:2])


def test_resizing():
    slices = torch.rand(2, 10, 598) * 2 - 1
    out = InceptionFeatures.prepared(slices)
    assert out.shape == (2, 3, 299, 299)
    assert torch.equal(out[:, 0], out[:, 2])
    assert out.abs().max() <= 1
    assert torch.allclose(InceptionFeatures.prepared(torch.full((1, 7, 400), 0.3)), torch.tensor(0.3))
    same = torch.rand(1, 299, 299)
    assert torch.allclose(InceptionFeatures.prepared(same)[:, 1], same, atol=1e-6)
    # where two pixels become one, stripes of a pixel vanish in the average
    stripes = torch.tensor([-1.0, 1.0]).repeat(1, 598, 299)
    assert InceptionFeatures.prepared(stripes)[..., 2:-2].abs().max() < 0.01


def test_preparation_is_that_of_torchvision():
    # ImageNet's means and deviations, then the network's transform_input, leave (2 x - 1) of x in [0, 1]
    shares = torch.rand(1, 1, 4, 4).expand(-1, 3, -1, -1)
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    normalised = (shares - mean[:, None, None]) / deviation[:, None, None]
    network = _inception_v3()
    network.transform_input = True
    assert torch.allclose(network._transform_input(normalised), shares * 2 - 1, atol=1e-5)


def test_probabilities(features, rows):
    probabilities = features.probabilities(rows)
    assert probabilities.shape == (12, 1000)
    assert torch.allclose(probabilities.sum(1), torch.ones(12))
    assert probabilities.min() >= 0
    own = features.classifier
    expected = functional.linear(rows, own.weight, own.bias).exp()
    assert torch.allclose(probabilities, expected / expected.sum(1, keepdim=True), rtol=1e-3)
    assert math.isfinite(inception_score(probabilities))


def test_frozen(features):
    assert not any(p.requires_grad for p in features.parameters())
    torch.nn.Sequential(features).train()
    assert not any(m.training for m in features.modules())
    assert "not comparable" in features.note


def test_errors(weights, tmp_path):
    with pytest.raises(ValueError, match=f"expected {INCEPTION.sha256}.*check_hash=False"):
        InceptionFeatures(weights)
    for planes in ((), ("axial", "axial"), "oblique"):
        with pytest.raises(ValueError, match=r"planes are .*expected some of \('axial', 'coronal', 'sagittal'\)"):
            InceptionFeatures(weights, planes, check_hash=False)
    for slices in (0, 1.5, True):
        with pytest.raises(ValueError, match="expected 1 or more per plane"):
            InceptionFeatures(weights, slices=slices, check_hash=False)
    torch.save({"fc.weight": torch.zeros(10, 2048)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"other\.pth does not hold the weights of this Inception3"):
        InceptionFeatures(tmp_path / "other.pth", check_hash=False)
