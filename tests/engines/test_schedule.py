import pytest
import torch

from tools.engines.schedule import constant_then_linear, epochs_for


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


def test_epochs_for_a_number_of_iterations():
    """LUNA16: 800 volumes in batches of 4 are 200 iterations; the released 80,000 are 400 epochs."""
    assert epochs_for(80_000, 800, 4) == 400
    assert epochs_for(16_000, 800, 4) == 80
    assert epochs_for(16_001, 803, 4) == 81  # three volumes do not fill a batch
    assert epochs_for(5, 3, 4) == 5  # nor do these, which are all there are
    with pytest.raises(ValueError, match="iterations is 0"):
        epochs_for(0, 800, 4)
