"""How long a run will still take."""

import pytest
from ignite.engine import Engine, Events

from tools.engines.logging import Progress, remaining


def engine_at(iteration, max_epochs=10, epoch_length=100):
    engine = Engine(lambda *_: None)
    engine.state.iteration, engine.state.max_epochs, engine.state.epoch_length = iteration, max_epochs, epoch_length
    return engine


@pytest.mark.parametrize(
    ("iteration", "start", "seconds", "text"),
    [
        (250, 0, 250, "12 min"),  # 750 iterations of a second
        (250, 0, 2500, "2 h 05 min"),
        (250, 0, 250_000, "8 d 16 h"),
        (250, 200, 50, "12 min"),  # resumed at 200
        (1000, 0, 50, "0 min"),
        (200, 200, 50, "?"),
    ],
)
def test_the_whole_run_is_estimated_from_the_iterations_so_far(iteration, start, seconds, text):
    assert remaining(engine_at(iteration), start, 7.0, 7.0 + seconds) == text


def test_the_bar_shows_it_beside_the_losses(capsys, monkeypatch):
    monkeypatch.setenv("TQDM_DISABLE", "0")
    engine = Engine(lambda *_: [{"loss": {"generator": 1.2, "generator/term": 3.0}}])
    bar = Progress(losses=True, persist=True, disable=False)
    bar.attach(engine)
    shown = []
    engine.add_event_handler(Events.ITERATION_COMPLETED, lambda _: shown.append(str(bar.pbar)))
    engine.run(range(3), max_epochs=2)
    assert "generator=1.2" in shown[-1]
    assert "term" not in shown[-1]
    assert "left=0 min" in shown[-1]
