"""MedicalNet's ResNet-50, with random weights: its strides and dilations, and its features."""

import logging

import pytest
import torch
from torch.nn import functional

from tools.features.medicalnet import (
    PRETRAINING,
    MedicalNetDistance,
    MedicalNetFeatures,
    medicalnet_distance,
    medicalnet_resnet50,
)
from tools.features.weights import file_sha256

BLOCKS = (3, 4, 6, 3)
STRIDES, DILATIONS = (1, 2, 1, 1), (1, 1, 2, 4)  # of the stages, arXiv:1904.00625


@pytest.fixture(scope="module")
def state():
    """Random weights that keep the outputs of all stages at one scale."""
    generator = torch.Generator().manual_seed(0)
    values = {}
    for key, value in medicalnet_resnet50().state_dict().items():
        if key.endswith("num_batches_tracked"):
            continue  # as in the published files, which are older than these
        if value.ndim == 5:
            bound = (6 / value[0].numel()) ** 0.5
            values[key] = torch.empty(value.shape).uniform_(-bound, bound, generator=generator)
        else:
            low = -0.1 if key.endswith(("bias", "mean")) else 0.5
            values[key] = torch.empty(value.shape).uniform_(low, low + 0.5, generator=generator)
    return values


@pytest.fixture(scope="module")
def weights(state, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "resnet_50.pth"
    torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}}, path)
    return path


@pytest.fixture(scope="module")
def features(weights):
    return MedicalNetFeatures(weights, check_hash=False)


@pytest.fixture(scope="module")
def volumes():
    return torch.rand(2, 1, 24, 32, 17, generator=torch.Generator().manual_seed(0)) * 2 - 1


def by_hand(x, state):
    """The last stage's outputs [B, 2048, d, h, w], from torch's functions."""

    def conv(x, name, stride=1, dilation=1):
        weight = state[f"{name}.weight"]
        padding = dilation * (weight.shape[-1] // 2)
        return functional.conv3d(x, weight, None, stride, padding, dilation)

    def norm(x, name):
        of = [state[f"{name}.{key}"] for key in ("running_mean", "running_var", "weight", "bias")]
        return functional.batch_norm(x, *of)

    x = functional.relu(norm(conv(x, "conv1", 2), "bn1"))
    x = functional.max_pool3d(x, 3, 2, 1)
    for stage, (blocks, stride, dilation) in enumerate(zip(BLOCKS, STRIDES, DILATIONS, strict=True), start=1):
        for block in range(blocks):
            name, step = f"layer{stage}.{block}", stride if block == 0 else 1
            y = functional.relu(norm(conv(x, f"{name}.conv1"), f"{name}.bn1"))
            y = functional.relu(norm(conv(y, f"{name}.conv2", step, dilation), f"{name}.bn2"))
            y = norm(conv(y, f"{name}.conv3"), f"{name}.bn3")
            if block == 0:
                x = norm(conv(x, f"{name}.downsample.0", step), f"{name}.downsample.1")
            x = functional.relu(x + y)
    return x


def test_number_of_parameters():
    network = medicalnet_resnet50()
    assert sum(p.numel() for p in network.parameters()) == 46_155_072  # 46.16 million without the decoder
    assert all(p.is_meta for p in network.parameters())


def test_features_by_hand(features, volumes, state):
    with torch.no_grad():
        last = by_hand(volumes[:1], state)
        assert last.shape == (1, 2048, 3, 4, 3)  # an eighth, where a classifier's is a thirty-second
        expected = last.mean((2, 3, 4))
    out = features(volumes[:1])
    assert torch.allclose(out, expected, rtol=1e-4, atol=1e-5 * expected.abs().max().item())


def test_features_of_volumes(features, volumes, weights):
    out = features(volumes)
    assert (out.shape, out.dtype, features.dims, features.rows) == ((2, 2048), torch.float32, 2048, "volume")
    assert torch.equal(out, features(volumes))
    assert torch.equal(out[1:], features(volumes[1:]))
    assert features.name == f"medicalnet-resnet50-{file_sha256(weights)[:8]}"
    assert "2048" in features.note
    assert not any(p.requires_grad for p in features.parameters())
    torch.nn.Sequential(features).train()
    assert not any(m.training for m in features.modules())
    with pytest.raises(ValueError, match=r"at least 16 voxels a side, got shape \(1, 1, 24, 32, 15\)"):
        features(volumes[:1, ..., :15])


def test_standardised_features(features, volumes, weights):
    standardised = MedicalNetFeatures(weights.parent, standardise=True, check_hash=False)
    assert standardised.name == f"{features.name}-standardised"
    volume = volumes[:1]
    out = standardised(volume)
    assert torch.allclose(out, standardised(volume / 2 + 0.2), rtol=1e-3, atol=1e-4)
    expected = features((volume - volume.mean()) / volume.std())
    assert torch.allclose(out, expected, rtol=1e-4, atol=1e-5)
    assert torch.isfinite(standardised(torch.ones(1, 1, 16, 16, 16))).all()


def test_the_distance_of_two_volumes(volumes, weights, state):
    """Of features of length 1, by which brightness and contrast of a whole volume do not count; to learn from it."""
    distance = MedicalNetDistance(weights, check_hash=False)
    one, other = volumes[:1].clone().requires_grad_(), volumes[1:]
    directions = []
    for x in (one, other):
        features = by_hand((x - x.mean()) / x.std(), state)
        directions.append(features / features.square().sum(1, keepdim=True).sqrt())
    found = distance(one, other)
    expected = (directions[0] - directions[1]).square().sum(1).mean()
    assert found.item() == pytest.approx(expected.item(), rel=1e-3)
    found.backward()
    assert one.grad.isfinite().all()
    assert one.grad.any()
    assert not any(p.requires_grad for p in distance.parameters())
    torch.nn.Sequential(distance).train()
    assert not distance.network[1].training
    assert distance(other, other / 2 + 0.2).item() == pytest.approx(0, abs=1e-5)
    assert medicalnet_distance(None) is None


def test_errors(weights, tmp_path, caplog):
    with pytest.raises(ValueError, match=f"expected {PRETRAINING['8-datasets'].sha256}.*check_hash=False"):
        MedicalNetFeatures(weights)
    with pytest.raises(ValueError, match="pretraining is '5', expected one of 8-datasets, 23-datasets"):
        MedicalNetFeatures(weights, pretraining="5")
    with pytest.raises(FileNotFoundError, match=r"resnet_50_23dataset\.pth; fetch .*--weights"):
        MedicalNetFeatures(weights.parent, pretraining="23-datasets")
    torch.save({"conv1.weight": torch.zeros(64, 3, 7, 7)}, tmp_path / "photographs.pth")
    with (
        caplog.at_level(logging.WARNING),
        pytest.raises(ValueError, match=r"photographs\.pth does not hold the weights of this ResNet"),
    ):
        MedicalNetFeatures(tmp_path / "photographs.pth", check_hash=False)
    assert "is not the published resnet_50.pth" in caplog.text
