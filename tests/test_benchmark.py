"""What training costs: counts, small real runs, what does not fit or fails, and the report."""

import contextlib
import csv
import io
import json
import math
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
import torch

from tools.__main__ import main
from tools.benchmark import __main__ as one_case
from tools.benchmark import comparison as comparing
from tools.benchmark import processes
from tools.benchmark.batches import repeated, write_first_batch
from tools.benchmark.case import Case
from tools.benchmark.command import benchmark
from tools.benchmark.comparison import comparisons
from tools.benchmark.configs import bundle_names, dimensions, has_reference, kind, read_config
from tools.benchmark.measure import MB, is_out_of_memory, measure, peak_memory
from tools.benchmark.processes import FAILED, OK, OUT_OF_MEMORY, Outcome, judge, schedule
from tools.benchmark.published import MEMORY, PARAMETERS, SPEED
from tools.benchmark.report import Key, make_rows, markdown
from tools.benchmark.training import build_trainer, learnable_parameters

COUNTS = {
    "crf_gan_luna16": {64: 57_079_938, 128: 57_209_762, 256: 57_244_594},
    "ha_gan_luna16": {64: 78_672_324, 128: 79_583_972, 256: 79_744_884},
}
PHANTOMS = {"phantoms#count": 6, "phantoms#shape": [32, 32, 32]}
TINY = {"base_channels": 8, "latent_dim": 16, "discriminator_channels": 16} | PHANTOMS
SLICES = {"phantoms#count": 4, "phantoms#shape": [16, 16, 16]}
DATA = (*PHANTOMS, "num_classes", "slices")  # what a batch depends on, besides bundle and size
BALLAST = 1024  # MB
CRF, HA = "crf_gan_luna16", "ha_gan_luna16"


@pytest.mark.parametrize(
    ("bundle", "image_size", "count"),
    [(bundle, *item) for bundle in COUNTS if bundle in bundle_names() for item in COUNTS[bundle].items()],
)
def test_learnable_parameters(bundle, image_size, count):
    """Exact, and within one and a half units of the last digit that the paper prints."""
    assert learnable_parameters(bundle, image_size, {}) == count
    printed = PARAMETERS[bundle][image_size]
    assert count == pytest.approx(printed, abs=15_000 if printed % 100_000 else 150_000)


@pytest.mark.parametrize("bundle", [bundle for bundle in COUNTS if bundle in bundle_names()])
def test_the_trainer_is_the_bundles_own_without_its_surroundings(bundle, tmp_path, monkeypatch):
    """Updates, draws, precision and average as configured; no files or handlers."""
    monkeypatch.chdir(tmp_path)
    overrides = TINY | {"base_channels": 16, "accumulation": 3}
    trainer = build_trainer(bundle, 32, 3, "bf16", torch.device("cpu"), overrides)
    (batch,) = trainer.data_loader
    assert batch["image"].shape == (3, 1, 32, 32, 32)
    assert -1 <= batch["image"].min() < -0.9 < 0.9 < batch["image"].max() <= 1
    assert (trainer.precision, trainer.accumulation) == ("bf16", 3)
    assert len(trainer.averages) == 1
    assert {"discriminator", "generator", "encoder"} < {update.name for update in trainer.updates}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("bundle", "overrides", "keys"),
    [
        (CRF, {"num_classes": 2}, {"image", "label"}),
        ("ha_gan_gsp", {}, {"image"}),
        ("cyclegan_triple", {"slices": 3}, {"mr", "ct"}),
    ],
)
def test_the_batch_is_the_first_of_the_bundles_own_loader(bundle, overrides, keys, batch_file):
    """Row by row, labels too, in the order of its sampler; more rows than it has begin with the first again."""
    overrides = overrides | (SLICES if kind(bundle) == "translate" else PHANTOMS)
    path = Path(batch_file(bundle, 32, overrides))
    # the phantoms beside the batch
    parser = read_config(bundle, overrides | {"image_size": 32, "bundle_root": str(path.parent)})
    first = next(iter(parser.get_parsed_content("train#dataloader")))
    (few,), (many,) = (repeated(str(path), rows) for rows in (3, 9))
    assert keys <= few.keys() == many.keys()
    for key in keys:
        assert torch.equal(few[key], first[key][:3])
        assert torch.equal(many[key], first[key][[0, 1, 2, 3, 0, 1, 2, 3, 0]])


