"""``python -m tools gpu``, on the CPU: what it says without a GPU, what it measures, and what it does not let pass."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from tests.processes import run_module
from tests.tiny import BUNDLES, family, makes_slices
from tools.benchmark import processes
from tools.benchmark.batches import write_first_batch
from tools.benchmark.case import Case
from tools.benchmark.equality import device_output_difference, device_training_difference
from tools.benchmark.measure import answer
from tools.benchmark.processes import FAILED, OK, OUT_OF_MEMORY, Outcome
from tools.gpu import command, plan
from tools.gpu.life import life, one_of_each_family
from tools.gpu.report import measured_line

TINY = {"base_channels": 8, "latent_dim": 16, "discriminator_channels": 16, "sub_encoder_channels": 64, "channels": 4}
TINY |= {"network_channels": [8, 16], "network_width": 4, "channel_base": 256, "channel_max": 16, "hidden_channels": 16}
TINY |= {"style_dim": 16, "code_channels": 16, "autoencoder_channels": [8, 8]}
PHANTOMS = {"phantoms#count": 8, "phantoms#shape": [32, 32, 32]}  # of which the first batch is taken
SLICES = {"phantoms#count": 4, "phantoms#shape": [16, 16, 16]}
CPU = torch.device("cpu")


def test_without_a_gpu_every_part_is_skipped_by_name(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    command.gpu(output_dir=str(tmp_path / "report"))
    assert capsys.readouterr().out.startswith("no CUDA device: life, equality, speed, memory, generation skipped")
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize("option", [{"parts": "live"}, {"bundles": "crf"}, {"steps": 0}, {"image_sizes": "a"}])
def test_what_it_has_not_is_refused_with_or_without_a_gpu(option):
    with pytest.raises(ValueError, match=next(iter(option))):
        command.gpu(**option)


def test_every_family_lives():
    assert set(map(family, one_of_each_family())) == {family(bundle) for bundle in BUNDLES}


def test_all_is_measured_and_stands_in_the_report(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(processes, "run_case", lambda case: Outcome(OK, **answer(case)))
    monkeypatch.setattr(plan, "PRECISIONS", ("fp32", "tf32"))
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)  # which would take minutes
    command.gpu(
        "equality,speed,memory,generation",
        "crf_gan_luna16",
        image_sizes=32,
        batch_sizes=2,
        generation_sizes=32,
        equality_size=32,
        steps=1,
        device="cpu",
        overrides=TINY | PHANTOMS | {"discriminator_channels": 64},
        output_dir=str(tmp_path),
    )
    text = (tmp_path / "gpu.md").read_text()
    assert text in capsys.readouterr().out
    parts = json.loads((tmp_path / "gpu.json").read_text())["parts"]
    assert {part: len(lines) for part, lines in parts.items()} == {
        "equality": 5,
        "speed": 4,
        "memory": 1,
        "generation": 4,
    }
    assert all(line["value"] >= 0 and not line["problem"] for lines in parts.values() for line in lines)
    assert all(line["cells"][-1] == "equal" for line in parts["equality"])
    assert all(line["value"] > 0 for line in parts["speed"] + parts["memory"] + parts["generation"])
    assert "| crf_gan_luna16 | 32 | reference | tf32 |" in text


def test_a_difference_beyond_its_bound_ends_with_1_and_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "run_case", lambda case: Outcome(OK, 0.5 if case.bundle == "crf_gan_gsp" else 0.0))
    with pytest.raises(SystemExit) as stopped:
        command.gpu("equality", "crf_gan_gsp,crf_gan_luna16", device="cpu", output_dir=str(tmp_path))
    first, *named = stopped.value.code.splitlines()
    assert first.startswith("5 of 10 lines")
    assert all("crf_gan_gsp" in line and "differs by 5.0e-01" in line for line in named)


def test_what_is_not_measured_is_a_dash_where_it_does_not_fit_and_a_problem_where_it_failed():
    case = Case("memory", "ha_gan_luna16", 256, 6)
    wanted = plan.Measurement(case, "fp32")
    assert measured_line(wanted, Outcome(OUT_OF_MEMORY, message="no")).cells[-2:] == ("-", "-")
    assert not measured_line(wanted, Outcome(OUT_OF_MEMORY, message="no")).problem
    assert measured_line(wanted, Outcome(FAILED, message="why")).problem == "why"
    bounded = plan.Measurement(Case("device_output_difference", "ha_gan_luna16", 64, 1), "fp32", "output", 1e-3)
    assert measured_line(bounded, Outcome(OK, float("nan"))).problem  # NaN is below no bound
    assert (
        measured_line(plan.Measurement(Case("memory", "crf_gan_luna16", 128, 2), ""), Outcome(OK, 2.0)).cells[-1]
        == "2622"
    )


def test_the_bound_of_double_precision_is_wider_where_times_are_embedded_in_single():
    bounds = {
        m.case.bundle: m.bound for m in plan.equality(["crf_gan_luna16", "ddpm_brats"], 32) if m.precision == "fp64"
    }
    assert bounds == {"crf_gan_luna16": 1e-9, "ddpm_brats": 1e-6}


def of(bundle, folder):
    """A case of a small network of the bundle, with its first batch."""
    wide = PHANTOMS | ({"base_channels": 16} if family(bundle) == "ha_gan" else {})
    own = {"phantoms#shape": [26, 40, 40], "num_train_timesteps": 4} if makes_slices(bundle) else {}
    if family(bundle) == "nodule_gan":
        own |= {"channels": 8}  # squeezed to an eighth
    overrides = plan.common_overrides(bundle, TINY | (SLICES if family(bundle) == "cyclegan" else wide) | own)
    case = Case("", bundle, 32, 1, overrides=overrides, batch=str(folder / "batch.pt"))
    write_first_batch(bundle, 32, overrides, Path(case.batch))
    return case


@pytest.mark.parametrize("bundle", [*one_of_each_family(), "rflow_luna16"])
def test_a_device_does_not_differ_from_itself(bundle, tmp_path):
    """The same device does not differ from itself, in double precision."""
    case = of(bundle, tmp_path)
    assert device_training_difference(replace(case, precision="fp64"), CPU) < 1e-12
    assert device_output_difference(case, CPU) == 0


@pytest.mark.parametrize("bundle", ["crf_gan_luna16", "cyclegan_mri2ct_inout", "stylegan2_brats"])
def test_a_device_that_rounds_otherwise_is_seen(bundle, tmp_path):
    half = replace(of(bundle, tmp_path), precision="bf16")
    assert device_training_difference(half, CPU) > 1e-4
    assert device_output_difference(half, CPU) > 1e-6


def test_a_bundle_is_trained_and_what_does_not_work_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("tools.gpu.life.subprocess", SimpleNamespace(run=run_module))
    step = next(life("crf_gan_luna16", tmp_path / "works", "cpu"))
    assert (step.name, step.problem) == ("train", "")
    assert list((tmp_path / "works" / "models").glob("model*.pt"))
    step = next(life("crf_gan_luna16", tmp_path / "fails", "nosuch"))
    assert "nosuch" in step.problem or "device" in step.problem
