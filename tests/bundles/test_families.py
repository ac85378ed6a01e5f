"""Configs of one family say the same, but for what makes a bundle: a change to one of them is a change to all."""

import re
from itertools import groupby

import pytest
import torch
from monai.bundle import ConfigParser

from tests.tiny import BUNDLES, REPOSITORY
from tools.benchmark.training import read_config
from tools.engines import Draws

OWN = {
    "tools.losses.cyclegan.CycleGANObjective": (
        r"modalities(#\d+)?|train_mr|train_ct|val_data|val_mr|val_ct|studies",
        r"objective#identity_weight|extra_mr_dir|ct_dir|axial_range|phantoms#contrast",
        r"(network_def#in|generator_ct2mr_def#out)_modalities",
        r"discriminator_\w+|objective#discriminators_mr#\d",
        r"train#updates#1#(networks#discriminator_\w+|optimizer#params)",
        r"train#ct_slices#transform|validate#preprocessing#transforms#1",
        r"real#transform|(train#)?preprocessing#transforms#\d+|names#\d|.*modalities.*",
    ),
    "hierarchical": (
        r"window#\d|validation_subsets#0|phantoms#(nodules|lesions)|data_dir|(train|val)_files",
        r"train#preprocessing|.*transforms?.*|field_of_view|trained",
    ),
}
"""Ids of the configs, as regular expressions, that may differ within a family; others may not."""


def flat(content, id=""):
    """id -> value of everything in a config, discriminators by their number."""
    if isinstance(content, dict):
        items = content.items()
    elif isinstance(content, list):
        items = enumerate(content)
    else:
        return {id: content}
    return {k: v for key, value in items for k, v in flat(value, f"{id}#{key}" if id else str(key)).items()}


def config(bundle, name):
    content = flat(ConfigParser.load_config_file(str(REPOSITORY / "bundles" / bundle / "configs" / f"{name}.json")))
    # a bundle's own name, wherever it stands
    return {id: value.replace(bundle, "BUNDLE") if isinstance(value, str) else value for id, value in content.items()}


def family(bundle):
    target = config(bundle, "train")["objective#_target_"]
    return target if target in OWN else f"hierarchical {target}"


MEMBERS = [
    (members[0], other)
    for members in (list(group) for _, group in groupby(sorted(BUNDLES, key=family), key=family))
    for other in members[1:]
]


@pytest.mark.parametrize("name", ["train", "evaluate", "inference", "multi_gpu_train"])
@pytest.mark.parametrize(("first", "other"), MEMBERS)
def test_members_differ_in_their_own_ids_only(first, other, name):
    one, two = config(first, name), config(other, name)
    own = re.compile("|".join(OWN[family(first).split()[0]]))
    differing = {id for id in one.keys() | two.keys() if one.get(id, ...) != two.get(id, ...)}
    differing = {id for id in differing if not re.match(r"discriminator_\w+_def#", id)}
    assert sorted(id for id in differing if not own.fullmatch(id)) == []


@pytest.mark.parametrize("bundle", [name for name in BUNDLES if name.startswith("cyclegan")])
def test_options_of_a_cyclegan_fit_together(bundle):
    """Slabs, the second window and the structure loss, none of them on by default."""
    size = {
        "channels": 4,
        "discriminator_channels": 4,
        "image_size": 64,
        "load_size": 64,
        "device": torch.device("cpu"),
    }
    options = {"slices": 3, "second_window": [-160, 240], "structure_weight": 25.0}
    parser = read_config(bundle, {**size, **options})
    objective = parser.get_parsed_content("objective")
    images = torch.rand(1, 3 * (len(objective.discriminators_mr) + 1), 64, 64) * 2 - 1
    drawn = objective.draw({"ct": images[:, :3], "mr": images[:, 3:]}, Draws(0, 0))
    terms = objective.generators_loss(drawn) | objective.discriminators_loss(drawn)
    assert {"structure_ct", "structure_mr", "adversarial_ct", "ct", "mr0"} <= set(terms)
    assert all(torch.isfinite(term) for term in terms.values())
    assert parser.get_parsed_content("discriminator_ct").initial_conv.conv.in_channels == 6
    assert objective.discriminators_mr[0].initial_conv.conv.in_channels == 3
