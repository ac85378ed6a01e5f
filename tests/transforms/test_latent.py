"""Latents from seeds."""

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset

from tools.transforms.latent import LatentFromSeedd

KNOWN = [1.9269153, 1.4872841, 0.9007172]


def latent(seed, **kwargs):
    return LatentFromSeedd(**kwargs)({"seed": seed})["latent"]


def test_standard_normal_float32():
    z = latent(0, latent_dim=20000)
    assert z.dtype == torch.float32
    assert z.shape == (20000,)
    assert abs(z.mean()) < 0.03
    assert abs(z.std() - 1) < 0.03
    assert latent(0).shape == (1024,)


def test_depends_on_the_seed_alone():
    torch.manual_seed(0)
    first = latent(7)
    state = torch.get_rng_state()
    torch.rand(3)
    assert torch.equal(latent(7), first)
    assert not torch.equal(latent(8), first)
    torch.set_rng_state(state)
    latent(7)
    assert torch.equal(torch.get_rng_state(), state)


def test_known_values():
    # A seed is all that is kept of a synthetic image: its latent must never change.
    assert latent(42)[:3].tolist() == pytest.approx(KNOWN, rel=1e-5)


@pytest.mark.parametrize("seed", [np.int64(7), np.uint8(7), torch.tensor(7), np.array([7])])
def test_integers_of_other_kinds(seed):
    assert torch.equal(latent(seed), latent(7))


def test_a_shape_has_the_numbers_of_its_length():
    assert torch.equal(latent(7, latent_dim=[3, 2, 5]), latent(7, latent_dim=30).view(3, 2, 5))


def test_keeps_the_item_and_works_in_a_loader():
    item = {"seed": 1, "id": "a"}
    out = LatentFromSeedd(latent_key="z", latent_dim=4)(item)
    assert set(item) == {"seed", "id"}
    assert set(out) == {"seed", "id", "z"}
    data = Dataset([{"seed": s} for s in range(4)], LatentFromSeedd(latent_dim=4))
    batch = next(iter(DataLoader(data, batch_size=4, shuffle=True)))
    for seed, z in zip(batch["seed"], batch["latent"], strict=True):
        assert torch.equal(z, latent(seed, latent_dim=4))


@pytest.mark.parametrize("seed", [-1, 1.0, True, "7", None, 2**32, 2**70, [1, 2], np.nan])
def test_bad_seed(seed):
    with pytest.raises(ValueError, match=r"must be an integer in \[0, 2\^32\), got"):
        latent(seed)


def test_missing_seed():
    with pytest.raises(KeyError, match="no 'seed' in an item with keys"):
        LatentFromSeedd()({"image": 0})


@pytest.mark.parametrize("dim", [0, -3, 1.5, [], [4, 0], [2, 1.5]])
def test_bad_dim(dim):
    with pytest.raises(ValueError, match="latent_dim"):
        LatentFromSeedd(latent_dim=dim)
