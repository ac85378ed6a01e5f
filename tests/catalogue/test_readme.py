"""Documents of the bundles: options have a sentence each, and what is said of a bundle is true of it."""

import re

import pytest
import torch
from monai.bundle import ConfigParser

from tests.tiny import EVERY, PUBLISHED, REPOSITORY, config_file, family
from tools.__main__ import main
from tools.catalogue import options
from tools.catalogue.write import FAMILIES, bundles
from tools.share.content import packed_readme

CATALOGUE = bundles()
CONFIGS = [(name, config) for name, (family, entry) in CATALOGUE.items() for config in family.configs(entry)]


def configs_of(name):
    family, entry = CATALOGUE[name]
    return family.configs(entry)


def text_of(name):
    return (REPOSITORY / "bundles" / name / "docs" / "README.md").read_text()


def test_an_option_that_nobody_describes_is_seen():
    assert options.literal_options(
        {"seed": 0, "built": {"_target_": "a"}, "made": "$1", "rates": {"a": 1, "b": "$2"}}
    ) == {
        "seed",
        "rates",
    }


@pytest.mark.parametrize(("name", "config"), CONFIGS)
def test_every_option_has_its_sentence(name, config):
    family, _ = CATALOGUE[name]
    assert options.literal_options(configs_of(name)[config]) - options.described(family.OPTIONS, config).keys() == set()


@pytest.mark.parametrize("sentences", {id(family.OPTIONS): family.OPTIONS for family in FAMILIES}.values())
def test_every_sentence_has_its_option(sentences):
    """Families may share sentences, and what all share is an option of some."""
    every = [content for name in CATALOGUE for content in configs_of(name).items()]
    families = [family for family in FAMILIES if family.OPTIONS is sentences]
    contents = [content for family in families for entry in family.BUNDLES for content in family.configs(entry).items()]
    for config in {config for config, _ in contents}:
        shared = options.described({}, config).keys() - sentences.get(config, {}).keys()
        for id in options.described(sentences, config):
            of_config = [content for other, content in (every if id in shared else contents) if other == config]
            assert any(options.found(content, id) is not options.MISSING for content in of_config), f"{config}: {id}"


def test_words_for_computed_defaults_are_those_of_expressions_that_there_are():
    texts = "".join(str(configs_of(name)) for name in CATALOGUE).replace("\\'", "'").replace('"', "'")
    assert [expression for expression in options.COMPUTED if expression not in texts] == []


@pytest.mark.parametrize("name", CATALOGUE)
def test_readmes_have_no_expression_as_a_default(name):
    rows = [line for line in text_of(name).splitlines() if line.startswith("| `")]
    assert len(rows) > (15 if name in PUBLISHED else 40)
    assert [row for row in rows if "@" in row or "`$" in row] == []


def test_a_default_of_two_scales_shows_both():
    content = configs_of("crf_gan_luna16")["train"]
    sizes = (content["scales"]["paper"]["image_size"], content["scales"]["phantom"]["image_size"])
    assert f"| `image_size` | {sizes[0]}; {sizes[1]} with phantoms |" in text_of("crf_gan_luna16")


@pytest.mark.parametrize("name", [name for name in CATALOGUE if family(name) == "cyclegan"])
def test_parameters_are_those_of_the_networks(name):
    config = ConfigParser(ConfigParser.load_config_file(config_file(name, "train")))
    with torch.device("meta"):
        networks = [config.get_parsed_content(id) for id in ("network_def", "generator_ct2mr_def")]
    for network in networks:
        assert f"{sum(parameter.numel() for parameter in network.parameters()):,} parameters" in text_of(name)


@pytest.mark.parametrize("name", [name for name in CATALOGUE if family(name) == "autoencoder"])
def test_parameters_of_latent_diffusion_are_those_of_its_networks(name):
    config = ConfigParser(ConfigParser.load_config_file(config_file(name, "train")) | {"scale": "paper"})
    with torch.device("meta"):
        network = config.get_parsed_content("network_def")
    for part in (network.autoencoder, network.denoiser):
        assert f"{sum(parameter.numel() for parameter in part.parameters()):,} parameters" in text_of(name)


@pytest.mark.parametrize("name", EVERY)
def test_files_that_a_readme_names_are_there(name):
    text = text_of(name)
    folder = REPOSITORY / "bundles" / name
    for picture in re.findall(r'<img src="([^"]+)"', text):
        assert (folder / "docs" / picture).is_file()
    for config in re.findall(r"\$C/(\w+\.json)", text):
        assert (folder / "configs" / config).is_file()
    for other in re.findall(r"`(cyclegan_\w+|crf_gan_\w+|ha_gan_\w+|rflow_\w+|ldm_\w+)`", text):
        assert other in CATALOGUE
    assert "{{" not in text
    assert "{%" not in text


def test_options_of_commands_are_options_of_the_configs():
    for name in CATALOGUE:
        own = re.split(r"### |## Options", text_of(name))[0]
        known = {id for content in configs_of(name).values() for id in content}
        for line in re.findall(r"--config_file.*", own):
            given = {id.split("#")[0] for id in re.findall(r"--(\w+[\w#]*)", line)}
            assert given - known - {"config_file", "use_trace", "dataset_dir"} == set(), f"{name}: {line}"


def test_a_bundle_of_ones_own_has_the_whole_document_and_no_results_of_another(tmp_path):
    main(["new", "mine", "--like", "crf_gan_luna16", "--output_dir", str(tmp_path), "--image_size", "32"])
    text = (tmp_path / "mine" / "docs" / "README.md").read_text()
    assert text.startswith("# mine: ")
    assert "- `image_size`: 32\n" in text
    assert "| `image_size` | 32 |" in text
    assert f"C={tmp_path}/mine/configs" in text
    assert "57,079,938" in text
    assert "samples.png" not in text
    assert "FID 0.047" not in text


@pytest.mark.parametrize("name", EVERY)
def test_a_packed_bundle_is_described_from_its_own_folder(name):
    text = packed_readme(REPOSITORY / "bundles" / name, "card", has_large_files=False)
    assert "\nC=configs\n" in text
    assert f"bundles/{name}" not in text
    assert "--ckpt_file models/model.pt" in text or "ckpt_export" not in text


def test_a_packed_bundle_of_ones_own_does_not_say_where_it_lay(tmp_path):
    main(["new", "mine", "--like", "cyclegan_mri2ct_t2", "--output_dir", str(tmp_path)])
    text = packed_readme(tmp_path / "mine", "card", has_large_files=False)
    assert "\nC=configs\n" in text
    assert str(tmp_path) not in text
