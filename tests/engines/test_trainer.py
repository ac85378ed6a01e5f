"""AlternatingTrainer: each update alone, accumulation, precision, the average, and several processes."""

import copy

import numpy as np
import pytest
import torch
import torch.distributed as dist
from ignite.engine import Events
from monai.engines import SupervisedTrainer
from torch import nn

from tests.engines.toys import make_data, make_game, make_trainer, make_updates, weights
from tests.processes import in_two_processes
from tools.engines.batches import rows, split
from tools.engines.draws import VERSION, Draws
from tools.engines.ema import ExponentialMovingAverage
from tools.engines.processes import average_over_processes
from tools.engines.update import Update


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.1)


def test_one_iteration_is_the_updates_in_order_written_out():
    """The same two steps by hand: the critic first, then the generator against the new critic."""
    game, by_hand = make_game(), make_game()
    data = make_data(batches=1)
    trainer = make_trainer(game, make_updates(game, sgd), data, seed=5)
    trainer.run()

    batch = by_hand.draw(data[0], Draws(seed=5, iteration=0))
    for loss, network in ((by_hand.critic_loss, by_hand.critic), (by_hand.generator_loss, by_hand.generator)):
        gradients = torch.autograd.grad(sum(loss(batch).values()), list(network.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(network.parameters(), gradients, strict=True):
                parameter -= 0.1 * gradient
    torch.testing.assert_close(weights(game.critic, game.generator), weights(by_hand.critic, by_hand.generator))


def test_an_update_moves_its_own_networks_and_gives_no_gradient_to_others():
    game = make_game()
    critic, generator = make_updates(game)
    generator.every = 2
    before = weights(game.generator), weights(game.critic)
    frozen = []
    loss = critic.loss
    critic.loss = lambda batch: frozen.extend(p.requires_grad for p in game.generator.parameters()) or loss(batch)
    trainer = make_trainer(game, [critic, generator], make_data(batches=1))
    trainer.add_event_handler(Events.ITERATION_STARTED, lambda engine: setattr(engine.state, "iteration", 2))
    trainer.run()
    assert frozen == [False] * 4
    assert all(p.grad is None for p in game.generator.parameters())
    assert torch.equal(weights(game.generator), before[0])
    assert not torch.equal(weights(game.critic), before[1])


def test_gradients_do_not_leak_into_a_later_update():
    """Through the critic the generator's loss reaches the critic's weights; no gradient may be kept there."""
    game = make_game()
    trainer = make_trainer(game)
    left = {}

    @trainer.on(Events.ITERATION_COMPLETED)
    def look(engine):
        left["critic"] = [p.requires_grad for p in game.critic.parameters()]

    trainer.run()
    assert left["critic"] == [False] * 4


def test_every_skips_iterations():
    game = make_game()
    calls = []
    updates = make_updates(game, every=2)
    critic_loss = updates[0].loss
    updates[0].loss = lambda batch: calls.append(1) or critic_loss(batch)
    trainer = make_trainer(game, updates, make_data(batches=5))
    outputs = []
    look = lambda engine: outputs.append(set(engine.state.output[0]["loss"]))  # noqa: E731
    trainer.add_event_handler(Events.ITERATION_COMPLETED, look)
    trainer.run()
    assert len(calls) == 3
    assert ["critic" in output for output in outputs] == [True, False, True, False, True]
    assert all("generator/fool" in output for output in outputs)


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


def test_clipping_bounds_the_step():
    game = make_game()
    updates = make_updates(game, sgd, max_grad_norm=1e-3)
    before = weights(game.critic)
    make_trainer(game, updates, make_data(batches=1)).run()
    assert torch.linalg.vector_norm(weights(game.critic) - before).item() == pytest.approx(0.1 * 1e-3, rel=1e-3)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_lower_precision_computes_in_it_and_stays_close(precision):
    exact, low = make_game(), make_game()
    seen = set()
    low.critic[0].register_forward_hook(lambda module, inputs, output: seen.add(output.dtype))
    make_trainer(exact, make_updates(exact, sgd)).run()
    trainer = make_trainer(low, make_updates(low, sgd), precision=precision)
    if precision == "fp16":  # a first scale that does not overflow, which would skip the step
        trainer.scalers = {name: torch.amp.GradScaler("cpu", init_scale=256.0) for name in trainer.scalers}
    trainer.run()
    assert seen == {{"bf16": torch.bfloat16, "fp16": torch.float16}[precision]}
    assert {p.dtype for p in low.critic.parameters()} == {torch.float32}
    difference = weights(exact.critic, exact.generator) - weights(low.critic, low.generator)
    assert 0 < difference.abs().max() < 0.01


def test_fp16_skips_a_step_that_overflows():
    game = make_game()
    trainer = make_trainer(game, make_updates(game, sgd), make_data(batches=1), precision="fp16")
    trainer.scalers["critic"] = torch.amp.GradScaler("cpu", init_scale=2.0**127)
    before = weights(game.critic)
    trainer.run()
    assert torch.equal(weights(game.critic), before)
    assert trainer.scalers["critic"].get_scale() == 2.0**126


def test_fp16_finds_its_scale_within_20_steps():
    """A steep loss, whose gradient times 65536 overflows: its scale falls by half with every step that is skipped."""
    game = make_game()
    updates = make_updates(game, lambda parameters: torch.optim.SGD(parameters, lr=1e-9))
    plain = updates[0].loss
    updates[0].loss = lambda batch: {name: 3000 * term for name, term in plain(batch).items()}
    trainer = make_trainer(game, updates, make_data(batches=25), precision="fp16")
    before = weights(game.critic)
    trainer.run()
    assert trainer.state.iteration == 25
    assert trainer.scalers["critic"].get_scale() <= 2.0**10
    assert not torch.equal(weights(game.critic), before)


def test_fp16_that_overflows_for_20_steps_in_a_row_stops_by_name():
    game = make_game()
    updates = make_updates(game)
    iteration, fine = iter(range(1, 100)), updates[1].loss
    updates[1].loss = lambda batch: spoiled(batch) if next(iteration) > 5 else fine(batch)

    def spoiled(batch):
        """A finite loss whose gradient is infinite, whatever its scale."""
        term = sum(fine(batch).values())
        return {"root": (term - term.detach()).abs().sqrt()}

    trainer = make_trainer(game, updates, make_data(batches=40), precision="fp16")
    trainer.scalers["critic"] = torch.amp.GradScaler("cpu", init_scale=256.0)
    message = (
        r"update 'generator' .* overflows fp16 for 20 steps in a row, until iteration 25, epoch 1.*--precision bf16"
    )
    with pytest.raises(FloatingPointError, match=message):
        trainer.run()
    assert torch.isfinite(weights(game.critic, game.generator)).all()


def test_average_follows_the_formula():
    """a <- a + (1 - d) (w - a) with d = min(decay, (1 + n) / (10 + n)), starting from the first weights."""
    game = make_game()
    ema = ExponentialMovingAverage(game.generator, decay=0.3)
    trainer = make_trainer(game, data=make_data(batches=6), ema=ema)
    history = []
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: history.append(weights(game.generator)))
    trainer.run()
    average = history[0]
    for n, current in enumerate(history[1:], start=1):
        decay = min(0.3, (1 + n) / (10 + n))
        average = decay * average + (1 - decay) * current
    torch.testing.assert_close(weights(ema.module), average)
    assert not any(p.requires_grad for p in ema.module.parameters())


def test_average_without_decay_is_the_network():
    game = make_game()
    ema = ExponentialMovingAverage(game.generator, decay=0)
    make_trainer(game, ema=ema).run()
    assert torch.equal(weights(ema.module), weights(game.generator))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_before_the_step(bad):
    game = make_game()
    data = make_data(batches=3)
    data[1]["image"][0, 0] = bad
    trainer = make_trainer(game, data=data)
    kept = {}

    @trainer.on(Events.ITERATION_STARTED)
    def keep(engine):
        kept["weights"] = weights(game.critic, game.generator)

    game.critic[1] = nn.Identity()  # tanh would hide an infinity
    with pytest.raises(
        FloatingPointError, match=r"update 'critic' has a loss of (nan|inf) at iteration 2, epoch 1"
    ) as error:
        trainer.run()
    assert "--precision fp32" in str(error.value)
    assert "--resume auto" in str(error.value)
    assert torch.equal(weights(game.critic, game.generator), kept["weights"])


def test_a_gradient_that_is_not_finite_stops_too():
    game = make_game()
    updates = make_updates(game)
    updates[0].loss = lambda batch: {"root": torch.sqrt(game.critic[0].weight.sum() * 0)}  # 0, with slope infinity
    before = weights(game.critic)
    with pytest.raises(FloatingPointError, match="update 'critic' has a gradient of nan"):
        make_trainer(game, updates).run()
    assert torch.equal(weights(game.critic), before)


def test_bad_arguments_are_named():
    game = make_game()
    with pytest.raises(ValueError, match="precision is 'int8'"):
        make_trainer(game, precision="int8")
    with pytest.raises(ValueError, match="accumulation is 0"):
        make_trainer(game, accumulation=0)
    with pytest.raises(ValueError, match="different names"):
        make_trainer(game, make_updates(game) * 2)
    with pytest.raises(ValueError, match="update 'critic': 4 of its optimizer's 4 parameters belong to none"):
        Update("critic", {"critic": game.critic}, sgd(game.generator.parameters()), game.critic_loss)
    with pytest.raises(ValueError, match="every is 0"):
        Update("critic", {"critic": game.critic}, sgd(game.critic.parameters()), game.critic_loss, every=0)
    with pytest.raises(ValueError, match="decay is 1"):
        ExponentialMovingAverage(game.generator, decay=1)


def test_an_objective_knows_how_long_the_run_is():
    game, seen = make_game(), []
    draw = game.draw
    game.draw = lambda batch, draws: seen.append((draws.iteration, draws.iterations)) or draw(batch, draws)
    make_trainer(game, max_epochs=2).run()
    assert seen == [(i, 6) for i in range(6)]


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


def _process(rank, folder):
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    game = make_game(seed=rank)  # different weights: the trainer must share those of process 0
    data = [{"image": batch["image"][rank::2]} for batch in make_data()]
    calls = []
    all_reduce = dist.all_reduce
    dist.all_reduce = lambda *args, **kwargs: calls.append(1) or all_reduce(*args, **kwargs)
    trainer = make_trainer(game, make_updates(game, sgd), data)
    trainer.run()
    torch.save([weights(game.critic, game.generator), trainer.state.output, len(calls)], f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_equal_one_on_the_joined_batch(tmp_path):
    in_two_processes(_process, str(tmp_path))
    (first, output, calls), (second, _, _) = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    assert torch.equal(first, second)
    assert calls == 3 * 2  # one all-reduce per update: three iterations of two

    game = make_game(seed=0)
    trainer = make_trainer(game, make_updates(game, sgd))
    trainer.run()
    torch.testing.assert_close(first, weights(game.critic, game.generator), rtol=1e-5, atol=1e-6)
    assert output[0]["loss"] == pytest.approx(trainer.state.output[0]["loss"], abs=1e-6)


def _bad_process(rank, folder):
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    game = make_game()
    data = make_data(batches=1)
    if rank == 1:
        data[0]["image"][0, 0] = float("nan")
    try:
        make_trainer(game, data=data).run()
    except FloatingPointError as error:
        torch.save(str(error), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_a_bad_batch_in_one_process_stops_both(tmp_path):
    """Otherwise the other would wait for ever."""
    in_two_processes(_bad_process, str(tmp_path))
    for rank in range(2):
        assert "update 'critic' has a loss of nan" in torch.load(tmp_path / f"{rank}.pt")


def test_an_update_waits_for_its_device_once(monkeypatch):
    """Every read of a number waits until a GPU has computed it."""
    game, reads = make_game(), []
    for name in ("tolist", "item", "__float__", "__bool__"):
        plain = getattr(torch.Tensor, name)
        monkeypatch.setattr(torch.Tensor, name, lambda *args, p=plain, n=name: reads.append(n) or p(*args))
    make_trainer(game, make_updates(game, sgd, max_grad_norm=1.0)).run()
    assert reads == ["tolist"] * 6


def test_averaging_without_processes_changes_nothing():
    network = nn.Linear(2, 1)
    network(torch.ones(1, 2)).sum().backward()
    before = copy.deepcopy(network.weight.grad)
    average_over_processes(list(network.parameters()), {})
    assert torch.equal(network.weight.grad, before)


def test_a_federated_client_finds_the_network_of_inference():
    game = make_game()
    assert isinstance(make_trainer(game), SupervisedTrainer)
    assert make_trainer(game).network is game.critic
    assert make_trainer(game, ema=ExponentialMovingAverage(game.generator)).network is game.generator
    assert make_trainer(game, network=game.generator).network is game.generator