def test_the_batch_is_of_the_users_data_if_they_say_so(tmp_path):
    """Volumes of a folder of one's own, in the place of phantoms, of which none are made."""
    data = tmp_path / "data"
    data.mkdir()
    for number in range(5):
        voxels = np.full((40, 40, 40), -1000, np.int16)
        voxels[8:32, 8:32, 8:32] = 312 + number
        nib.save(nib.Nifti1Image(voxels, np.eye(4)), data / f"{number}.nii.gz")
    path = tmp_path / "made" / "32.pt"
    write_first_batch(CRF, 32, {"dataset_dir": str(data)}, path)
    (batch,) = repeated(str(path), 2)
    middle = (batch["image"][:, 0, 16, 16, 16] + 1) / 2 * 1624 - 1024
    assert {round(float(hu)) for hu in middle} < {312, 313, 314, 315, 316}
    assert not any("phantom" in found.name for found in path.parent.iterdir())


def test_what_a_bundle_does_is_read_from_its_metadata():
    for bundle in bundle_names():
        expected = ("translate", 2, False) if bundle.startswith("cyclegan") else ("generate", 3, "gan" in bundle)
        assert (kind(bundle), dimensions(bundle), has_reference(bundle)) == expected


@pytest.fixture(scope="module")
def batch_file(tmp_path_factory):
    """Files of first batches, each made once; a bundle's phantoms are made once too."""
    made = {}

    def file(bundle, image_size, overrides):
        data = {key: value for key, value in overrides.items() if key in DATA}
        folder = made.setdefault((bundle, str(data)), tmp_path_factory.mktemp("batches"))
        path = folder / f"{image_size}.pt"
        if not path.exists():
            write_first_batch(bundle, image_size, data, path)
        return str(path)

    return file


@pytest.fixture(scope="module")
def here(batch_file):
    """Case by case what `python -m tools.benchmark` does, without the seconds that a process takes to start."""

    def run(command, **options):
        case = Case(**json.loads(command[-1]))
        if case.table == "batch":
            shutil.copy(batch_file(case.bundle, case.image_size, case.overrides), case.batch)
            return subprocess.CompletedProcess(command, 0, '{"value": 4, "before": 1, "peak": 1}', "")
        said = io.StringIO()
        try:
            with contextlib.redirect_stdout(said):
                one_case.main(command[-1])
        except Exception as error:
            return subprocess.CompletedProcess(command, 1, "", str(error))
        return subprocess.CompletedProcess(command, 0, said.getvalue(), "")

    def in_this_process(patch):
        patch.setattr(processes, "subprocess", SimpleNamespace(run=run))
        patch.setattr(one_case, "victim_first", lambda: None)
        return run

    return in_this_process


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


def test_ratios_are_pair_by_pair():
    """The machine is twice as slow in the second round: the ratios do not notice."""

    def outcomes(*values):
        return [Outcome(OK, value) for value in values]

    key = Key("speed", 128, 2, CRF)
    crf, ha = make_rows({key: outcomes(4.0, 2.0, 4.0), key._replace(bundle=HA): outcomes(3.6, 1.8, 3.8)}, CRF)
    assert (crf.value, crf.low, crf.high, crf.ratio) == (4.0, 2.0, 4.0, None)
    assert (ha.ratio, ha.ratio_low, ha.ratio_high) == pytest.approx((0.9, 0.9, 0.95))
    assert ha.paper_ratio == pytest.approx(3.845 / 4.236)
    assert (crf.paper, ha.paper) == (4.236, 3.845)
    assert "| 128³ | 2 | 4.000 (2.000 to 4.000) | 4.236 |" in markdown([crf, ha], [CRF, HA], {})


