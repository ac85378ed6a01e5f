"""One training at a time writes into a folder; a dead one does not keep it."""

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from dataclasses import asdict, replace

import pytest

from tests.engines.toys import make_game, make_trainer
from tools.engines import lock
from tools.engines.checkpoint import TrainingCheckpoint
from tools.engines.lock import NAME, FolderInUse, Holder, hold, release_folders

# the module alone: importing the whole library takes longer than all these tests
HOLD = """
    import importlib.util, sys
    spec = importlib.util.spec_from_file_location("lock", {module!r})
    sys.modules["lock"] = lock = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(lock)
    lock.hold({folder!r})
    print("locked", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def released():
    yield
    release_folders()


@pytest.fixture
def other(tmp_path):
    """A process that has locked ``tmp_path``."""
    program = textwrap.dedent(HOLD.format(module=lock.__file__, folder=str(tmp_path)))
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "locked\n"
    yield process
    process.kill()
    process.wait()


def write_lock(folder, **changes):
    (folder / NAME).write_text(json.dumps(asdict(replace(Holder.this_process(), **changes))))


def test_second_training_is_refused_before_it_touches_anything(tmp_path, other):
    (tmp_path / "checkpoint_epoch=1.pt").write_bytes(b"of the first")
    (tmp_path / ".0.partial.pt").write_bytes(b"being written")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    trainer = make_trainer(make_game(), train_handlers=[TrainingCheckpoint(tmp_path, {}, {})])
    with pytest.raises(FolderInUse) as error:
        trainer.run()
    assert f"process {other.pid} on {socket.gethostname()}, started 20" in str(error.value)
    assert "--bundle_root" in str(error.value)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_killed_training_does_not_keep_the_folder(tmp_path, other):
    with pytest.raises(FolderInUse):
        hold(tmp_path)
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert json.loads((tmp_path / NAME).read_text())["process"] == other.pid
    hold(tmp_path)
    assert json.loads((tmp_path / NAME).read_text())["process"] == os.getpid()


def test_an_ended_training_gives_the_folder_back(tmp_path):
    make_trainer(make_game(), train_handlers=[TrainingCheckpoint(tmp_path, {}, {})]).run()
    assert not (tmp_path / NAME).exists()
    hold(tmp_path)


def test_a_failed_training_gives_the_folder_back(tmp_path):
    trainer = make_trainer(make_game(), data=[{"image": None}], train_handlers=[TrainingCheckpoint(tmp_path, {}, {})])
    with pytest.raises(ValueError, match="have no rows"):
        trainer.run()
    assert not (tmp_path / NAME).exists()


def test_a_run_that_is_refused_after_it_has_locked_gives_the_folder_back(tmp_path):
    program = HOLD.format(module=lock.__file__, folder=str(tmp_path)) + '    raise ValueError("too large a batch")'
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], input="", capture_output=True, text=True)
    assert "locked" in done.stdout
    assert "too large a batch" in done.stderr
    assert not (tmp_path / NAME).exists()


def test_the_same_process_may_lock_again(tmp_path):
    hold(tmp_path, tmp_path / "eval")
    hold(tmp_path)


def test_a_forked_worker_does_not_keep_the_folder(tmp_path):
    """As of a killed training, whose loader's workers live on for some seconds."""
    hold(tmp_path)
    (ready, say), (wait, end) = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.close(end)
        os.write(say, b"1")
        os.read(wait, 1)
        os._exit(0)
    os.read(ready, 1)
    lock._held.pop(tmp_path.resolve()).forget()  # the file is closed and left, as by a kill
    hold(tmp_path)
    os.close(end)
    os.waitpid(child, 0)


@pytest.mark.parametrize("locks", [True, False], ids=["flock", "a file system without locks"])
def test_who_is_dead_is_known_by_number_and_start(tmp_path, monkeypatch, locks):
    """A process of the same number that began at another time is another one."""
    if not locks:
        monkeypatch.setattr(lock.fcntl, "flock", lambda *_: (_ for _ in ()).throw(OSError("no locks available")))
    alive = os.getppid()
    start = lock._process_start(alive)
    write_lock(tmp_path, process=alive, process_start=start)
    with pytest.raises(FolderInUse, match=f"process {alive} "):
        hold(tmp_path)
    write_lock(tmp_path, process=alive, process_start=start + 1)
    hold(tmp_path)


@pytest.mark.parametrize("where", [{"host": "node7"}, {"space": "pid:[1]"}], ids=["another machine", "a container"])
def test_a_training_elsewhere_is_refused_if_it_gives_signs_of_life(tmp_path, monkeypatch, where):
    write_lock(tmp_path, process=1, **where)
    waited = []
    monkeypatch.setattr(time, "sleep", waited.append)
    hold(tmp_path)  # no sign: the machine went down with it
    assert sum(waited) == 3 * lock.BEAT
    release_folders()

    write_lock(tmp_path, process=1, **where)
    monkeypatch.setattr(time, "sleep", lambda _: os.utime(tmp_path / NAME))
    with pytest.raises(FolderInUse, match="process 1 on"):
        hold(tmp_path)


def test_a_training_gives_signs_of_life(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "BEAT", 0.001)
    hold(tmp_path)
    os.utime(tmp_path / NAME, (0, 0))
    while (tmp_path / NAME).stat().st_mtime == 0:
        time.sleep(0.001)


def test_a_lock_that_was_not_written_to_its_end_is_taken(tmp_path):
    (tmp_path / NAME).write_text('{"host": "a')
    hold(tmp_path)
    assert json.loads((tmp_path / NAME).read_text())["process"] == os.getpid()
