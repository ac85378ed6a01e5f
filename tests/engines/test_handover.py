"""What one update leaves for another, whichever way both go through the batch."""

import pytest
import torch

from tests.engines.toys import make_data, make_game, make_trainer, make_updates
from tools.engines.handover import Handover


def nothing():
    return (torch.empty(0),)


def test_what_was_left_is_taken_once_and_not_copied():
    handover, image = Handover(3), torch.rand(3, 2, requires_grad=True)
    handover.put(image * 1, image.detach())
    doubled, same = handover.take(nothing)
    assert not doubled.requires_grad
    assert same.data_ptr() == image.data_ptr()
    assert torch.equal(doubled, image)
    assert handover.take(nothing)[0].numel() == 0


@pytest.mark.parametrize("left", [[(0, 4)], [(0, 2), (2, 4)], [(0, 1), (1, 4)]])
@pytest.mark.parametrize("taken", [[(0, 4)], [(0, 2), (2, 4)], [(0, 1), (1, 2), (2, 3), (3, 4)]])
def test_both_updates_divide_the_batch_in_their_own_way(left, taken):
    handover, images, labels = Handover(4), torch.rand(4, 2), torch.arange(4)
    for first, last in left:
        handover.part(first, last).put(images[first:last], labels[first:last])
    for first, last in taken:
        image, label = handover.part(first, last).take(nothing)
        assert torch.equal(image, images[first:last])
        assert torch.equal(label, labels[first:last])


def test_what_is_missing_is_made_anew():
    handover = Handover(4)
    handover.part(0, 1).put(torch.zeros(1))
    assert handover.part(0, 2).take(lambda: (torch.ones(2),))[0].tolist() == [1, 1]
    assert handover.part(2, 4).part(1, 2).take(lambda: (torch.ones(1),))[0].tolist() == [1]


def test_rows_of_another_number_are_refused():
    with pytest.raises(ValueError, match="a tensor of 2 rows was left for 3 rows"):
        Handover(3).put(torch.zeros(2))


def test_the_trainer_gives_each_part_the_handover_of_its_rows():
    game, taken = make_game(), []
    draw, plain = game.draw, game.generator_loss
    game.draw = lambda batch, draws: draw(batch, draws) | {"handover": Handover(len(batch["image"]))}

    def leave(batch):
        batch["handover"].put(batch["image"])
        return plain(batch)

    def take(batch):
        (image,) = batch["handover"].take(nothing)
        taken.append(torch.equal(image, batch["image"]))
        return type(game).critic_loss(game, batch)

    game.generator_loss, game.critic_loss = leave, take
    updates = make_updates(game, one_by_one=True)[::-1]
    make_trainer(game, updates, make_data(batches=2), accumulation=2).run()
    assert taken == [True] * 8