def test_there_is_no_ratio_to_what_does_not_fit():
    key = Key("memory", 256, 6, CRF)
    rows = make_rows({key: [Outcome(OUT_OF_MEMORY)], key._replace(bundle=HA): [Outcome(OK, 5.0)]}, CRF)
    assert [(row.value, row.paper, row.ratio, row.paper_ratio) for row in rows] == [
        ("-", "-", None, None),
        (5.0, "-", None, None),
    ]
    assert "| 256³ | 6 | - | - | 5 | - |  |  |" in markdown(rows, [CRF, HA], {})


def test_the_papers_own_conclusions_follow_from_its_printed_values():
    """Sections 3.3.1 and 3.3.2: a check of what was copied."""
    for size, fewer in ((64, 27.4), (128, 28.1), (256, 28.2)):
        assert 100 * (1 - PARAMETERS[CRF][size] / PARAMETERS[HA][size]) == pytest.approx(fewer, abs=0.15)
    for size, faster in ((128, 10.2), (256, 14.6)):
        assert 100 * (SPEED[CRF][size, 2] / SPEED[HA][size, 2] - 1) == pytest.approx(faster, abs=0.05)
    more = [100 * (MEMORY[HA][128, batch] / MEMORY[CRF][128, batch] - 1) for batch in (2, 4, 6)]
    assert sum(more) / 3 == pytest.approx(9.65, abs=0.5)
    more = [100 * (MEMORY[HA][256, batch] / MEMORY[CRF][256, batch] - 1) for batch in (2, 4)]
    assert sum(more) / 2 == pytest.approx(9.34, abs=0.05)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bundles": "crf_gan"}, "bundles is 'crf_gan', expected different names out of .*crf_gan_luna16"),
        ({"bundles": []}, "bundles is"),
        ({"image_sizes": "64,100"}, "image_size is 100, expected a power of two"),
        ({"image_sizes": "big"}, "image_sizes is 'big', expected different whole numbers"),
        ({"batch_sizes": [0, 2]}, r"batch_sizes is \[0, 2\]"),
        ({"tables": "memory,time"}, "tables is 'memory,time', expected different names out of parameters, memory"),
        ({"steps": 0}, "steps is 0, expected a whole number from 1"),
        ({"warmup": -1}, "warmup is -1, expected a whole number from 0"),
        ({"rounds": 1.5}, "rounds is 1.5"),
        ({"precision": "fp8"}, "precision is .*fp8"),
        ({"device": "fast"}, "device is 'fast'"),
        ({"device": "cuda:99"}, "device is 'cuda:99', but torch sees"),
        ({"overrides": {"base_chanels": 8}}, "overrides: bundle crf_gan_luna16 has no 'base_chanels'"),
        ({"overrides": {"image_size": 32}}, "give it by --image_sizes"),
        ({"overrides": "base_channels=8"}, "overrides is 'base_channels=8', expected entries"),
    ],
)
def test_bad_options_are_refused_before_anything_runs(options, message, tmp_path):
    given = {"bundles": CRF, "image_sizes": 64, "output_dir": tmp_path / "out"} | options
    with pytest.raises(ValueError, match=message):
        benchmark(**given)
    assert not (tmp_path / "out").exists()


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(ValueError, match="is a file"):
        benchmark(CRF, image_sizes=64, output_dir=tmp_path / "out")


def test_the_command_line(tmp_path, capsys):
    main(["benchmark", "--bundles", CRF, "--image_sizes", "64,128", "--tables=parameters", f"--output_dir={tmp_path}"])
    shown = capsys.readouterr().out
    assert "| 64³ | 57,079,938 | 57.07 M |" in shown
    assert "| 128³ | 57,209,762 | 57.20 M |" in shown
    assert shown.strip() == (tmp_path / "benchmark.md").read_text().strip()


@pytest.fixture(scope="module")
def compared(tmp_path_factory, here):
    """Training of small networks by both implementations; in this process, as starting others takes longer."""
    folder = tmp_path_factory.mktemp("comparison")
    options = {"image_sizes": 32, "steps": 1, "warmup": 0, "rounds": 1, "threads": 1, "device": "cpu"}
    with pytest.MonkeyPatch.context() as patch:
        here(patch)
        benchmark(CRF, compare="training", overrides=TINY, output_dir=folder, profile=True, **options)
    return folder, json.loads((folder / "comparison.json").read_text()), (folder / "comparison.md").read_text()


