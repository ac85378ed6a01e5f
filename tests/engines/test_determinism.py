"""What a training asks of cuDNN."""

import pytest
import torch

from tools.engines.determinism import seeded


@pytest.fixture(autouse=True)
def as_before():
    flags = torch.backends.cudnn
    before = flags.deterministic, flags.benchmark
    yield
    flags.deterministic, flags.benchmark = before


@pytest.mark.parametrize("deterministic", [True, False])
def test_random_numbers_follow_from_the_seed_either_way(deterministic):
    numbers = []
    for seed in (5, 5, 6):
        seeded(seed, deterministic)
        numbers.append(torch.rand(4).tolist())
    assert numbers[0] == numbers[1] != numbers[2]
    assert torch.backends.cudnn.deterministic is deterministic
    assert torch.backends.cudnn.benchmark is not deterministic


def test_a_training_after_a_fast_one_is_repeatable_again():
    seeded(0, deterministic=False)
    seeded(0)
    assert torch.backends.cudnn.deterministic
    assert not torch.backends.cudnn.benchmark
