"""Batch normalisation against torch's, and its running statistics against means that are written out."""

import pytest
import torch
import torch.distributed as dist
from torch import nn

from tests.processes import in_two_processes
from tools.layers.batch_norm import BatchNorm2d


def batches(number):
    generator = torch.Generator().manual_seed(0)
    return [3 * torch.randn(4, 2, 5, 5, generator=generator) + 1 for _ in range(number)]


def test_training_is_torchs():
    ours, theirs = BatchNorm2d(2), nn.BatchNorm2d(2)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    for x in batches(3):
        assert torch.equal(ours(x), theirs(x))
    assert torch.equal(ours.running_mean, theirs.running_mean)
    torch.testing.assert_close(ours.running_var, theirs.running_var - 0.9**3)


def test_evaluation_is_by_a_weighted_mean_of_the_batches():
    ours, seen = BatchNorm2d(2), batches(3)
    for x in seen:
        ours(x)
    shares = torch.tensor([0.9**2, 0.9, 1.0]) / (0.9**2 + 0.9 + 1)
    mean = sum(share * x.mean((0, 2, 3)) for share, x in zip(shares, seen, strict=True))
    variance = sum(share * x.var((0, 2, 3)) for share, x in zip(shares, seen, strict=True))
    x = seen[0]
    expected = (x - mean.view(-1, 1, 1)) / (variance.view(-1, 1, 1) + 1e-5).sqrt()
    torch.testing.assert_close(ours.eval()(x), expected)
    torch.testing.assert_close(torch.jit.script(ours)(x), expected)


def test_without_batches_nothing_is_changed():
    x = batches(1)[0]
    torch.testing.assert_close(BatchNorm2d(2).eval()(x), x / (1 + 1e-5) ** 0.5)


def both(rank, path):
    """A process's rows through the layer, with the gradient of a loss of all rows."""
    dist.init_process_group("gloo")
    layer, (x,) = BatchNorm2d(2), batches(1)
    rows = x[rank::2].clone().requires_grad_()
    made = layer(rows)
    (made**3).sum().backward()
    torch.save((made.detach(), rows.grad, layer.state_dict()), f"{path}/{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_are_one(tmp_path):
    in_two_processes(both, str(tmp_path))
    (x,), layer = batches(1), BatchNorm2d(2)
    x.requires_grad_()
    made = layer(x)
    (made**3).sum().backward()
    for rank in range(2):
        values, gradient, state = torch.load(tmp_path / f"{rank}.pt")
        torch.testing.assert_close(values, made[rank::2])
        torch.testing.assert_close(gradient, x.grad[rank::2], rtol=1e-4, atol=1e-5)
        for name, value in layer.state_dict().items():
            torch.testing.assert_close(state[name], value)
    assert made.std().item() == pytest.approx(1, abs=0.02)
