"""Options of CRF-GAN and HA-GAN that bring back what the released code does."""

import json
from pathlib import Path

import pytest
from monai.bundle import ConfigParser

from tests.tiny import config_file
from tools.data.synthetic import reference_files

VOLUMES = [("crf_gan_luna16", "crf"), ("ha_gan_luna16", "sub_encoder")]


def parser(bundle, *overlays, **overrides):
    configs = [config_file(bundle, name) for name in ("train", *overlays)]
    made = ConfigParser(ConfigParser.load_config_files(configs))
    # what is there to train on: the paper's 800 volumes of LUNA16
    made.update({"train_files": [{"image": str(i), "id": str(i)} for i in range(800)], "dataset_dir": "here"})
    made.update({"val_files": [{"image": f"v{i}", "id": f"v{i}"} for i in range(88)], "data_dir": "here", **overrides})
    return made


@pytest.mark.parametrize("bundle", [name for name, _ in VOLUMES])
def test_length_of_training(bundle):
    """The text's 80 epochs are 16,000 iterations, the released default of 80,000 is 400 epochs."""

    def epochs(**overrides):
        made = parser(bundle, **{"train#dataset": list(range(800)), **overrides})
        return made.get_parsed_content("train#trainer#max_epochs")

    assert epochs() == 80
    assert epochs(max_epochs=7) == 7
    assert epochs(iterations=80_000) == 400
    assert epochs(iterations=80_000, batch_size=2) == 200


def test_the_released_crf():
    """Its nodes bring its rate; either can be chosen alone."""

    def chosen(**overrides):
        made = parser("crf_gan_luna16", **overrides)
        return [made.get_parsed_content(i) for i in ("crf_nodes", "learning_rates#crf", "crf_iterations")]

    assert chosen() == ["slices", 0.0001, 60000]
    assert chosen(crf_nodes="channels") == ["channels", 0.0004, 60000]
    assert chosen(crf_nodes="channels", **{"learning_rates#crf": 0.0001}) == ["channels", 0.0001, 60000]
    small = {"image_size": 32, "base_channels": 8, "discriminator_channels": 64, "latent_dim": 8, "num_classes": 2}
    made = parser("crf_gan_luna16", crf_nodes="channels", crf_iterations=None, **small)
    objective = made.get_parsed_content("objective")
    assert (objective.crf_nodes, objective.crf_iterations) == ("channels", None)
    assert (objective.discriminator_class_weight, objective.generator_class_weight) == (1.0, 0.1)
    made = parser("crf_gan_luna16", **small, **{"objective#generator_class_weight": 0.4})
    assert made.get_parsed_content("objective").generator_class_weight == 0.4


@pytest.mark.parametrize("bundle", [name for name, _ in VOLUMES])
def test_the_reference_of_an_evaluation(bundle):
    """Volumes that were not trained on, or, as the released code has it, those that were."""

    def counts(**overrides):
        made = parser(bundle, "evaluate", **overrides)
        return [len(made.get_parsed_content("real_files")), len(made.get_parsed_content("synthetic"))]

    names = {"num_classes": 0}  # which otherwise come with the weights
    assert counts(**names) == [88, 88]
    assert counts(reference="training", **names) == [800, 800]
    assert counts(reference="training", num_synthetic=2048, **names) == [800, 2048]
    config = json.loads(Path(config_file(bundle, "evaluate")).read_text())
    assert config["real"]["data"] == "@real_files"
    assert config["report"]["settings"]["reference"] == "@reference"
    with pytest.raises(ValueError, match="reference is 'test', expected 'training' or 'validation'"):
        reference_files("test", [], [])


def test_a_window_of_brains_holds_in_training_and_comes_back_with_the_weights(tmp_path):
    made = parser("crf_gan_gsp", window=[0, 500], data_dir=str(tmp_path))
    (scaling,) = (t for t in made.get_parsed_content("train#preprocessing").transforms if hasattr(t, "scaler"))
    assert (scaling.scaler.a_min, scaling.scaler.a_max) == (0, 500)
    made = parser("crf_gan_gsp", "evaluate", trained={"window": [0, 600], "image_size": 32}, data_dir=str(tmp_path))
    (scaling,) = (t for t in made.get_parsed_content("train#preprocessing").transforms if hasattr(t, "scaler"))
    assert scaling.scaler.a_max == 600
