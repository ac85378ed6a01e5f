"""The family of CycleGANs: options that fit together, and a set-up that is one entry."""

import inspect

import pytest
import torch
from monai.bundle import ConfigParser

from tests.tiny import BUNDLES, family
from tools.benchmark.configs import read_config
from tools.catalogue.cyclegan import TranslationBundle, configs, metadata
from tools.catalogue.names import with_imports
from tools.engines.draws import Draws
from tools.engines.update import all_terms

SMALL = {
    "channels": 4,
    "discriminator_channels": 4,
    "image_size": 64,
    "load_size": 64,
    "device": torch.device("cpu"),
}


@pytest.mark.parametrize("bundle", [name for name in BUNDLES if family(name) == "cyclegan"])
def test_options_of_a_cyclegan_fit_together(bundle):
    """Slabs, the second window and the MIND loss, none of them on by default."""
    options = {"slices": 3, "second_window": [-160, 240], "mind_weight": 25.0}
    parser = read_config(bundle, {**SMALL, **options})
    objective = parser.get_parsed_content("objective")
    images = torch.rand(1, 3 * (len(objective.discriminators_mr) + 1), 64, 64) * 2 - 1
    drawn = objective.draw({"ct": images[:, :3], "mr": images[:, 3:]}, Draws(0, 0))
    terms = objective.generators_loss(drawn) | all_terms(objective.discriminators_loss(drawn))
    assert {"mind_ct", "mind_mr", "adversarial_ct", "ct", "mr0"} <= set(terms)
    assert all(torch.isfinite(term) for term in terms.values())
    assert parser.get_parsed_content("discriminator_ct").initial_conv.conv.in_channels == 6
    assert objective.discriminators_mr[0].initial_conv.conv.in_channels == 3


def in_phase_and_t2():
    return TranslationBundle(
        "cyclegan_mri2ct_inphase_t2",
        "In-phase and T2",
        ("in_phase", "t2"),
    )


def test_a_set_up_is_one_entry():
    """T1 in-phase and T2, which the paper does not have."""
    assert len(inspect.getsource(in_phase_and_t2).splitlines()) <= 25
    entry = in_phase_and_t2()
    parser = ConfigParser(with_imports(configs(entry))["train"] | SMALL)
    objective = parser.get_parsed_content("objective")
    images = torch.rand(1, 3, 64, 64) * 2 - 1
    drawn = objective.draw({"ct": images[:, :1], "mr": images[:, 1:]}, Draws(0, 0))
    terms = objective.generators_loss(drawn) | all_terms(objective.discriminators_loss(drawn))
    assert {"adversarial_ct", "ct", "mr0", "mr1"} <= set(terms)
    assert all(torch.isfinite(term) for term in terms.values())
    described = metadata(entry)
    assert described["network_data_format"]["inputs"]["image"]["channel_def"] == {"0": "T1 in-phase", "1": "T2"}
    assert "T1 in-phase and T2 MR, together," in described["description"]
