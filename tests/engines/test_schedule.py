import pytest
import torch

from tools.engines import constant_then_linear


def test_rate_stays_then_falls_towards_zero():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=8.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, constant_then_linear(2, 5))
    rates = []
    for _ in range(6):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([8, 8, 6, 4, 2, 2])


def test_all_constant_and_none():
    assert [constant_then_linear(3, 3)(epoch) for epoch in range(3)] == [1, 1, 1]
    assert [constant_then_linear(9, 3)(epoch) for epoch in range(3)] == [1, 1, 1]
    assert [constant_then_linear(0, 3)(epoch) for epoch in range(4)] == pytest.approx([0.75, 0.5, 0.25, 0.25])
    with pytest.raises(ValueError, match="constant_epochs is -1"):
        constant_then_linear(-1, 3)
