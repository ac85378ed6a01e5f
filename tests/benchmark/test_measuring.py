"""Small real runs: what fits, what does not, what fails, and the report of it."""

import csv
import json
import subprocess
import time
from types import SimpleNamespace

import pytest
import torch

from tests.benchmark.small import CRF, NARROW, TINY
from tools.benchmark import processes
from tools.benchmark.case import Case
from tools.benchmark.command import benchmark
from tools.benchmark.machine import clock_for
from tools.benchmark.measure import MB, peak_memory
from tools.benchmark.training import build_trainer

BALLAST = 1024  # MB


@pytest.fixture(scope="module")
def finished(tmp_path_factory, here):
    """A run of small networks: a batch that cannot be divided as asked for, one that can, one that no machine holds.

    It is started by a process that is larger than what it measures. The case whose memory is compared with that has a
    process of its own.
    """
    folder = tmp_path_factory.mktemp("benchmark")
    ballast = torch.ones(BALLAST * MB // 4)
    apart = []

    def run(command, **options):
        case = Case(**json.loads(command[-1]))
        if (case.table, case.batch_size) != ("memory", 3):
            return in_this_process(command)
        apart.append(case)
        return subprocess.run(command, **options)

    with pytest.MonkeyPatch.context() as patch:
        in_this_process = here(patch)
        patch.setattr(processes, "subprocess", SimpleNamespace(run=run))
        with pytest.raises(SystemExit) as stopped:
            benchmark(
                CRF,
                image_sizes=32,
                batch_sizes=[2, 3, 10_000_000_000],
                speed_batch_size=3,
                steps=2,
                warmup=1,
                rounds=1,
                threads=1,
                device="cpu",
                overrides=TINY | {"accumulation": 3},
                output_dir=folder,
            )
    assert len(apart) == 1
    assert peak_memory(torch.device("cpu")) > ballast.nbytes
    report = json.loads((folder / "benchmark.json").read_text())
    rows = {(row["table"], row["batch_size"]): row for row in report["rows"]}
    return folder, report, rows, stopped.value.code


def test_memory_and_speed_are_measured(finished):
    _, report, rows, _ = finished
    assert rows["memory", 3]["value"] > 100
    assert rows["speed", 3]["value"] > 0
    assert "MB of it are Python and its libraries" in report["memory"]


def test_no_process_inherits_the_peak_of_the_one_that_starts_it(finished):
    assert finished[2]["memory", 3]["value"] < BALLAST


def test_what_does_not_fit_is_a_dash(finished):
    assert finished[2]["memory", 10_000_000_000]["value"] == "-"


def test_what_fails_is_named_and_the_rest_goes_on(finished):
    _, _, rows, message = finished
    assert rows["memory", 2]["value"] == "failed"
    assert rows["memory", 3]["value"] > 0
    assert message.startswith("1 of 5 values failed")
    assert "memory of crf_gan_luna16 at 32, batch 2" in message


def test_the_three_files_agree_and_say_where_they_come_from(finished):
    folder, report, rows, _ = finished
    assert sorted(path.name for path in folder.iterdir()) == ["benchmark.csv", "benchmark.json", "benchmark.md"]
    with (folder / "benchmark.csv").open() as file:
        table = {(row["table"], row["batch_size"]): row for row in csv.DictReader(file)}
    for (name, batch_size), row in rows.items():
        assert table[name, str(batch_size or "")]["value"] == str(row["value"])
    text = (folder / "benchmark.md").read_text()
    assert f"| 32³ | {rows['parameters', None]['value']:,} |" in text
    assert "| 32³ | 10000000000 | - |" in text
    assert report["versions"]["torch"] == torch.__version__
    assert report["machine"]["cores"] >= 1
    assert report["settings"]["overrides"] == TINY | {"accumulation": 3}
    for word in ("fp32", report["date"], report["machine"]["cpu"]):
        assert word in text


def test_tables_of_a_cyclegan(tmp_path, monkeypatch, here, batch_file):
    here(monkeypatch)
    bundle = "cyclegan_mri2ct_inout"
    options = {"image_sizes": 32, "batch_sizes": 1, "speed_batch_size": 1, "steps": 1, "warmup": 0, "rounds": 1}
    benchmark(bundle, overrides=NARROW, threads=1, device="cpu", output_dir=tmp_path, **options)
    rows = {row["table"]: row["value"] for row in json.loads((tmp_path / "benchmark.json").read_text())["rows"]}
    batch = batch_file(bundle, 32, NARROW)
    trainer = build_trainer(bundle, 32, 1, "fp32", torch.device("cpu"), NARROW, batch)
    assert rows["parameters"] == sum(p.numel() for network in trainer.networks.values() for p in network.parameters())
    assert rows["memory"] > 0
    assert rows["speed"] > 0
    assert "| 32² | 1 |" in (tmp_path / "benchmark.md").read_text()
    benchmark(bundle, compare="training", overrides=NARROW, threads=1, device="cpu", output_dir=tmp_path, **options)
    (row,) = json.loads((tmp_path / "comparison.json").read_text())["rows"]
    assert row["optimised"] > 0
    assert (row["reference"], row["ratio"], row["difference"], row["failed"]) == (None, None, None, False)


def test_time_that_one_thread_waits_does_not_count():
    clock = clock_for(torch.device("cpu"), threads=1)
    began = clock()
    time.sleep(0.2)
    assert clock() - began < 0.1


@pytest.mark.parametrize(("device", "threads"), [("cpu", 2), ("cuda", 1)])
def test_several_threads_and_a_gpu_are_timed_by_the_wall_clock(device, threads):
    assert clock_for(torch.device(device), threads) is time.perf_counter
