"""The untrained feature spaces: reproducible, frozen, and able to rank rough realism."""

import logging

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.networks.layers import GaussianFilter

from tools.features.network import SLICES_AT_ONCE
from tools.features.untrained import UntrainedFeatures, UntrainedSliceFeatures
from tools.metrics.distances import frechet_distance

FIRST = [-0.000990207, 0.070950031, -0.108855955]
LAST = [-0.020463673, 0.020184405, 0.014619058]
FIRST_OF_SLICES = [-0.002619841, 0.187716156, -0.288005799]
LAST_OF_SLICES = [-0.032038741, 0.027814094, 0.021383734]


@pytest.fixture(scope="module")
def features():
    return UntrainedFeatures()


def bodies(n, seed, side=24):
    """[n, 1, side, side, side] in [-1, 1]: an elliptic body with two dark lungs and bright nodules."""
    g = torch.Generator().manual_seed(seed)
    axis = torch.linspace(-1, 1, side)
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")

    def draw(low, high):
        return low + (high - low) * torch.rand((), generator=g)

    volumes = -torch.ones(n, 1, side, side, side)
    for volume in volumes[:, 0]:
        volume[(y / draw(0.6, 0.8)) ** 2 + (x / draw(0.75, 0.95)) ** 2 < 1] = draw(0.1, 0.3)
        for lung in (-0.37, 0.37):
            depth, width = draw(0.3, 0.45), draw(0.2, 0.3)
            volume[(z / 0.8) ** 2 + (y / depth) ** 2 + ((x - lung) / width) ** 2 < 1] = draw(-0.8, -0.6)
        for _ in range(5):
            centre = [draw(-0.5, 0.5) for _ in range(3)]
            volume[(z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2 < 0.01] = draw(0, 0.9)
    return volumes


def test_shape_name_and_frozen(features):
    out = features(bodies(2, 0))
    assert out.shape == (2, features.dims)
    assert out.dtype == torch.float32
    assert features.name == "untrained-resnet10-seed0"
    assert not any(p.requires_grad for p in features.parameters())
    torch.nn.Sequential(features).train()
    assert not any(m.training for m in features.modules())


def test_weights_follow_from_the_seed_alone():
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = UntrainedFeatures(3)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    second = UntrainedFeatures(3)
    assert all(torch.equal(p, q) for p, q in zip(first.parameters(), second.parameters(), strict=True))
    assert not torch.equal(first.network.conv1.weight, UntrainedFeatures(4).network.conv1.weight)


def test_weights_are_the_published_ones(features):
    # Numbers of this space are compared between machines and versions: its weights must never change.
    first = features.network.conv1.weight.flatten()[:3].double()
    last = features.network.layer4[0].conv2.weight.flatten()[-3:].double()
    assert first.tolist() == pytest.approx(FIRST, rel=1e-6)
    assert last.tolist() == pytest.approx(LAST, rel=1e-6)


def test_features_do_not_depend_on_the_batch(features):
    volumes = bodies(3, 0)
    together = features(volumes)
    assert torch.equal(together, features(volumes))
    assert torch.equal(together[1:2], features(volumes[1:2]))
    assert torch.equal(together, features(MetaTensor(volumes)))
    assert type(features(MetaTensor(volumes))) is torch.Tensor


@pytest.mark.parametrize("shape", [(16, 16, 16), (17, 31, 20)])
def test_sizes(features, shape):
    assert torch.isfinite(features(torch.zeros(1, 1, *shape))).all()


@pytest.mark.parametrize("shape", [(1, 1, 16, 16, 15), (1, 2, 16, 16, 16), (1, 16, 16, 16), (0, 1, 16, 16, 16)])
def test_bad_shapes_are_named(features, shape):
    with pytest.raises(ValueError, match=r"got shape \("):
        features(torch.zeros(shape))


@pytest.mark.parametrize("seed", [-1, 1.5, True])
def test_bad_seed(seed):
    with pytest.raises(ValueError, match="seed"):
        UntrainedFeatures(seed)


def test_says_that_it_is_untrained(caplog):
    with caplog.at_level(logging.WARNING):
        UntrainedFeatures(5)
    assert "untrained-resnet10-seed5" in caplog.text
    assert "not comparable" in caplog.text


def test_features_of_different_volumes_are_well_conditioned(features):
    out = features(bodies(10, 0)).double()
    for stage in out.split([64, 64, 128, 256, 512], dim=1):
        assert (stage.std(0) / stage.mean()).mean() > 0.01
    singular = torch.linalg.svdvals(out - out.mean(0))[:-1]
    # Volumes differ in as many directions as there are volumes, rather than along brightness alone.
    assert singular[0] / singular[-1] < 20
    share = singular**2 / (singular**2).sum()
    assert torch.exp(-(share * share.log()).sum()) > 5


def test_distance_ranks_noise_and_blur(features):
    real, other = features(bodies(8, 0)), bodies(8, 1)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(other.shape, generator=generator)
    noisy = [(other + level * noise).clamp(-1, 1) for level in (0.1, 0.2, 0.4)]
    blurred = [GaussianFilter(3, sigma)(other) for sigma in (0.5, 1.0, 2.0)]
    for series in (noisy, blurred):
        distances = [frechet_distance(real, features(volumes)) for volumes in (other, *series)]
        assert distances == sorted(distances)
        assert distances[-1] > 3 * distances[0]


@pytest.fixture(scope="module")
def slice_features():
    return UntrainedSliceFeatures()


def test_a_row_for_every_slice(slice_features):
    volumes = bodies(2, 0)[:, :, :, :20, :17]
    assert volumes.shape[2] > SLICES_AT_ONCE  # slices of one volume pass in more than one part
    out = slice_features(volumes)
    assert (out.shape, out.dtype) == ((48, slice_features.dims), torch.float32)
    assert (slice_features.rows, slice_features.name) == ("slice", "untrained-slices-resnet10-seed0")
    assert torch.equal(out, slice_features(volumes))
    assert torch.equal(out[24:], slice_features(volumes[1:]))
    with torch.no_grad():
        for row, one in ((0, volumes[0, 0, 0]), (20, volumes[0, 0, 20]), (24, volumes[1, 0, 0])):
            alone = torch.cat([stage.mean((2, 3)) for stage in slice_features.network(one[None, None])], dim=1)
            assert torch.allclose(out[row], alone[0], rtol=1e-4, atol=1e-5)
    # from the lowest up: a volume upside down has the rows in the other order
    assert torch.allclose(slice_features(volumes[:1].flip(2)), out[:24].flip(0), rtol=1e-4, atol=1e-5)


def test_places_of_slices(slice_features):
    assert np.allclose(slice_features.positions((4, 20, 17)), [0.125, 0.375, 0.625, 0.875])


def test_slice_weights_follow_from_the_seed_alone(slice_features):
    torch.manual_seed(1)
    again, other = UntrainedSliceFeatures(), UntrainedSliceFeatures(1)
    assert all(torch.equal(p, q) for p, q in zip(again.parameters(), slice_features.parameters(), strict=True))
    assert not torch.equal(other.network.conv1.weight, again.network.conv1.weight)
    assert other.name == "untrained-slices-resnet10-seed1"
    assert not any(p.requires_grad for p in other.parameters())
    with pytest.raises(ValueError, match="seed"):
        UntrainedSliceFeatures(-1)


def test_slice_weights_are_the_published_ones(slice_features):
    first = slice_features.network.conv1.weight.flatten()[:3].double()
    last = slice_features.network.layer4[0].conv2.weight.flatten()[-3:].double()
    assert first.tolist() == pytest.approx(FIRST_OF_SLICES, rel=1e-6)
    assert last.tolist() == pytest.approx(LAST_OF_SLICES, rel=1e-6)


@pytest.mark.parametrize("shape", [(1, 1, 16, 16, 15), (1, 1, 16, 15, 16), (1, 16, 16, 16)])
def test_bad_shapes_of_slices(slice_features, shape):
    with pytest.raises(ValueError, match=r"untrained-slices.* at least 16 rows and columns, got shape \("):
        slice_features(torch.zeros(shape))
