"""What MLflow is told of a training, read back from its database."""

import sqlite3

from monai.handlers import MLFlowHandler

from tests.engines.toys import make_game, make_trainer, make_updates
from tools.engines.tracking import TrackedSettings


def trained(folder, settings, finish):
    """Parameters in the database after a training; MLflow takes up a run that was not finished."""
    game = make_game()
    tracker = MLFlowHandler(
        tracking_uri=f"sqlite:///{folder}/runs.db", iteration_log=False, epoch_log=False, close_on_complete=finish
    )
    handlers = [TrackedSettings(settings), tracker]
    make_trainer(game, make_updates(game), train_handlers=handlers, max_epochs=2).run()
    database = sqlite3.connect(folder / "runs.db")
    parameters = list(database.execute("SELECT run_uuid, key, value FROM params"))
    database.close()
    return parameters


def test_settings_and_rates_are_parameters(tmp_path):
    settings = {"image_size": 32, "seed": 3, "window": [-1, 1], "data": {"kind": "phantom", "volumes": 4}}
    rows = trained(tmp_path, settings, finish=True)
    parameters = {key: value for _, key, value in rows}
    assert len(parameters) == len(rows)
    assert parameters == {
        "max_epochs": "2",
        "epoch_length": "3",
        "image_size": "32",
        "seed": "3",
        "window": "[-1, 1]",
        "data.kind": "phantom",
        "data.volumes": "4",
        "learning_rate.critic": "0.01",
        "learning_rate.generator": "0.01",
        "betas.critic": "(0.9, 0.999)",
        "betas.generator": "(0.9, 0.999)",
    }


def test_a_run_that_goes_on_keeps_what_it_was_begun_with(tmp_path):
    trained(tmp_path, {"seed": 3}, finish=False)
    rows = trained(tmp_path, {"seed": 4, "more": 1}, finish=True)
    assert len({run for run, _, _ in rows}) == 1
    parameters = {key: value for _, key, value in rows}
    assert (parameters["seed"], parameters["more"]) == ("3", "1")
