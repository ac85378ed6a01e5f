"""The MIND loss against its formula with loops, and what it must and must not see."""

import itertools
import math

import pytest
import torch
from monai.handlers import IgniteMetricHandler

from tools.losses.mind import NOISE, mind_loss, patch_means, self_similarity, volume_mind_loss


def bodies(shift=0, contrast=1.0, noise=0.0, seed=0):
    """[1, 1, 24, 24]: a disc with a brighter disc in it."""
    y, x = torch.meshgrid(torch.arange(24.0), torch.arange(24.0) - shift, indexing="ij")
    outer = ((y - 12) ** 2 + (x - 12) ** 2 < 64).double()
    inner = ((y - 10) ** 2 + (x - 13) ** 2 < 9).double()
    image = -0.8 + contrast * (0.8 * outer + 0.5 * inner)
    return (image + noise * torch.randn(24, 24, generator=torch.Generator().manual_seed(seed)))[None, None]


def by_loops(image):
    """The descriptor of Heinrich et al. 2012, of one image [H, W]; patches of 5 x 5, borders continued."""
    height, width = image.shape
    offsets = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)]
    weights = {(y, x): math.exp(-(y * y + x * x) / 2) for y in range(-2, 3) for x in range(-2, 3)}
    total = sum(weights.values())

    def at(y, x):
        return image[min(max(y, 0), height - 1), min(max(x, 0), width - 1)].item()

    def squared(y, x, dy, dx):
        """Difference from a neighbour, at the nearest pixel within the image."""
        y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
        return (at(y, x) - at(y + dy, x + dx)) ** 2

    result = torch.zeros(8, height, width, dtype=torch.float64)
    for y in range(height):
        for x in range(width):
            distance = {
                (dy, dx): sum(w * squared(y + py, x + px, dy, dx) for (py, px), w in weights.items()) / total
                for dy, dx in offsets
            }
            variance = max(sum(distance[o] for o in ((-1, 0), (0, -1), (0, 1), (1, 0))) / 4, NOISE)
            values = [math.exp(-distance[o] / variance) for o in offsets]
            result[:, y, x] = torch.tensor(values, dtype=torch.float64) / max(values)
    return result


def test_descriptor_is_the_formula():
    images = torch.rand(2, 3, 7, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    found = self_similarity(images).unflatten(1, (3, 8))
    for b in range(2):
        for c in range(3):
            torch.testing.assert_close(found[b, c], by_loops(images[b, c]), rtol=1e-10, atol=1e-12)


def test_patch_means_are_weighted_by_a_gaussian():
    image = torch.zeros(1, 1, 9, 9)
    image[0, 0, 4, 4] = 1
    means = patch_means(image)[0, 0]
    assert means.sum() == pytest.approx(1)
    assert (means[4, 5] / means[4, 4]).item() == pytest.approx(math.exp(-0.5))
    assert (means[5, 6] / means[4, 4]).item() == pytest.approx(math.exp(-2.5))
    assert means[4, 7] == 0
    torch.testing.assert_close(patch_means(torch.full((1, 2, 5, 5), 0.3)), torch.full((1, 2, 5, 5), 0.3))


def test_contrast_does_not_matter_and_place_does():
    image = bodies()
    assert mind_loss(image, -image).item() == pytest.approx(0, abs=1e-12)
    softer = mind_loss(bodies(contrast=0.6), image)
    shifts = [mind_loss(bodies(shift), image).item() for shift in (0, 1, 2, 3)]
    assert shifts[0] == 0
    assert shifts[0] < softer < shifts[1] < shifts[2] < shifts[3]
    assert mind_loss(bodies(1), image) == mind_loss(image, bodies(1))


def test_volumes_are_compared_slice_by_slice_with_every_modality():
    ct, mr = (torch.rand(2, channels, 3, 8, 9, generator=torch.Generator().manual_seed(3)) for channels in (1, 2))
    found = volume_mind_loss(ct, mr)
    places = itertools.product(range(2), range(2), range(3))
    pairs = [mind_loss(ct[b, :, z][None], mr[b, m : m + 1, z][None]) for b, m, z in places]
    assert found.item() == pytest.approx(sum(pair.item() for pair in pairs) / 12)


def test_an_evaluator_takes_the_mean_over_its_studies():
    studies = [torch.cat([bodies(shift), bodies(contrast=-1)])[None] for shift in (0, 2)]
    metric = IgniteMetricHandler(loss_fn=volume_mind_loss, save_details=False)
    for study in studies:  # decollated, as MONAI's evaluators give them: lists of [channels, axial, H, W]
        metric.update(([study[:, 0]], [study[:, 1]]))
    each = [mind_loss(study[:, 0], study[:, 1]).item() for study in studies]
    assert each[0] < each[1]
    assert metric.compute() == pytest.approx(sum(each) / 2)


def test_noise_of_air_is_no_structure():
    flat = torch.full((1, 1, 24, 24), -1.0, dtype=torch.float64)
    quiet = flat + 0.01 * torch.randn(1, 1, 24, 24, generator=torch.Generator().manual_seed(2))
    loud = flat + 0.2 * torch.randn(1, 1, 24, 24, generator=torch.Generator().manual_seed(2))
    assert mind_loss(quiet, flat) < 0.04
    assert mind_loss(loud, flat) > 0.2


def test_gradient_moves_an_edge_to_its_place():
    """Gradient descent on the pixels of a disc that is too large makes it as large as that of the other modality."""
    y, x = torch.meshgrid(torch.arange(24.0), torch.arange(24.0), indexing="ij")
    radius = ((y - 12) ** 2 + (x - 12) ** 2).sqrt()
    target = (0.5 * torch.tanh(8 - radius))[None, None]
    size = torch.tensor(9.5, requires_grad=True)
    optimizer = torch.optim.SGD([size], lr=5.0)
    for _ in range(60):
        optimizer.zero_grad()
        mind_loss((-0.9 * torch.tanh(size - radius))[None, None], target).backward()
        optimizer.step()
    assert size.item() == pytest.approx(8, abs=0.2)
