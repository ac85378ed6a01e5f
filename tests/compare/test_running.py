"""Processes of a comparison: what they say when they fail, and how they end."""

import subprocess
import sys
import threading
import time

import pytest

from tools.child_process import MARK
from tools.compare.running import Interrupted, Processes

PATIENT = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(print('saved', flush=True)))"


def test_a_process_that_fails_is_told_by_its_last_words(tmp_path):
    run = Processes(threads=1).run
    words = f"import os, sys; print(*(os.environ[name] for name in ('OMP_NUM_THREADS', {MARK!r}))); sys.exit('no room')"
    assert run([sys.executable, "-c", words], tmp_path / "log") == "exit status 1: 1 1 no room"
    assert run([sys.executable, "-c", "pass"], tmp_path / "log") == ""


def test_a_stop_asks_what_is_running_to_end_and_begins_no_more(tmp_path):
    processes, log, said = Processes(threads=None), tmp_path / "log", []

    def work():
        try:
            processes.run([sys.executable, "-c", f"{PATIENT}; print('here', flush=True); time.sleep(60)"], log)
        except Interrupted:
            said.append("interrupted")

    thread = threading.Thread(target=work)
    thread.start()
    while not (log.exists() and "here" in log.read_text()):
        time.sleep(0.02)
    processes.stop()
    thread.join(30)
    assert said == ["interrupted"]
    assert log.read_text().split() == ["here", "saved"]
    with pytest.raises(Interrupted):
        processes.run([sys.executable, "-c", "pass"], log)


def test_what_is_running_ends_with_a_comparison_that_is_killed(tmp_path):
    log = tmp_path / "log"
    begin = "from tools.child_process import end_with_parent; end_with_parent()"
    child = f"{PATIENT}; {begin}; print('here', flush=True); time.sleep(60)"
    began = f"start([sys.executable, '-c', {child!r}], stdout=open({str(log)!r}, 'ab')).wait()"
    code = f"import sys; from tools.child_process import start; {began}"
    comparison = subprocess.Popen([sys.executable, "-c", code])
    while not (log.exists() and "here" in log.read_text()):
        time.sleep(0.02)
    comparison.kill()
    comparison.wait()
    ended = time.monotonic() + 30
    while "saved" not in log.read_text():
        assert time.monotonic() < ended
        time.sleep(0.02)
