"""Processes that measure: what they get, in which order, and how their end is understood."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.benchmark.small import CRF, HA
from tools.benchmark import processes
from tools.benchmark.case import Case
from tools.benchmark.measure import is_out_of_memory
from tools.benchmark.processes import FAILED, OK, OUT_OF_MEMORY, Outcome, judge, schedule


def test_the_log_has_the_message_of_a_process_that_failed(caplog, monkeypatch):
    outcomes = iter([Outcome(FAILED, message="no kernel"), Outcome(OK, 2.0)])
    monkeypatch.setattr(processes, "run_case", lambda c: Outcome(OK, 4) if c.table == "batch" else next(outcomes))
    first, second = Case("speed", CRF, 64, 2), Case("speed", HA, 64, 2)
    ended = [outcome.status for _, outcome in processes.run_cases([first, second, first])]
    assert ended == [FAILED, OK, FAILED]
    assert [record.getMessage() for record in caplog.records] == [f"{first}: failed\nno kernel"]


def test_a_batch_is_made_once_for_all_that_train_on_it(monkeypatch):
    """For each bundle, size and set of overrides; its folder is that of the other sizes; what uses none gets none."""
    ran = []
    monkeypatch.setattr(processes, "run_case", lambda case: ran.append(case) or Outcome(OK, 2.0))
    cases = [
        Case("memory", CRF, 64, 2),
        Case("speed", CRF, 64, 2, reference=True),
        Case("training_difference", CRF, 64, 1),
    ]
    cases += [Case("generation", CRF, 64, 1), Case("speed", CRF, 128, 2), Case("speed", CRF, 64, 2, overrides={"a": 1})]
    list(processes.run_cases([*cases, Case("speed", HA, 64, 2)]))
    assert [case.table for case in ran] == [
        *("batch", "memory", "speed", "training_difference", "generation"),
        *("batch", "speed", "batch", "speed", "batch", "speed"),
    ]
    first, other_size, other_overrides, other_bundle = (Path(case.batch) for case in ran if case.table == "batch")
    assert [case.batch for case in ran[1:5]] == [*[str(first)] * 3, ""]
    assert first.parent == other_size.parent
    assert len({first.parent, other_overrides.parent, other_bundle.parent}) == 3
    assert not first.parent.exists()


def test_without_a_batch_nothing_is_trained(monkeypatch):
    failed = Outcome(FAILED, message="no such folder")
    ran = []
    monkeypatch.setattr(processes, "run_case", lambda case: ran.append(case.table) or failed)
    cases = [Case("memory", CRF, 64, 2), Case("speed", CRF, 64, 2)]
    assert [outcome for _, outcome in processes.run_cases(cases)] == [failed, failed]
    assert ran == ["batch"]


@pytest.mark.parametrize(
    ("script", "status", "message"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", OUT_OF_MEMORY, "killed by the system"),
        ("raise RuntimeError('no such kernel')", FAILED, "no such kernel"),
        ("import os; os.abort()", FAILED, "exit status -6"),
        ("""print('{"value": 5.0, "before": 1.0}')""", OK, ""),
    ],
)
def test_the_end_of_a_process_is_understood(script, status, message):
    outcome = judge(subprocess.run([sys.executable, "-c", script], capture_output=True, text=True))
    assert outcome.status == status
    assert message in outcome.message


def test_lack_of_memory_is_recognised_behind_other_errors():
    def wrapped(origin):
        error = RuntimeError("Failed to instantiate component")
        error.__cause__ = origin
        return error

    with pytest.raises(MemoryError) as python:
        bytearray(2**62)
    with pytest.raises(RuntimeError) as allocator:
        torch.empty(2**50)
    for origin in (python.value, allocator.value, torch.OutOfMemoryError("CUDA out of memory.")):
        assert is_out_of_memory(origin)
        assert is_out_of_memory(wrapped(origin))
    assert not is_out_of_memory(wrapped(ValueError("channels")))


def test_bundles_alternate():
    cases = schedule(["memory", "speed"], [CRF, HA], [64, 128], [2, 4], 2, 2, steps=7)
    shown = [(case.table, case.image_size, case.batch_size, case.bundle) for case in cases]
    assert shown[:4] == [("memory", 64, 2, CRF), ("memory", 64, 2, HA), ("memory", 64, 4, CRF), ("memory", 64, 4, HA)]
    assert shown[8:] == [("speed", size, 2, bundle) for size in (64, 128) for _ in range(2) for bundle in (CRF, HA)]
    assert {case.steps for case in cases} == {7}
    assert len(schedule(["speed"], [CRF], [64], [2], 2, 3)) == 3
