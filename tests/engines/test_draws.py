"""Random numbers of an iteration: they follow from the seed, the iteration and the row."""

import numpy as np
import torch

from tools.engines.draws import VERSION, Draws


def test_draws_depend_on_seed_and_iteration_alone():
    draws = Draws(3, 10)
    again = Draws(3, 10)
    assert torch.equal(draws.normal(4, 5), again.normal(4, 5))
    assert draws.integer(0, 10**6) == again.integer(0, 10**6)
    assert not torch.equal(Draws(3, 10).normal(4, 5), Draws(3, 11).normal(4, 5))
    assert not torch.equal(Draws(3, 10).normal(4, 5), Draws(4, 10).normal(4, 5))
    assert {Draws(0, i).integer(0, 2) for i in range(50)} == {0, 1, 2}


def test_draws_of_processes_are_the_rows_of_one():
    whole = Draws(1, 2).normal(6, 3)
    parts = [Draws(1, 2, rank=rank, world_size=3).normal(2, 3) for rank in range(3)]
    assert torch.equal(torch.stack(parts, dim=1).flatten(0, 1), whole)
    whole = Draws(1, 2).uniform(6, 3)
    parts = [Draws(1, 2, rank=rank, world_size=3).uniform(2, 3) for rank in range(3)]
    assert torch.equal(torch.stack(parts, dim=1).flatten(0, 1), whole)
    assert 0 <= whole.min() < 0.5 < whole.max() < 1
    on_a_device = Draws(1, 2, device="meta")
    assert torch.equal(on_a_device.choices(6, 3), whole)
    assert [drawn.device.type for drawn in (on_a_device.uniform(1), on_a_device.normal(1))] == ["meta", "meta"]


def test_a_process_draws_the_numbers_of_its_own_rows_alone(monkeypatch):
    """In whichever order, and whatever was drawn before: the row's own stream, and that of all rows."""
    made, plain = [], np.random.default_rng
    monkeypatch.setattr(np.random, "default_rng", lambda seed: made.append(tuple(seed)) or plain(seed))
    draws = Draws(5, 9, rank=1, world_size=8)
    draws.normal(2, 3)
    draws.uniform(2)
    draws.integer(0, 9)
    assert made == [(2, 9, 5), (10, 9, 5), (0, 9, 5)]  # rows 1 and 9, and what all share


def test_rows_do_not_share_numbers():
    drawn = torch.cat([Draws(seed, i).normal(5, 1000) for seed in range(2) for i in range(2)])
    assert (torch.corrcoef(drawn) - torch.eye(20)).abs().max() < 0.15
    assert abs(drawn.mean()) < 0.05
    assert abs(drawn.std() - 1) < 0.05
    assert Draws(0, 0).uniform(3).shape == (3,)
    assert len(set(Draws(0, 0).uniform(30).tolist())) == 30
    # seeds beyond 32 bits, and a seed, an iteration and a row of zero
    assert not torch.equal(Draws(2**32 + 1, 0).normal(1, 4), Draws(1, 0).normal(1, 4))
    assert Draws(0, 0).integer(0, 2**40) not in {Draws(0, 1).integer(0, 2**40), Draws(1, 0).integer(0, 2**40)}


def test_draws_stay_as_they_are():
    """A checkpoint says by which version of them it was made."""
    assert VERSION == 2
    expected = np.random.default_rng([4, 2, 1]).standard_normal(3, dtype=np.float32)
    assert Draws(1, 2, rank=1, world_size=2).normal(2, 3)[1].tolist() == expected.tolist()
    assert Draws(1, 2).integer(0, 10**6) == np.random.default_rng([0, 2, 1]).integers(0, 10**6, endpoint=True)
