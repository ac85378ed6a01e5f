"""Volumes through a slice network: every slice in its place, slabs averaged by hand."""

import pytest
import torch

from tools.engines.translation import SlabInferer


def volume(batch=2, modalities=2, depth=7, size=4):
    return torch.rand(batch, modalities, depth, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_slices_keep_their_places(batch_size):
    x = volume()
    made = SlabInferer(batch_size=batch_size)(x, lambda s: s[:, :1] - 2 * s[:, 1:])
    torch.testing.assert_close(made, x[:, :1] - 2 * x[:, 1:])


def slab_network(slabs):
    """Two modalities in, one out, three slices: differs by the place in the slab, and hears the neighbours."""
    first, second = slabs[:, :3], slabs[:, 3:]
    mean = (first + second).mean(1, keepdim=True)
    return torch.cat([first[:, :1] + mean, 2 * second[:, 1:2] - mean, first[:, 2:] * mean], dim=1)


@pytest.mark.parametrize("fuse", [True, False])
def test_slabs_are_averaged_where_they_overlap(fuse):
    x = volume(batch=1)
    made = SlabInferer(slices=3, batch_size=2, fuse=fuse)(x, slab_network)
    depth = x.shape[2]
    predictions = {i: [] for i in range(depth)}
    for centre in range(depth):
        around = [min(max(centre + d, 0), depth - 1) for d in (-1, 0, 1)]
        slab = torch.cat([x[:, m, around] for m in range(2)], dim=1)
        out = slab_network(slab)
        for place, i in enumerate(range(centre - 1, centre + 2)):
            if 0 <= i < depth and (fuse or place == 1):
                predictions[i].append(out[0, place])
    expected = torch.stack([torch.stack(p).mean(0) for p in predictions.values()])
    torch.testing.assert_close(made[0, 0], expected)


def test_mirror_images_are_averaged():
    """A network that sees the left half alone makes both halves, each with half of the weight."""
    x = volume(batch=1, modalities=1, size=4)
    left = torch.tensor([1.0, 1.0, 0.0, 0.0])
    made = SlabInferer(batch_size=2, mirror=True)(x, lambda slices: slices * left)
    torch.testing.assert_close(made, x / 2)
    assert torch.equal(SlabInferer(batch_size=2)(x, lambda slices: slices * left), x * left)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="slices must be odd"):
        SlabInferer(slices=2)
    with pytest.raises(ValueError, match="batch_size is 0"):
        SlabInferer(batch_size=0)
