"""Chest CT of label maps: a rectified flow under the control of a ControlNet."""

from __future__ import annotations

from tools.catalogue.chest_control.entry import CLASSES, ControlBundle
from tools.catalogue.chest_control.inference import evaluate, inference, inpaint
from tools.catalogue.chest_control.metadata import metadata
from tools.catalogue.chest_control.options import OPTIONS
from tools.catalogue.chest_control.training import train
from tools.catalogue.parts import Config
from tools.catalogue.terms import PHANTOMS, data_license

__all__ = ["BUNDLES", "OPTIONS", "configs", "facts", "metadata", "terms"]

OWN_DATA = """\
No published dataset belongs to this bundle: LUNA16, whose scans the phantoms resemble, has no label maps of organs.
Read the terms of the images and label maps that you give.
"""


def configs(bundle: ControlBundle) -> dict[str, Config]:
    return {
        "train": train(bundle),
        "inference": inference(bundle),
        "inpaint": inpaint(bundle),
        "evaluate": evaluate(bundle),
    }


def facts(bundle: ControlBundle) -> Config:
    """Return what the README says of this bundle besides its entry's fields: nothing."""
    return {}


def terms(bundle: ControlBundle) -> str:
    return data_license(OWN_DATA, PHANTOMS)


BUNDLES = (ControlBundle("controlnet_luna16", labels={name: value for value, name in enumerate(CLASSES, start=1)}),)