def test_the_optimised_implementation_alone(tmp_path, monkeypatch):
    ran = []
    monkeypatch.setattr(processes, "run_case", lambda case: ran.append(case) or Outcome(OK, 2.0, peak=1e6))
    benchmark(CRF, image_sizes=64, compare="generation", rounds=2, profile=True, reference=False, output_dir=tmp_path)
    assert [(case.reference, case.profile) for case in ran] == [(False, False), (False, False), (False, True)]
    (row,) = json.loads((tmp_path / "comparison.json").read_text())["rows"]
    assert [row[key] for key in ("optimised", "reference", "ratio", "difference")] == [2.0, None, None, None]
    assert row["failed"] is False


def test_profiles_say_what_the_time_is_spent_in(compared):
    reference, optimised = (
        (compared[0] / f"profile_training_{CRF}_32_fp32_{way}.txt").read_text() for way in ("reference", "optimised")
    )
    assert "reference speed of crf_gan_luna16 at 32, batch 2\nok" in reference
    assert "aten::convolution_backward" in reference
    assert "aten::_fused_adam_" in optimised
    assert "aten::_fused_adam_" not in reference


def test_the_report_of_a_comparison(compared):
    _, report, text = compared
    (made,) = report["rows"]
    assert (made["what"], made["bundle"], made["image_size"], made["failed"]) == ("training", CRF, 32, False)
    assert made["difference"] < 1e-12
    assert made["ratio"] == pytest.approx(made["reference"] / made["optimised"])
    assert made["peak_ratio"] == pytest.approx(made["optimised_peak"] / made["reference_peak"])
    assert "| training | crf_gan_luna16 | 32 | fp32 |" in text
    assert "losses and gradients, relative" in text


@pytest.mark.parametrize("bundle", [CRF, HA])
def test_both_implementations_compute_the_same(bundle, batch_file):
    """At 64, the smallest size at which upsampling and convolution are one."""
    overrides = TINY | ({"base_channels": 16, "sub_encoder_channels": 16} if bundle == HA else {})
    case = Case("training_difference", bundle, 64, 1, overrides=overrides, batch=batch_file(bundle, 64, TINY))
    assert measure(case)["value"] < 1e-12
    assert measure(replace(case, table="generation_difference"))["value"] < 1e-5


def test_a_mistake_in_the_optimised_one_would_be_seen(monkeypatch, batch_file):
    """The check of equality compares what training computes: a layer that is wrong by a hundredth is found."""
    from tools.layers.upsample import UpsampleConv3d

    original = UpsampleConv3d.forward

    def wrong(layer, x):
        y = original(layer, x)
        return y if layer.fuse_from == math.inf else y * 1.01

    monkeypatch.setattr(UpsampleConv3d, "forward", wrong)
    case = Case("training_difference", CRF, 64, 1, overrides=TINY, batch=batch_file(CRF, 64, TINY))
    assert measure(case)["value"] > 1e-3
    assert measure(replace(case, table="generation_difference"))["value"] > 1e-3


def test_the_reference_is_the_original_algorithm(batch_file):
    """No transposed convolutions, no fake twice, Adam as torch has it."""
    reference, optimised = (
        build_trainer(
            CRF, 32, 2, "fp32", torch.device("cpu"), TINY | {"implementation": way}, batch_file(CRF, 32, TINY)
        )
        for way in ("reference", "optimised")
    )
    assert [update.optimizer.defaults["fused"] for update in reference.updates] == [False] * 4
    assert [update.optimizer.defaults["fused"] for update in optimised.updates] == [True] * 4

    def calls(trainer):
        seen = []
        trainer.networks["generator"].embed.register_forward_hook(lambda *_: seen.append("embed"))
        trainer.state.epoch_length = 1
        trainer.run()
        return len(seen)

    with torch.profiler.profile() as profile:
        assert calls(reference) == 3  # for D, G and the CRF
    assert "aten::conv_transpose3d" not in {event.key for event in profile.key_averages()}
    assert calls(optimised) == 2


