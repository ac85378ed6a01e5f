"""Options that will not do are refused by name, before anything is read, built or written."""

import json
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser, ConfigWorkflow

from tests.tiny import BUNDLES, config_file, makes_slices, tiny, train_config, translates
from tools.catalogue.training_parts import TRAINING_OPTIONS
from tools.engines.settings import RULES, check_settings, cubic, divisible, enough_for_a_batch, full_batches


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("val_interval", 0, "expected a whole number from 1"),
        ("batch_size", 2.0, "expected a whole number from 1"),
        ("batch_size", True, "expected a whole number"),
        ("max_epochs", "ten", "expected a whole number"),
        ("num_workers", -1, "expected a whole number from 0"),
        ("seed", -1, "expected a whole number from 0 to 4294967295"),
        ("seed", 2**32, "expected a whole number from 0 to 4294967295"),
        ("window", 400, "expected two numbers, the lower first"),
        ("window", [400], "expected two numbers"),
        ("window", [600, -1024], "the lower first"),
        ("window", [0, 0], "the lower first"),
        ("window", [0, float("inf")], "expected two numbers"),
        ("window", "[-1024 600]", "expected two numbers"),
        ("second_window", [1], "expected two numbers"),
        ("learning_rate", "2e-4x", "expected a number from 0"),
        ("learning_rate", -0.1, "expected a number from 0"),
        ("learning_rate", float("nan"), "expected a number from 0"),
        ("learning_rates", 1e-4, "for each network.*learning_rates#generator"),
        ("betas", 0.9, "expected 2 numbers"),
        ("betas", [0.5, 1.0], "from 0 to below 1"),
        ("ema_decay", 1, "from 0 to below 1"),
        ("precision", "fp8", "expected one of fp32, bf16, fp16"),
        ("slices", 2, "odd"),
        ("class_label", "nodule", "expected a whole number"),
        ("inference_batch_size", 0, "expected a whole number from 1"),
        ("field_of_view", 0, "millimetres above 0"),
        ("field_of_view", [300.0, -1.0, 300.0], "millimetres above 0"),
        ("resume", "nowhere.pt", "no such file.*auto"),
        ("device", "gpu", "cannot be used here.*There is: .*cpu"),
        ("device", "cuda:99", "cannot be used here.*There is: .*cpu"),
        ("device", 0, "expected the name of a device"),
    ],
)
def test_what_will_not_do(option, value, message):
    with pytest.raises(ValueError, match=rf"(?s)these options will not do:\s+--{option} .*{message}"):
        check_settings(seed=0, **{option: value}) if option != "seed" else check_settings(seed=value)


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(ValueError, match=r"--learning_rates#crf '1e-4x': [^\n]*\n  --seed -1: [^\n]*$"):
        check_settings(learning_rates={"generator": 1e-4, "crf": "1e-4x"}, batch_size=2, seed=-1)


def test_what_will_do(tmp_path):
    (tmp_path / "checkpoint_epoch=1.pt").write_bytes(b"")
    check_settings(
        device=torch.device("cpu"),
        seed=2**32 - 1,
        window=(-1024, 600.5),
        second_window=None,
        learning_rates={"generator": 0, "crf": 1e-4},
        betas=[0.0, 0.999],
        field_of_view=400,
        resume=str(tmp_path / "checkpoint_epoch=1.pt"),
        class_label=None,
        output_dir=str(tmp_path / "new" / "folder"),
    )
    check_settings(device="cpu", resume="auto", field_of_view=[320.0, 350.0, 350.0], slices=3)
    assert list((tmp_path / "new" / "folder").iterdir()) == []


@pytest.mark.parametrize("value", [0, 1, "False", None])
def test_a_word_is_neither_true_nor_false(value):
    check_settings(deterministic=False)
    with pytest.raises(ValueError, match=r"--deterministic.*expected True or False"):
        check_settings(deterministic=value)


def test_folders_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/none")):
        with pytest.raises(ValueError, match=rf"--output_dir '{folder}': nothing can be written into this folder \("):
            check_settings(output_dir=str(folder))


def test_a_batch_larger_than_the_data():
    assert full_batches(range(4), 4)
    with pytest.raises(ValueError, match=r"--batch_size 5 is more than the 4 images.*--batch_size 4"):
        full_batches(range(4), 5)
    assert enough_for_a_batch([1, 2], 2) == [1, 2]


def test_a_volume_that_a_network_cannot_halve():
    assert divisible([24, 32, 20], 3) == [24, 32, 20]
    assert cubic([64, 64, 64]) == 64
    with pytest.raises(ValueError, match=r"\[96, 112, 96\]; this bundle reads cubes. Give --image_size 96"):
        cubic([96, 112, 96])
    with pytest.raises(ValueError, match=r"--volume_size \[24, 33, 18\] has .* 4 .*Give --volume_size \[24, 32, 16\]"):
        divisible([24, 33, 18], 3)
    assert divisible([24, 33, 18], 1) == [24, 33, 18]


@pytest.mark.parametrize("bundle", [name for name in BUNDLES if not translates(name) and not makes_slices(name)])
def test_a_batch_larger_than_the_data_is_refused_before_any_voxel_is_read(bundle, tmp_path):
    missing = [{"image": str(tmp_path / f"{number}.nii"), "id": str(number)} for number in range(4)]
    parser = ConfigParser({**train_config(bundle), "train_data": missing, "batch_size": 5})
    parser["train"]["preprocessing"] = None
    parser.get_parsed_content("imports")
    with pytest.raises(RuntimeError) as error:
        parser.get_parsed_content("train#dataset")
    assert "--batch_size 5 is more than the 4 images" in str(error.value.__cause__)


@pytest.mark.parametrize("bundle", BUNDLES)
def test_every_config_checks_its_options_first(bundle):
    """Each option of a number or a window in a config is one that it checks."""
    checked = set(train_config(bundle)["check"]) - {"_target_"}
    assert checked <= RULES.keys()
    assert checked >= set(TRAINING_OPTIONS) & train_config(bundle).keys()
    numeric = {key for key, value in train_config(bundle).items() if type(value) in (int, float)}
    assert numeric <= checked
    for path in Path(config_file(bundle, "train")).parent.glob("*.json"):
        config = json.loads(path.read_text())
        if "initialize" in config:
            assert config["initialize"][0] == "@check"
        assert "@device." not in path.read_text()  # which a device that is given as text has not
        if "run" in config:
            assert config["run"][0].startswith("$check_settings(") or path.name == "fine_tune.json"


@pytest.mark.parametrize(
    ("bundle", "option", "value"),
    [
        ("crf_gan_luna16", "val_interval", 0),
        ("crf_gan_luna16", "learning_rates#crf", "fast"),
        ("cyclegan_mri2ct_t2", "learning_rate", "fast"),
        ("cyclegan_mri2ct_t2", "window", 400),
    ],
)
@pytest.mark.parametrize("overlay", [[], ["multi_gpu_train"]])
def test_before_data_are_read(bundle, option, value, overlay, tmp_path):
    """Nothing is written either: no phantoms, no folders."""
    overrides = tiny(bundle, tmp_path / "root") | {option: value}
    workflow = ConfigWorkflow(config_file=config_file(bundle, "train", *overlay), workflow_type="train", **overrides)
    if overlay:
        workflow.parser["device"] = "cpu"
    with pytest.raises((ValueError, RuntimeError)) as error:
        workflow.initialize()
    assert f"--{option} {value!r}: expected" in str(error.value.__cause__ or error.value)
    assert not (tmp_path / "root").exists()
