"""A bundle of one's own, like one of the collection."""

import json

import pytest
from monai.bundle import ConfigParser

from tools.__main__ import main
from tools.bundle_command import options_of, unknown_option
from tools.catalogue.write import bundles, files


def made(tmp_path, line):
    main(["new", "mine", "--output_dir", str(tmp_path), *line.split()])
    return tmp_path / "mine"


def test_options_have_the_new_defaults(tmp_path, capsys):
    line = (
        "--like ha_gan_luna16 --window [-1000,400] --learning_rates#encoder 2e-4 --image_size 32 --dataset_dir /data/x"
    )
    folder = made(tmp_path, line)
    config = ConfigParser(ConfigParser.load_config_file(folder / "configs" / "train.json"))
    assert config.get("window") == [-1000, 400]
    assert config.get("learning_rates#encoder") == 2e-4
    assert config.get("learning_rates#generator") == 1e-4
    assert config.get("bundle_root") == str(folder)
    assert config.get("settings#bundle") == "mine"
    assert "$from tools.layers.implementation import set_implementation" in config.get("imports")
    assert config.get_parsed_content("scale") == "paper"
    assert config.get_parsed_content("image_size") == 32
    assert {path.name for path in (folder / "configs").iterdir()} == {
        *(f"{name}.json" for name in ("train", "inference", "reconstruct", "evaluate", "multi_gpu_train", "metadata")),
        "logging.conf",
    }
    readme = (folder / "docs" / "README.md").read_text()
    assert "`learning_rates#encoder`: 0.0002" in readme
    assert f"{folder}/configs/train.json" in capsys.readouterr().out
    assert unknown_option(options_of(["--config_file", str(folder / "configs" / "train.json"), "--seed", "1"])) is None


def test_new_defaults_are_the_new_bundle_s_alone(tmp_path):
    family, entry = bundles()["ha_gan_luna16"]
    before = files(family, entry)
    made(tmp_path, "--like ha_gan_luna16 --learning_rates#encoder 3e-4 --sub_encoder_def#channels 8 --window [0,1]")
    assert files(family, entry) == before


def test_fields_of_the_entry_make_another_model(tmp_path):
    folder = made(tmp_path, "--like cyclegan_mri2ct_t2 --modalities [in_phase,t2] --title Both")
    config = ConfigParser(ConfigParser.load_config_file(folder / "configs" / "train.json"))
    config.update({"channels": 4, "discriminator_channels": 4, "device": "cpu"})
    assert len(config.get_parsed_content("objective").discriminators_mr) == 2
    metadata = json.loads((folder / "configs" / "metadata.json").read_text())
    assert metadata["name"] == "CycleGAN MR to CT: Both"
    assert metadata["network_data_format"]["inputs"]["image"]["num_channels"] == 2


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--like crf_gan_luna", r"expected one of .*Did you mean crf_gan_luna16\?"),
        ("--like crf_gan_luna16 --imagesize 3", r"--imagesize: .* Did you mean image_size\?"),
        ("--like crf_gan_luna16 --learning_rates#generater 3", r"Did you mean generator\?"),
        ("--like cyclegan_triple --titel x", r"Did you mean title\?"),
        ("--like cyclegan_triple --pool 3", "--pool is 3, expected something like False"),
    ],
)
def test_what_does_not_exist_is_refused_and_nothing_is_written(tmp_path, line, said):
    with pytest.raises(SystemExit, match=said):
        made(tmp_path, line)
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_is_not_overwritten(tmp_path):
    made(tmp_path, "--like crf_gan_gsp")
    with pytest.raises(SystemExit, match="is there already"):
        made(tmp_path, "--like crf_gan_gsp")


@pytest.mark.parametrize("name", ["my-bundle", "3d", "a/b", ""])
def test_names_are_those_of_folders_everywhere(tmp_path, name):
    with pytest.raises(SystemExit, match="letters, digits and underscores"):
        main(["new", f"--name={name}", "--like", "crf_gan_gsp", "--output_dir", str(tmp_path)])
