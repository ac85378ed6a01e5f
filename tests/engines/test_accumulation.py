"""A batch in parts: rows in turn, and terms of a loss in turn, give the step of the whole."""

import pytest
import torch

from tests.engines.toys import make_data, make_game, make_trainer, make_updates, sgd, weights
from tools.engines.batches import rows, split


@pytest.mark.parametrize("parts", [2, 3, 4])
def test_accumulation_equals_the_whole_batch(parts):
    """Also where the parts differ in size (4 rows in 3 parts)."""
    whole, parted = make_game(), make_game()
    first = make_trainer(whole, make_updates(whole, sgd))
    second = make_trainer(parted, make_updates(parted, sgd), accumulation=parts)
    first.run()
    second.run()
    torch.testing.assert_close(weights(whole.critic, whole.generator), weights(parted.critic, parted.generator))
    assert second.state.output[0]["loss"] == pytest.approx(first.state.output[0]["loss"], abs=1e-6)


def test_one_by_one_equals_the_whole_batch():
    whole, single = make_game(), make_game()
    sizes = []
    updates = make_updates(single, sgd, one_by_one=True)
    critic_loss = updates[0].loss
    updates[0].loss = lambda batch: sizes.append(len(batch["image"])) or critic_loss(batch)
    make_trainer(whole, make_updates(whole, sgd)).run()
    make_trainer(single, updates).run()
    assert sizes == [1] * 12
    torch.testing.assert_close(weights(whole.critic, whole.generator), weights(single.critic, single.generator))


def in_turn(loss, groups=(("real",), ("fake",))):
    """The same loss, whose terms are yielded one after the other."""

    def yielding(batch):
        for names in groups:
            yield {name: loss(batch)[name] for name in names}

    return yielding


@pytest.mark.parametrize("options", [{}, {"accumulation": 3}, {"precision": "bf16"}], ids=["", "parts", "bf16"])
def test_terms_one_after_the_other_give_the_same_step(options):
    at_once, turns = make_game(), make_game()
    updates = make_updates(turns, sgd)
    updates[0].loss = in_turn(updates[0].loss)
    first = make_trainer(at_once, make_updates(at_once, sgd), **options)
    second = make_trainer(turns, updates, **options)
    first.run()
    second.run()
    tolerance = 1e-6 if "precision" not in options else 1e-2
    expected, found = weights(at_once.critic, at_once.generator), weights(turns.critic, turns.generator)
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)
    assert second.state.output[0]["loss"] == pytest.approx(first.state.output[0]["loss"], abs=tolerance)


def test_each_term_is_passed_back_before_the_next_is_computed():
    """So that one graph is held at a time; autocast is off in the backward pass, and on again for the next term."""
    game, events = make_game(), []
    updates = make_updates(game, sgd)
    updates[0].loss = in_turn(updates[0].loss)
    game.critic[0].register_forward_hook(lambda *_: events.append(f"forward {torch.is_autocast_enabled('cpu')}"))
    game.critic[0].register_full_backward_hook(lambda *_: events.append(f"backward {torch.is_autocast_enabled('cpu')}"))
    make_trainer(game, updates[:1], make_data(batches=1), precision="bf16").run()
    term = ["forward True", "forward True", "backward False"]  # the toy computes both, and takes one
    assert events == term * 2


def test_terms_of_one_name_are_added():
    game = make_game()
    updates = make_updates(game, sgd)
    loss = updates[0].loss
    updates[0].loss = lambda batch: iter([{"both": term} for term in loss(batch).values()])
    trainer = make_trainer(game, updates)
    trainer.run()
    same = make_game()
    expected = make_trainer(same, make_updates(same, sgd))
    expected.run()
    torch.testing.assert_close(weights(game.critic, game.generator), weights(same.critic, same.generator))
    output, wanted = trainer.state.output[0]["loss"], expected.state.output[0]["loss"]
    assert output["critic/both"] == pytest.approx(wanted["critic/real"] + wanted["critic/fake"])


def test_split_leaves_what_is_not_rows_alone():
    batch = {"image": torch.arange(5), "label": None, "start": 3}
    parts = list(split(batch, 2, 5))
    assert [part["image"].tolist() for part, _ in parts] == [[0, 1, 2], [3, 4]]
    assert [share for _, share in parts] == [0.6, 0.4]
    assert all(part["start"] == 3 and part["label"] is None for part, _ in parts)
    with pytest.raises(ValueError, match="batch of 5 cannot be accumulated in 6 parts"):
        list(split(batch, 6, 5))


@pytest.mark.parametrize("parts", [2, 4])
def test_tables_and_cutoffs_are_no_rows(parts):
    tables = {
        "cutoff": torch.tensor([5.0]),
        "sigmas": torch.arange(1000),
        "matrix": torch.eye(3),
        "scale": torch.tensor(2),
    }
    for number, (part, share) in enumerate(split(tables | {"image": torch.arange(4)}, parts, 4)):
        assert share == 1 / parts
        assert part["image"].tolist() == list(range(4))[number * 4 // parts :][: 4 // parts]
        assert all(part[name] is table for name, table in tables.items())


def test_a_table_that_the_objective_draws_first_reaches_every_part_whole():
    """Neither its place among the tensors nor its length says how many rows the batch has."""
    whole, parted = make_game(), make_game()
    seen = []
    for game in (whole, parted):
        draw, loss = game.draw, game.critic_loss
        game.draw = lambda batch, draws, draw=draw: {"cutoff": torch.tensor([3.0, 1.0])} | draw(batch, draws)
        game.critic_loss = lambda batch, loss=loss: seen.append(batch["cutoff"].tolist()) or loss(batch)
    make_trainer(whole, make_updates(whole, sgd)).run()
    make_trainer(parted, make_updates(parted, sgd, one_by_one=True), accumulation=2).run()
    assert seen == [[3.0, 1.0]] * (3 + 12)
    torch.testing.assert_close(weights(whole.critic, whole.generator), weights(parted.critic, parted.generator))


def test_a_loaders_batch_has_one_number_of_rows():
    game = make_game()
    with pytest.raises(ValueError, match=r"\{'image': 4, 'sigmas': 10\} rows, expected one number of rows"):
        make_trainer(game, data=[{"image": torch.zeros(4, 4), "sigmas": torch.zeros(10)}]).run()
    with pytest.raises(ValueError, match="have no rows"):
        rows({"image": None, "scale": torch.tensor(1.0)})
