"""The objective of diffusion is an option, of volumes and of slices; what was learned comes with the weights."""

import json

import pytest
import torch
from monai.bundle import ConfigParser
from monai.networks.schedulers import DDIMScheduler, PNDMScheduler, RFlowScheduler

from tests.tiny import PUBLISHED, config_file
from tools.benchmark.configs import read_config
from tools.catalogue.write import bundles
from tools.engines.draws import Draws

SMALL = {"network_channels": [8, 16], "num_res_blocks": 1, "device": torch.device("cpu"), "writer": None}


@pytest.mark.parametrize(("bundle", "shape"), [("rflow_hippocampus", (8, 8, 8)), ("ddpm_brats", (8, 8))])
@pytest.mark.parametrize(
    ("prediction", "sampler", "kind"),
    [("flow", None, RFlowScheduler), ("epsilon", "ddim", DDIMScheduler), ("v", "pndm", PNDMScheduler)],
)
def test_prediction_and_sampler_are_options(bundle, shape, prediction, sampler, kind):
    size = {"volume_size": list(shape)} if len(shape) == 3 else {}
    parser = read_config(bundle, {**SMALL, **size, "prediction": prediction, "sampler": sampler, "steps": 50})
    objective = parser.get_parsed_content("objective")
    assert objective.prediction == prediction
    assert type(objective.scheduler) is kind
    channels = objective.channels
    batch = {"image": torch.zeros(2, channels.num_images, *shape), "class": torch.tensor([0, 1])}
    batch["label"] = torch.zeros(2, 1, *shape, dtype=torch.uint8)
    drawn = objective.draw(batch, Draws(seed=0, iteration=0))
    assert all(torch.isfinite(term) for term in objective.denoiser_loss(drawn).values())
    sampling = parser.get_parsed_content("train#inferer").scheduler
    assert type(sampling) is kind
    if prediction == "flow":
        assert (sampling.use_timestep_transform, objective.scheduler.use_timestep_transform) == (len(shape) == 3, False)
    else:
        assert torch.equal(sampling.alphas_cumprod, objective.scheduler.alphas_cumprod)
    assert "prediction" in parser.get("settings")


def samplers_of(config):
    """Every denoising sampler that a config describes, wherever it stands."""
    children = config.values() if isinstance(config, dict) else config if isinstance(config, list) else []
    targets = ("tools.engines.sampling.DiffusionSampler", "tools.engines.inpainting.InpaintingSampler")
    here = [config] if isinstance(config, dict) and config.get("_target_") in targets else []
    return here + [found for child in children for found in samplers_of(child)]


def test_samples_are_made_in_the_precision_of_the_command():
    """That of a training is its own: its validations are in full precision, and published weights have another way."""
    found = set()
    for name, (family, entry) in bundles().items():
        contents = family.configs(entry)
        for config in ("inference", "inpaint"):
            for sampler in samplers_of(contents.get(config, {})):
                assert sampler.get("precision") == (None if name in PUBLISHED else "@precision")
                assert contents[config].get("precision") == (None if name in PUBLISHED else "fp32")
                found.add(name)
        for sampler in samplers_of(contents.get("train", {})):
            assert "precision" not in sampler
            assert contents["evaluate"]["precision"] == "fp32"
            found.add(name)
    assert found >= {"rflow_luna16", "controlnet_luna16", "rflow_hippocampus", "ldm_gsp", "ddpm_brats", "maisi_ct"}


@pytest.mark.parametrize("bundle", ["rflow_luna16", "controlnet_luna16", "rflow_hippocampus", "ldm_gsp", "ddpm_brats"])
def test_evaluation_takes_a_precision_of_its_own(bundle, tmp_path):
    """Not that of the training, which stands in the settings of its run."""
    trained = tmp_path / "run.json"
    trained.write_text(json.dumps({"precision": "fp16"}))
    files = [config_file(bundle, "train"), str(trained), config_file(bundle, "evaluate")]
    for given, precision in (({}, "fp32"), ({"precision": "bf16"}, "bf16")):
        parser = ConfigParser(ConfigParser.load_config_files(files))
        parser.update({"bundle_root": str(tmp_path), **given})
        sampler = parser.get_parsed_content("validate#inferer")
        assert getattr(sampler, "sampler", sampler).precision == precision
        assert parser.get("report")["settings"]["precision"] == "@precision"


def test_weights_of_a_flow_are_sampled_as_a_flow():
    """Those of earlier versions do not say what they predict."""
    for settings, kind in (({}, RFlowScheduler), ({"prediction": "epsilon"}, DDIMScheduler)):
        parser = ConfigParser(ConfigParser.load_config_file(config_file("rflow_hippocampus", "inference")))
        parser.update({"trained": {**parser.get("defaults"), **settings}})
        assert type(parser.get_parsed_content("scheduler")) is kind
