"""Names of the version before: MONAI finds what they mean, with a warning that says what to write."""

import math
import pydoc
import warnings

import numpy as np
import pytest
import SimpleITK as sitk
from monai.bundle import ConfigParser

import tools.engines
from tools.data import former
from tools.data.phantoms.luna16 import write_luna16_phantoms
from tools.data.volumes import section_datalist
from tools.former import FORMER, INSTEAD, name_now
from tools.losses.mind import volume_mind_loss


def test_every_former_name_is_what_it_is_called_now():
    for old, now in FORMER.items():
        with pytest.warns(FutureWarning, match=rf"tools\.{old} is now tools\.{INSTEAD.get(now, now)}; "):
            found = pydoc.locate(f"tools.{old}")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert found is pydoc.locate(f"tools.{now}") is not None, old


def test_a_config_of_before_runs():
    config = {
        "imports": ["$import tools.data as data", "$import tools.engines as engines"],
        "seeds": "$data.seed_datalist(2, 5)",
        "epochs": "$engines.epochs_for(7, 3, 1)",
        "draws": {"_target_": "tools.engines.Draws", "seed": 0, "iteration": 1},
    }
    parser = ConfigParser(config)
    with pytest.warns(FutureWarning, match=r"tools\.engines\.Draws is now tools\.engines\.draws\.Draws"):
        assert type(parser.get_parsed_content("draws")).__module__ == "tools.engines.draws"
    with pytest.warns(FutureWarning, match=r"tools\.data\.seed_datalist is now tools\.data\.synthetic"):
        assert [item["seed"] for item in parser.get_parsed_content("seeds")] == [5, 6]
    assert parser.get_parsed_content("epochs") == 3


def test_networks_and_losses_of_a_config_of_before():
    config = {
        "imports": ["$import tools.layers as layers", "$import tools.losses.structure as losses"],
        "plain": True,
        "net": {"_target_": "tools.layers.upsample.UpsampleConv3d", "in_channels": 1, "out_channels": 1},
        "network": "$layers.set_form(@net, @plain)",
        "crf_gan": {"_target_": "tools.losses.crf_gan.CRFGANObjective", "generator": None, "discriminator": None}
        | {"encoder": None, "crf": None, "plain": "@plain"},
        "ha_gan": {"_target_": "tools.losses.ha_gan.HAGANObjective", "generator": None, "discriminator": None}
        | {"encoder": None, "sub_encoder": None, "lean": True},
        "cyclegan": {"_target_": "tools.losses.cyclegan.CycleGANObjective", "generator_mr2ct": None}
        | {"generator_ct2mr": None, "discriminator_ct": None, "discriminators_mr": [None], "structure_weight": 25},
        "classes": {"_target_": "tools.losses.ha_gan.HAGANObjective", "generator": None, "discriminator": None}
        | {"encoder": None, "sub_encoder": None, "classification_weight": 0.2},
        "metric": "$losses.volume_structure_loss",
    }
    parser = ConfigParser(config)
    with pytest.warns(FutureWarning, match=r"tools\.losses\.structure is now tools\.losses\.mind"):
        found = parser.get_parsed_content("metric")
    assert found is volume_mind_loss
    with pytest.warns(FutureWarning, match=r"set_form is now tools\.layers\.implementation\.set_implementation"):
        assert parser.get_parsed_content("network").fuse_from == math.inf
    for id, old, new in (
        ("crf_gan", "plain", "implementation"),
        ("ha_gan", "lean", "checkpointing"),
        ("cyclegan", "structure_weight", "mind_weight"),
    ):
        with pytest.warns(FutureWarning, match=f"argument {old} is now {new}"):
            parser.get_parsed_content(id)
    with pytest.warns(FutureWarning, match="classification_weight is now discriminator_class_weight and generator_"):
        objective = parser.get_parsed_content("classes")
    assert (objective.discriminator_class_weight, objective.generator_class_weight) == (0.2, 0.2)
    found = [parser.get_parsed_content(id) for id in ("crf_gan", "ha_gan", "cyclegan")]
    assert (found[0].reference, found[1].checkpointing, found[2].mind_weight) == (True, True, 25)


def test_a_training_of_before_records_how_large_its_volumes_are(tmp_path):
    """As inference.json asks for it; from the headers, with a warning where the volumes are originals."""
    write_luna16_phantoms(tmp_path, 2, shape=(16, 18, 20))
    items = section_datalist("luna16", tmp_path, "training")
    extents = [sitk.ReadImage(item["image"]) for item in items]
    extents = [np.multiply(image.GetSize(), image.GetSpacing())[::-1] for image in extents]
    with pytest.warns(UserWarning, match="field_of_view_mm is that of the original files"):
        found = former.data_provenance(tmp_path, items)
    assert found["field_of_view_mm"] == pytest.approx(np.mean(extents, axis=0), abs=1e-3)
    studies = [{"id": item["id"], "image": [item["image"]]} for item in items]
    assert "field_of_view_mm" not in former.data_provenance(tmp_path, studies)


def test_what_never_was():
    with pytest.raises(AttributeError, match=r"module 'tools.engines' has no attribute 'Trainer'"):
        _ = tools.engines.Trainer
    assert name_now("tools.engines.Trainer") is None
    assert name_now("tools.engines.Update") == "tools.engines.update.Update"
