"""The pool against its description: fill first, then exchange half of the time, one for one."""

import pytest
import torch

from tools.losses.image_pool import ImagePool


def image(number):
    return torch.full((1, 1, 2, 2), float(number))


def test_until_it_is_full_images_pass():
    pool = ImagePool(3)
    for number in range(3):
        assert pool.exchange(image(number), torch.tensor([[0.9, 0.0]])).unique().item() == number
    assert [x.unique().item() for x in pool.images] == [0, 1, 2]


def test_exchange_takes_the_old_one_and_leaves_the_new_one():
    pool = ImagePool(3)
    for number in range(3):
        pool.exchange(image(number), torch.zeros(1, 2))
    assert pool.exchange(image(7), torch.tensor([[0.5, 0.4]])).unique().item() == 1
    assert [x.unique().item() for x in pool.images] == [0, 7, 2]
    assert pool.exchange(image(8), torch.tensor([[0.49, 0.4]])).unique().item() == 8
    assert [x.unique().item() for x in pool.images] == [0, 7, 2]


def test_a_batch_is_exchanged_image_by_image():
    pool = ImagePool(1)
    given = torch.cat([image(1), image(2), image(3)])
    returned = pool.exchange(given, torch.tensor([[0.0, 0.0], [0.9, 0.0], [0.9, 0.0]]))
    assert [x.unique().item() for x in returned] == [1, 1, 2]


def test_no_pool():
    assert torch.equal(ImagePool(0).exchange(image(5), torch.ones(1, 2)), image(5))
    with pytest.raises(ValueError, match="-1 images"):
        ImagePool(-1)


def test_state_returns():
    pool, other = ImagePool(2), ImagePool(2)
    pool.exchange(torch.cat([image(1), image(2)]), torch.zeros(2, 2))
    other.load_state_dict(pool.state_dict())
    assert other.exchange(image(9), torch.tensor([[0.6, 0.9]])).unique().item() == 2
    assert pool.images[1].unique().item() == 2  # a copy, not the same list
