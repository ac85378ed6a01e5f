"""The limit of a step: what is counted and repeated is what the step computes."""

import json

import pytest
import torch
from torch import nn

from tests.benchmark.small import CRF, TINY
from tools.benchmark.case import Case
from tools.benchmark.command import benchmark
from tools.benchmark.limit import Found, Recorder, kind_of, markdown, seconds_alone
from tools.benchmark.processes import OK, OUT_OF_MEMORY, Outcome


@pytest.fixture(scope="module")
def recorded():
    """Two layers, of which the first has no gradient of its input, twice; and that in autocast."""
    network = nn.Sequential(nn.Conv3d(1, 4, 3, padding=1), nn.ConvTranspose3d(4, 2, 4, stride=2, padding=1))
    network.to(memory_format=torch.channels_last_3d)
    volume = torch.ones(1, 1, 8, 8, 8)
    recorders = {}
    for precision in ("fp32", "bf16"):
        with (
            Recorder() as recorders[precision],
            torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"),
        ):
            for _ in range(2):
                network(volume).sum().backward()
    return {precision: recorder.calls for precision, recorder in recorders.items()}


def test_every_convolution_is_recorded_with_its_passes(recorded):
    for calls in recorded.values():
        assert list(calls.values()) == [2] * 4
        names = [call.name.removeprefix("aten::convolution") for call in calls]
        assert names == ["", "", "_backward", "_backward"]
        masks = [call.others[-1][1] for call in calls if call.name.endswith("backward")]
        assert masks == [(True, True, True), (False, True, True)]
    assert {dtype for call in recorded["bf16"] for *_, dtype in call.tensors} == {torch.bfloat16}


def test_what_is_repeated_has_the_same_shapes_and_layout(recorded):
    call = next(iter(recorded["fp32"]))
    volume, weight, *_ = call.arguments(torch.device("cpu"))
    assert (volume.shape, weight.shape) == ((1, 1, 8, 8, 8), (4, 1, 3, 3, 3))
    assert weight.stride() == call.tensors[1][2]


def test_the_least_of_several_times_counts(recorded):
    looks = iter([0.0, 0.5, 1.0, 1.1, 2.0, 2.4, 3.0, 3.3])
    call = next(iter(recorded["fp32"]))
    assert seconds_alone(call, torch.device("cpu"), lambda: next(looks)) == pytest.approx(0.1)


def test_kinds_of_work():
    assert [kind_of(f"aten::{name}") for name in ("convolution_backward", "_to_copy", "native_group_norm")] == [
        *("convolutions", "casts and copies", "normalisation")
    ]
    assert [kind_of(f"aten::{name}") for name in ("_fused_adam_", "addmm", "leaky_relu_", "einsum")] == [
        *("Adam", "matrix products", "activations", "other")
    ]


def test_shares_by_hand():
    """A step of 3 TFLOP in 2 s, whose convolutions of 2 TFLOP take 1 s alone: 1.5 of 2 TFLOP/s."""
    found = Found(2.0, 3 * 10**12, 2 * 10**12, 1.0, {"convolutions": 0.5, "other": 0.5})
    assert (found.limit, found.rate, found.share) == (2e12, 1.5e12, 0.75)
    case = Case("limit", CRF, 64, 2)
    about = {"machine": {"cpu": "one", "load_at_start": 0.1}, "settings": {"threads": 1}}
    outcomes = [
        (case, Outcome(OK, 0.75, message=json.dumps(vars(found)))),
        (Case("limit", CRF, 128, 2), Outcome(OUT_OF_MEMORY)),
    ]
    text = markdown(outcomes, about)
    assert "| crf_gan_luna16 | 64 | 2 | fp32 | 2 | 3 | 1.5 | 2 | 75% |" in text
    assert "| crf_gan_luna16 | 128 | 2 | fp32 | out of memory |" in text
    assert "- crf_gan_luna16 at 64, fp32: convolutions 50%, other 50%" in text


def test_the_command_measures_a_step(tmp_path, monkeypatch, here):
    here(monkeypatch)
    monkeypatch.setattr("tools.benchmark.command.has_bf16", lambda device: False)
    monkeypatch.setattr("tools.benchmark.limit.LEAST_SECONDS", 0)
    options = {"image_sizes": 32, "steps": 1, "warmup": 0, "threads": 1, "device": "cpu", "overrides": TINY}
    benchmark(CRF, limit=True, speed_batch_size=1, output_dir=tmp_path, **options)
    (row,) = json.loads((tmp_path / "limit.json").read_text())["rows"]
    assert row["status"] == OK
    assert 0 < row["convolutions"] < row["operations"]
    assert sum(row["parts"].values()) == pytest.approx(1)
    assert row["parts"]["convolutions"] > 0
    assert row["alone"] > 0
