"""The objective of diffusion is an option, of volumes and of slices; what was learned comes with the weights."""

import pytest
import torch
from monai.bundle import ConfigParser
from monai.networks.schedulers import DDIMScheduler, PNDMScheduler, RFlowScheduler

from tests.tiny import config_file
from tools.benchmark.configs import read_config
from tools.engines.draws import Draws

SMALL = {"network_channels": [8, 16], "num_res_blocks": 1, "device": torch.device("cpu"), "writer": None}


@pytest.mark.parametrize(("bundle", "shape"), [("rflow_hippocampus", (8, 8, 8)), ("ddpm_brats", (8, 8))])
@pytest.mark.parametrize(
    ("prediction", "sampler", "kind"),
    [("flow", None, RFlowScheduler), ("epsilon", "ddim", DDIMScheduler), ("v", "pndm", PNDMScheduler)],
)
def test_prediction_and_sampler_are_options(bundle, shape, prediction, sampler, kind):
    parser = read_config(bundle, {**SMALL, "prediction": prediction, "sampler": sampler, "steps": 50})
    objective = parser.get_parsed_content("objective")
    assert objective.prediction == prediction
    assert type(objective.scheduler) is kind
    channels = objective.channels
    batch = {"image": torch.zeros(2, channels.num_images, *shape), "class": torch.tensor([0, 1])}
    batch["label"] = torch.zeros(2, 1, *shape, dtype=torch.uint8)
    drawn = objective.draw(batch, Draws(seed=0, iteration=0))
    assert all(torch.isfinite(term) for term in objective.denoiser_loss(drawn).values())
    assert parser.get_parsed_content("train#inferer").scheduler is objective.scheduler
    assert "prediction" in parser.get("settings")


def test_weights_of_a_flow_are_sampled_as_a_flow():
    """Those of earlier versions do not say what they predict."""
    for settings, kind in (({}, RFlowScheduler), ({"prediction": "epsilon"}, DDIMScheduler)):
        parser = ConfigParser(ConfigParser.load_config_file(config_file("rflow_hippocampus", "inference")))
        parser.update({"trained": {**parser.get("defaults"), **settings}})
        assert type(parser.get_parsed_content("scheduler")) is kind