def test_translation_and_preparation_are_compared(tmp_path, monkeypatch):
    from tools.benchmark import inference

    monkeypatch.setattr(inference, "SCAN", (24, 64, 64))
    monkeypatch.setattr(inference, "SLICES", 3)
    for what, bundle in (("translation", "cyclegan_mri2ct_inout"), ("preparation", CRF)):
        overrides = {"channels": 8} if what == "translation" else {}
        case = Case(what, bundle, 32, 2, overrides=overrides)
        assert measure(case)["value"] > 0
        assert measure(replace(case, reference=True))["value"] > 0
        assert measure(replace(case, table=f"{what}_difference"))["value"] < (1e-4 if what == "translation" else 5)


def test_ratios_of_a_comparison_are_pair_by_pair():
    (comparison,) = comparisons(["training"], [CRF], [64], {}, batch_size=2, steps=7, precision="bf16")
    assert (comparison.reference.reference, comparison.optimised.reference) == (True, False)
    assert (comparison.reference.precision, comparison.optimised.precision) == ("fp32", "bf16")
    found = comparing.row(
        comparison,
        [Outcome(OK, 0.5, peak=4.0), Outcome(OK, 0.25, peak=5.0)],
        [Outcome(OK, 1.0, peak=2.0), Outcome(OK, 0.75, peak=1.0)],
        Outcome(OK, 1e-7),
    )
    assert (found.reference, found.optimised) == pytest.approx((3.0, (1 + 4 / 3) / 2))
    assert (found.ratio, found.ratio_low, found.ratio_high) == pytest.approx((2.5, 2.0, 3.0))
    assert (found.reference_peak, found.optimised_peak, found.peak_ratio) == (5.0, 2.0, 0.4)


def test_what_does_not_fit_has_no_ratio():
    (comparison,) = comparisons(["generation"], [CRF], [1024], {}, batch_size=2, slab_length=32)
    assert (comparison.reference.slab_length, comparison.optimised.slab_length) == (0, 32)
    gone = Outcome(OUT_OF_MEMORY, message="killed")
    found = comparing.row(comparison, [gone], [Outcome(OK, 9.0, peak=7.0)], gone)
    assert (found.reference, found.optimised, found.ratio, found.failed) == (None, 9.0, None, False)
    assert comparing.row(comparison, [Outcome(FAILED)], [Outcome(OK, 9.0, peak=7.0)], gone).failed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"compare": "speed"}, "compare is 'speed', expected different names out of training, generation"),
        ({"compare": "translation"}, "none of crf_gan_luna16 has translation; --bundles cyclegan_mri2ct_inout"),
        ({"compare": "generation", "slab_length": -1}, "slab_length is -1"),
    ],
)
def test_bad_comparisons_are_refused_before_anything_runs(options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        benchmark(CRF, image_sizes=64, output_dir=tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


NARROW = {"channels": 4, "discriminator_channels": 4} | SLICES


@pytest.mark.parametrize("bundle", ["cyclegan_mri2ct_all_in", "cyclegan_triple"])
def test_cyclegans_train_on_slices(bundle, batch_file):
    """Of the size and channels that the bundle loads, which it crops to what it trains on."""
    overrides = NARROW | {"slices": 3}
    batch = batch_file(bundle, 32, overrides)
    trainer = build_trainer(bundle, 32, 2, "fp32", torch.device("cpu"), overrides, batch)
    (batch,) = trainer.data_loader
    modalities = trainer.networks["generator_ct2mr"](torch.zeros(1, 3, 32, 32)).shape[1] // 3
    assert batch["mr"].shape == (2, 3 * modalities, 36, 36)
    assert batch["ct"].shape == (2, 3, 36, 36)
    trainer.state.epoch_length = 1
    trainer.run()
    assert all(math.isfinite(value) for value in trainer.state.output[0]["loss"].values())


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
