"""The plain and the optimised implementation: they compute the same, and which is faster is said pair by pair."""

import json
import math
from dataclasses import replace

import pytest
import torch

from tests.benchmark.small import CRF, HA, STYLED, TINY, WIDTHS
from tests.tiny import train_config
from tools.benchmark import comparison as comparing
from tools.benchmark import processes
from tools.benchmark.case import Case
from tools.benchmark.command import benchmark
from tools.benchmark.comparison import comparisons
from tools.benchmark.measure import measure
from tools.benchmark.processes import FAILED, OK, OUT_OF_MEMORY, Outcome
from tools.benchmark.training import build_trainer


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


def test_slices_of_styles_are_the_same_and_a_mistake_would_be_seen(monkeypatch, batch_file):
    """Of all four updates, path lengths and R1 among them, whose gradients are gradients of gradients."""
    from tools.layers.filters import Filter

    case = Case("training_difference", "stylegan2_brats", 32, 1, overrides=STYLED)
    case = replace(case, batch=batch_file(case.bundle, 32, STYLED))
    assert measure(case)["value"] < 1e-12

    original = Filter.blurred
    monkeypatch.setattr(Filter, "blurred", lambda self, *a, **k: original(self, *a, **k) * (1.01 if self.fused else 1))
    assert measure(case)["value"] > 1e-3


def test_the_reference_of_styles_is_the_plain_way(batch_file):
    """Weights of every sample, convolutions in groups of one sample, nothing transposed, Adam as torch has it."""
    for way in ("reference", "optimised"):
        overrides = STYLED | {"implementation": way}
        batch = batch_file("stylegan2_brats", 32, STYLED)
        trainer = build_trainer("stylegan2_brats", 32, 2, "fp32", torch.device("cpu"), overrides, batch)
        assert [update.optimizer.defaults["fused"] for update in trainer.updates] == [way == "optimised"] * 4
        generator = trainer.networks["generator"]
        with torch.no_grad(), torch.profiler.profile(record_shapes=True) as profile:
            generator(torch.zeros(2, 16))
        assert ("aten::conv_transpose2d" in {event.key for event in profile.key_averages()}) == (way == "optimised")
        shapes = [event.input_shapes for event in profile.events() if event.name == "aten::conv2d"]
        of_samples = [x for x, weight, *_ in shapes if x[0] == 1 and weight[2:] == [3, 3]]
        assert len(of_samples) == (7 if way == "reference" else 0)


@pytest.mark.parametrize("bundle", ["alpha_gan_luna16", "pggan3d_luna16", "stylegan3d_gsp"])
def test_generators_of_volumes_are_the_same(bundle, tmp_path):
    """Of every update, penalties of gradients and path lengths among them; the reference has nothing fused."""
    overrides = {key: value for key, value in WIDTHS.items() if key in train_config(bundle)}
    torch.save({"image": 2 * torch.rand(1, 1, 16, 16, 16) - 1}, tmp_path / "16.pt")
    case = Case("training_difference", bundle, 16, 1, overrides=overrides, batch=str(tmp_path / "16.pt"))
    assert measure(case)["value"] < 1e-12
    for way in ("reference", "optimised"):
        given = overrides | {"implementation": way}
        trainer = build_trainer(bundle, 16, 1, "fp32", torch.device("cpu"), given, case.batch)
        layers = [layer for network in trainer.networks.values() for layer in network.modules()]
        fused = [layer.fused for layer in layers if hasattr(layer, "fused")]
        fused += [layer.fuse_from < math.inf for layer in layers if hasattr(layer, "fuse_from")]
        assert {*fused, *(update.optimizer.defaults["fused"] for update in trainer.updates)} == {way == "optimised"}


def test_no_volumes_and_scans_of_bundles_that_make_slices():
    assert comparing.abilities("stylegan2_brats") == {"training"}
    assert comparing.abilities(CRF) == {"training", "generation", "preparation"}


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
